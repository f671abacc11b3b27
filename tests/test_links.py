"""A release in which something leads elsewhere is refused by name, and nothing is written there or here."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from release.__main__ import run
from tests import checkpoints, remote
from tests.watching import state

OFF = ["--bbq", "off", "--perplexity", "off", "--latency", "off"]
RANDOM = ["--method", "random", "--sparsity", "0.3", "--local", *OFF]


@pytest.fixture(scope="module")
def made(base_folders, tmp_path_factory) -> Path:
    """A whole release; not to be changed."""
    out = tmp_path_factory.mktemp("releases")
    assert run(["publish", str(base_folders["llama"]), *RANDOM, "--out", str(out)]) == 0
    return next(out.iterdir())


@pytest.fixture
def release(made, tmp_path) -> Path:
    return checkpoints.copy(made, tmp_path / "releases" / made.name)


def moved(release: Path, name: str) -> None:
    """Move something of a release elsewhere, and leave a link."""
    there = release.parent.parent / "elsewhere" / name
    there.parent.mkdir(parents=True)
    (release / name).rename(there)
    (release / name).symlink_to(there)


def commands(release: Path, base: Path, out: Path) -> dict[str, list[str]]:
    return {
        "verify": ["verify", str(release)],
        "card": ["card", str(release)],
        "card --diff": ["card", str(release), "--diff"],
        "rebuild": ["rebuild", str(release), "--base", str(base), "--out", str(out)],
        "measure": ["measure", str(release), "--base", str(base), *OFF, "--out", str(out)],
        "demo": ["demo", str(release), "--base", str(base)],
        "push": ["push", str(release), "--to", "lab"],
        "push --dry-run": ["push", str(release), "--to", "lab", "--dry-run"],
        "publish": ["publish", str(base), *RANDOM, "--out", str(release.parent)],
    }


@pytest.mark.parametrize("command", commands(Path(), Path(), Path()))
def test_a_model_folder_that_is_a_link_out_of_its_release_is_refused_by_name(
    command, release, base_folders, tmp_path, capsys
):
    moved(release, "model")
    before = state(tmp_path)
    assert run(commands(release, base_folders["llama"], tmp_path / "out")[command]) == 2
    assert f"model in {release.name}/ is a link" in capsys.readouterr().err
    assert state(tmp_path) == before


def test_a_model_folder_that_is_a_link_within_its_release_is_taken(release, capsys):
    (release / "model").rename(release / "v1")
    (release / "model").symlink_to("v1")
    assert run(["card", str(release), "--diff"]) == 0
    assert run(["verify", str(release)]) == 0


LINKS: dict[str, Callable[[Path], None]] = {
    "model/config.json": lambda release: moved(release, "model/config.json"),
    "model/README.md": lambda release: moved(release, "model/README.md"),
    "model/release.json": lambda release: moved(release, "model/release.json"),
    "model/figures": lambda release: linked(release, "model/figures"),
    "model/assets/picture.png": lambda release: linked(release, "model/assets/picture.png"),
    "space": lambda release: moved(release, "space"),
    "space/app.py": lambda release: moved(release, "space/app.py"),
    "space/examples.json": lambda release: linked(release, "space/examples.json"),
}


def linked(release: Path, name: str) -> None:
    (there := release.parent.parent / "elsewhere").mkdir()
    (release / name).parent.mkdir(exist_ok=True)
    (release / name).unlink(missing_ok=True)
    (release / name).symlink_to(there / "f" if "." in name else there)


@pytest.fixture(scope="module")
def client(tmp_path_factory) -> Iterator[remote.Client]:
    with remote.client(tmp_path_factory.mktemp("client")) as client:
        yield client


@pytest.mark.parametrize("how", [(), ("--dry-run",)], ids=["push", "dry run"])
@pytest.mark.parametrize("name", LINKS)
def test_a_release_with_a_link_that_leads_out_of_it_is_not_uploaded(name, how, release, client, tmp_path):
    LINKS[name](release)
    before = state(tmp_path)
    said = client.run("push", str(release), "--to", "lab", *how, token=client.hub.token)
    assert said["code"] == 2, said["err"]
    assert name.removeprefix("model/").removeprefix("space/") in said["err"]
    assert not client.hub.store.repos("models", "lab")
    assert state(tmp_path) == before
