"""Every call that one system alone has is done without on another: macOS and Windows as far as this one can play them.

What is missing is missing before anything is imported, in each process that a command starts. Other people's packages
are this system's; that they run on theirs is their own claim.
"""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from release import files
from release.__main__ import run
from release.digests import sha256_file
from release.hub.repos import RepoFolder
from release.pruning.registry import METHODS
from release.sources.cache import cache_folder
from tests import checkpoints
from tests.elsewhere import LINUX_ALONE, NOT_BEFORE_MACOS_11, ROOT, SYSTEMS, UNIX_ALONE, System
from tests.hub import HubServer

SOURCES = [path for folder in ("release", "spaces") for path in sorted((ROOT / folder).rglob("*.py"))]
SPECIAL = {name for name in (*LINUX_ALONE, *NOT_BEFORE_MACOS_11, *UNIX_ALONE) if "." in name}
MODULES = {name for name in UNIX_ALONE if "." not in name}


def uses(tree: ast.AST) -> Iterator[str]:
    """What a module takes from one system alone, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}"
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
            yield node.module or ""


KNOWN = {
    "release/checkpoint/disk.py": {"os.O_DIRECT", "os.preadv", "os.pread", "os.pwrite"},
    "release/files.py": {"fcntl"},
    "release/guarded.py": {"os.fork", "signal.SIGKILL", "resource"},
    "release/machine.py": {"os.sched_getaffinity", "resource"},
    "release/evals/latency/measure.py": {"signal.pthread_sigmask"},
    "release/sweep/process.py": {"os.killpg"},
    "release/sweep/worker.py": {"os.killpg", "os.getpgrp", "signal.SIGKILL"},
}
"""Where such a call stands, each with what is done without it."""


@pytest.mark.long
def test_what_one_system_alone_has_is_asked_for_in_known_places() -> None:
    found: dict[str, set[str]] = {}
    for path in SOURCES:
        if special := set(uses(ast.parse(path.read_text(encoding="utf-8")))) & (SPECIAL | MODULES):
            found[path.relative_to(ROOT).as_posix()] = special
    assert found == KNOWN


WRITING = re.compile("[wax]")


def careless(tree: ast.AST) -> Iterator[int]:
    """Lines that open a text file and leave its encoding, or the ends of lines that are written, to the system."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        named = {word.arg for word in node.keywords}
        modes = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
        if node.func.attr in ("open", "fdopen") and (modes or not node.args):
            mode = modes[-1] if modes else "r"
            wanted = set() if "b" in mode else {"encoding", "newline"} if WRITING.search(mode) else {"encoding"}
        else:
            # What stands in read_text's one place is an encoding, or the name of a distribution's file.
            reads = set() if node.args else {"encoding"}
            wanted = {"read_text": reads, "write_text": {"encoding", "newline"}}.get(node.func.attr, set())
        if not wanted <= named:
            yield node.lineno


@pytest.mark.long
def test_no_text_depends_on_the_systems_encoding_or_ends_of_lines() -> None:
    found = {
        f"{path.relative_to(ROOT)}:{line}"
        for path in SOURCES
        for line in careless(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found == set()


@pytest.mark.parametrize(
    "encoding", ["cp1252", *(pytest.param(each, marks=pytest.mark.long) for each in ("ascii", "utf-8"))]
)
def test_json_is_read_back_whatever_the_pipe_can_carry(encoding: str) -> None:
    words = [sys.executable, "-m", "release", "methods", "--json"]
    done = subprocess.run(words, env=os.environ | {"PYTHONIOENCODING": encoding}, cwd=ROOT, capture_output=True)
    titles = [method["title"] for method in json.loads(done.stdout.decode(encoding))["methods"]]
    assert titles == [method.title for method in METHODS.values()]


LITTER = (".DS_Store", "._config.json", "figures/.DS_Store", "Thumbs.db", "desktop.ini")


def litter(folder: Path) -> None:
    """Look into a folder as a file manager does."""
    for name in LITTER:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"\0\0\0\1Bud1")


def test_folders_that_were_looked_into_are_bases_and_releases_all_the_same(llama: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    litter(llama)
    files.write(out / ".DS_Store", b"Bud1")
    assert run(["prune", str(llama), "--method", "random", "--sparsity", "0.3", "--out", str(out)]) == 0
    litter(out)
    assert set(RepoFolder("model", "ada/llama", out).files()).isdisjoint(LITTER)
    assert run(["verify", str(out), "--base", str(llama)]) == 0
    recorded = json.loads((out / "release.json").read_bytes())["files"]
    assert {file["name"] for file in recorded}.isdisjoint(LITTER)


def test_a_companion_of_weights_is_refused_in_a_release_since_a_loader_may_match_its_name(
    llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, name = tmp_path / "out", "._model.safetensors"
    (llama / name).write_bytes(b"\0\5\x16\7")
    assert run(["prune", str(llama), "--method", "random", "--sparsity", "0.3", "--out", str(out)]) == 0
    (out / name).write_bytes(b"\0\5\x16\7")
    capsys.readouterr()
    assert run(["verify", str(out)]) == 1
    assert f"no release of this tool holds {name}; some loader may take it instead" in capsys.readouterr().out
    (out / name).unlink()
    assert run(["verify", str(out)]) == 0


def test_a_base_whose_files_are_one_on_another_disk_is_refused_before_any_work(
    llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("NOTICE", "Notice"):
        (llama / name).write_text(name)
    code = run(["prune", str(llama), "--method", "random", "--sparsity", "0.3", "--out", str(tmp_path / "out")])
    assert (code, (tmp_path / "out").exists()) == (2, False)
    assert "NOTICE and Notice are one file on macOS and Windows" in capsys.readouterr().err


COMMANDS = """
import json, sys
from release.__main__ import run
for words in json.loads(sys.argv[1]):
    if code := run([*words, "--json"]):
        sys.exit(code)
"""
NAME = "llama-random-s30"


def run_as(system: System, folder: Path, hub: HubServer, commands: list[list[str]]) -> list[dict]:
    """Run commands one after the other in one process of a system, and return what they say."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    ours = {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "home"), "HF_TOKEN": hub.token, "HF_HUB_DISABLE_XET": "1"}
    ours |= {"RELEASE_CACHE": str(cache_folder()), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, json.dumps(commands)],
        env=kept | ours | system.environment(),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    assert "Traceback" not in done.stderr
    decoder, text, told = json.JSONDecoder(), done.stdout, []
    while text.strip():
        said, end = decoder.raw_decode(text.lstrip())
        told.append(said)
        text = text.lstrip()[end:]
    return told


@pytest.mark.long
@pytest.mark.parametrize("name", SYSTEMS)
def test_a_release_is_pruned_measured_pushed_and_verified_on_another_system(
    name: str, tmp_path: Path, base_folders: dict[str, Path]
) -> None:
    base = checkpoints.copy(base_folders["llama"], tmp_path / "llama")
    checkpoints.edit_config(base, max_position_embeddings=2048)
    calibrated = ["--calibration", str(checkpoints.PROSE), "--calibration-samples", "2", "--calibration-length", "32"]
    measuring = ["--bbq", "4", "--latency", "2", "--perplexity", "2", "--text", str(checkpoints.PROSE)]
    with HubServer(tmp_path / "hub") as hub:
        published, verified, pushed, pruned, checked = run_as(
            SYSTEMS[name],
            tmp_path,
            hub,
            [
                ["publish", str(base), "--method", "random", "--sparsity", "0.3", *measuring, "--to", "lab"],
                ["verify", f"lab/{NAME}", "--base", str(base), "--rebuild"],
                ["push", f"releases/{NAME}", "--to", "lab"],
                ["prune", str(base), "--method", "wanda", "--sparsity", "0.5", "--out", "pruned", *calibrated],
                ["verify", "pruned", "--base", str(base)],
            ],
        )
    assert published["published"]["model_url"].endswith(f"/lab/{NAME}")
    assert (verified["ok"], pushed["changed"], checked["ok"]) == (True, False, True)
    assert pruned["zeroed_parameters"] == checkpoints.PRUNABLE["llama"] // 2
    record = json.loads((tmp_path / "releases" / NAME / "model" / "release.json").read_bytes())
    assert record["measurements"]["latency"]["items"] == 2
    assert record["measurements"]["bbq"]["data"]["name"] == "BBQ"

    run(["prune", str(base), "--method", "random", "--sparsity", "0.3", "--out", str(tmp_path / "here")])
    assert weights(tmp_path / "here") == weights(tmp_path / "releases" / NAME / "model")


def weights(folder: Path) -> dict[str, str]:
    return {path.name: sha256_file(path) for path in folder.glob("*.safetensors")}
