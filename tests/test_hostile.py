"""A hostile release can be looked at with every command: nothing is written elsewhere, run, or given away."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from release.__main__ import run
from tests import remote
from tests.hostile import HOSTILE, SECRET, Lure, lure
from tests.watching import Machine, Seen, machine, state

OFF = ["--bbq", "off", "--perplexity", "off", "--latency", "off"]
UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
TOOLS = ("fc-list", "ldconfig", "uname", "lscpu", "gcc", "cc", "ld")
"""Programs that libraries ask about the system."""


class World(NamedTuple):
    machine: Machine
    honest: Path
    base: Path
    key: Path
    folder: Path


@pytest.fixture(scope="module")
def world(base_folders, tmp_path_factory) -> Iterator[World]:
    """An honest, signed release and its base, and a machine whose working directory somebody else has filled."""
    folder = tmp_path_factory.mktemp("hostile")
    key = keys(folder)
    words = ["publish", str(base_folders["llama"]), "--method", "random", "--sparsity", "0.3", "--local", *OFF]
    assert run([*words, "--out", str(folder / "releases"), "--sign", str(key)]) == 0
    with machine(folder) as made:
        yield World(made, next((folder / "releases").iterdir()), base_folders["llama"], key.with_suffix(".pub"), folder)


def keys(folder: Path) -> Path:
    from cryptography.hazmat.primitives import serialization as pem
    from cryptography.hazmat.primitives.asymmetric import ec

    made, path = ec.generate_private_key(ec.SECP256R1()), folder / "key.pem"
    path.write_bytes(made.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption()))
    public = made.public_key().public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo)
    path.with_suffix(".pub").write_bytes(public)
    return path


def commands(release: str, world: World, out: Path) -> dict[str, list[str]]:
    """What whoever looks at a release may do with it, be it a folder or a Hub id."""
    base, key = ["--base", str(world.base)], ["--key", str(world.key)]
    return {
        "verify": ["verify", release],
        "verify all": ["verify", release, *base, "--rebuild", *key],
        "rebuild": ["rebuild", release, *base, "--out", str(out / "rebuilt")],
    }


def folder_commands(release: Path, world: World, out: Path) -> dict[str, list[str]]:
    base = ["--base", str(world.base)]
    text = ["--text", str(Path(__file__).parent.parent / "README.md"), "--perplexity", "1"]
    return commands(str(release), world, out) | {
        "card --diff": ["card", str(release), "--diff"],
        "measure": ["measure", str(release), *base, "--bbq", "off", "--latency", "off", *text, "--out", str(out / "m")],
        "measure BBQ": ["measure", str(release), *base, "--bbq", "2", "--perplexity", "off", "--latency", "off"],
        "demo": ["demo", str(release), *base],
        "push --dry-run": ["push", str(release), "--to", "lab", "--dry-run"],
        "push": ["push", str(release), "--to", "lab"],
        "card": ["card", str(release)],
    }


def kinds(*quick: str) -> list[Any]:
    """All kinds, of which only these are among the quick tests."""
    return [pytest.param(kind, marks=[] if kind in quick else [pytest.mark.long]) for kind in HOSTILE]


@pytest.mark.parametrize("kind", kinds("names that are paths"))
def test_a_hostile_folder_does_no_harm_whatever_is_done_with_it(kind, world, tmp_path):
    spoilt = lure(world.honest, tmp_path / "cwd", world.machine.home / "hf" / "token", tmp_path / "RAN")
    HOSTILE[kind](spoilt)
    port = free_port() if "Space" in kind else world.machine.hub.url.rpartition(":")[2]  # the Hub is there
    check(
        spoilt, world, folder_commands(spoilt.folder, world, tmp_path / "out"), (spoilt.folder, tmp_path / "out"), port
    )


@pytest.mark.parametrize("kind", kinds("record with names above the folder"))
def test_a_hostile_repository_does_no_harm(kind, world, tmp_path):
    spoilt = lure(world.honest, tmp_path / "cwd", world.machine.home / "hf" / "token", tmp_path / "RAN")
    HOSTILE[kind](spoilt)
    repo_id = f"eve/{re.sub('[^a-z]+', '-', kind.lower())}"
    remote.lay(world.machine.hub, repo_id, regular(spoilt.model))
    check(spoilt, world, commands(repo_id, world, tmp_path / "out"), (tmp_path / "out",))


def check(spoilt: Lure, world: World, words: dict[str, list[str]], writable: tuple[Path, ...], port: str = "") -> None:
    """Run command lines in the folder where the release lies, and hold all that they did against what they may do."""
    before, found = state(spoilt.outside), []
    for place in writable:  # whether a folder can be written to is tried in the one above it, where it is not there yet
        place.mkdir(exist_ok=True)
    for name, line in words.items():
        seen = world.machine.run(line, spoilt.folder.parent, GRADIO_SERVER_PORT=port)
        found += [f"{name}: {harm}" for harm in harms(seen, spoilt, world.machine, writable)]
        spoilt.ran.unlink(missing_ok=True)
    if found:
        pytest.fail("\n".join(found))
    assert state(spoilt.outside) == before


def harms(seen: Seen, spoilt: Lure, machine: Machine, writable: tuple[Path, ...]) -> Iterator[str]:
    """What a command did that it may not do."""
    if seen.code not in (0, 1, 2, 3):
        yield f"ended with {seen.code}: {seen.said[-1000:]}"
    if match := UNPRINTABLE.search(seen.said):
        yield f"printed {match[0]!r}"
    if "Traceback" in seen.said or SECRET in seen.said or machine.hub.token in seen.said:
        yield f"printed what is for nobody: {seen.said[-1000:]}"
    if spoilt.ran.exists():
        yield "ran code of the release"
    yield from _written(seen, [*writable, machine.home])
    secrets = {str((spoilt.outside / "secret.txt").resolve()), str(spoilt.token.resolve())}
    yield from (f"read {path}" for (path,) in seen.of("read") if path in secrets)
    yield from (f"ran {path}" for (path,) in seen.of("run") if path.startswith(f"{spoilt.folder.parent.resolve()}/"))
    yield from (f"unpickled {name}" for (name,) in seen.of("unpickle"))
    yield from (f"called {host}:{port}" for host, port in seen.of("connect") if host not in ("127.0.0.1", "::1"))
    for line, environment in seen.of("process"):
        yield from _started(line, environment, machine)


def _written(seen: Seen, writable: list[Path]) -> Iterator[str]:
    for (path,) in seen.of("write", "change"):
        if path not in ("/dev/null", *map(str, writable)) and not any(Path(path).is_relative_to(w) for w in writable):
            yield f"wrote {path}"


def _started(words: list[str], environment: dict[str, str], machine: Machine) -> Iterator[str]:
    """What is wrong with a process: it is not this Python, it has a token, or it imports what lies where it starts."""
    if Path(words[0]).name in TOOLS:
        return
    if words[0] != sys.executable:
        yield f"started {words}"
    if machine.hub.token in environment.values():
        yield f"gave the token to {words}"
    if "-m" in words and not {"-P", "-I"} & set(words):
        yield f"started a module from where it stands: {words}"


def regular(model: Path) -> Path:
    """A model folder as the Hub can hold it: links are what they point to, pipes are nothing."""
    for path in list(model.rglob("*")):
        if path.is_symlink():
            target = path.resolve()
            path.unlink()
            if target.is_file():
                path.write_bytes(target.read_bytes())
        elif path.is_fifo():
            path.unlink()
    return model


def free_port() -> str:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])
