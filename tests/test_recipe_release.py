"""A release without weights: megabytes on the Hub, from which anyone with the base makes the very same model."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from release.checkpoint.loading import INDEX
from release.pruning.masks import FILE_NAME as MASK
from tests import checkpoints
from tests.remote import Desk, desk, lay

BASE = "ada/base"
MADE = {
    "random": ["--method", "random", "--sparsity", "0.3"],
    "magnitude": ["--method", "magnitude", "--sparsity", "0.5", "--scope", "global"],
    "wanda": ["--method", "wanda", "--sparsity", "0.5", "--with-mask", *checkpoints.CALIBRATION],
}
NEVER = "A recipe that nobody followed"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In shards, with an index."""
    return checkpoints.make(tmp_path_factory.mktemp("recipes") / "base", "mistral", shard="30KB")


@pytest.fixture(scope="module")
def machine(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk(tmp_path_factory.mktemp("desk")) as made:
        lay(made.hub, BASE, base)
        yield made


@pytest.fixture(scope="module")
def made(machine: Desk) -> dict[str, Path]:
    """Whole releases of that base, on this machine."""
    for name, words in MADE.items():
        assert machine.run("prune", BASE, *words, "--out", f"made/{name}")["code"] == 0
    return {name: machine.home / "made" / name for name in MADE}


def contents(folder: Path) -> dict[str, bytes]:
    """What a model folder holds, but for what is never published."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    held = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    return {name: data for name, data in held.items() if not name.startswith(".")}


def on_hub(machine: Desk, repo_id: str) -> dict[str, bytes]:
    repo = machine.hub.store.repo("models", repo_id)
    assert repo is not None
    files = repo.resolve("main").files
    return {n: machine.hub.store.blob(e.sha256).read_bytes() for n, e in files.items() if n != ".gitattributes"}


def push(machine: Desk, folder: Path, weights: str, *more: str) -> dict[str, Any]:
    words = ["push", str(folder), "--to", "ada", "--weights", weights, *more]
    said = machine.run(*words, "--json", token=machine.hub.token)
    assert said["out"], said["err"]
    return said | {"facts": json.loads(said["out"])}


def repo_of(folder: Path) -> str:
    return f"ada/{json.loads((folder / 'release.json').read_text())['name']}"


@pytest.mark.parametrize("name", MADE)
def test_what_is_stored_without_weights_is_made_again_bit_for_bit(
    name: str, machine: Desk, made: dict[str, Path], tmp_path: Path
) -> None:
    folder, before = made[name], contents(made[name])
    weights = {file for file in before if file.endswith(".safetensors") and file != MASK}
    shutil.rmtree(machine.home / "hf")  # the base that was fetched would be taken unasked
    pushed = push(machine, folder, "none")
    assert pushed["code"] == 0, pushed["err"]
    there, repo_id = on_hub(machine, repo_of(folder)), repo_of(folder)

    assert contents(folder) == before, "the folder on this disk stays whole"
    assert len(weights) > 1
    assert there.keys() == before.keys() - weights - {INDEX}
    assert (MASK in there) == (name == "wanda")
    assert sum(map(len, there.values())) == pushed["facts"]["bytes"]

    code, answer = machine.verify(repo_id)
    assert (code, answer["verdict"].startswith(NEVER), answer["actual_sparsity"]) == (0, True, None), answer
    assert any("--base" in each for each in answer["unproven"])

    code, answer = machine.verify(repo_id, "--base", BASE)
    assert (code, answer["verdict"].startswith("Verified: made here")) == (0, True), answer
    assert answer["zeroed_parameters"] == json.loads(before["release.json"])["audit"]["zeroed_parameters"]
    assert any("--rebuild" in each for each in answer["unproven"]) == (name == "wanda")

    out = tmp_path / "again"
    said = machine.run("rebuild", repo_id, "--base", BASE, "--out", str(out))
    assert said["code"] == 0, said["err"]
    assert contents(out) == before


def test_weights_uploaded_afterwards_change_the_card_and_a_rerun_changes_nothing(
    machine: Desk, made: dict[str, Path]
) -> None:
    folder = made["random"]
    repo_id = repo_of(folder)
    sizes = {}
    for weights in ("none", "all", "none"):
        assert push(machine, folder, weights)["code"] == 0
        assert push(machine, folder, weights)["facts"]["changed"] is False
        there = on_hub(machine, repo_id)
        card, sizes[weights] = there["README.md"].decode(), sum(map(len, there.values()))
        title = card.index("\n# ")
        first = card[title:].split("\n\n")[1]
        assert first.startswith("**This repository holds no weights") == (weights == "none")
        assert ("library_name: release" in card) == (weights == "none")
        assert (f"release rebuild {repo_id} --base {BASE}@" in card[: card.index("```python")]) == (weights == "none")
        assert (f'path = "{repo_id}"' in card) == (weights == "all")
        code, answer = machine.verify(repo_id, "--base", BASE)
        assert (code, answer["verdict"][:9]) == (0, "Verified:"), answer
    assert sizes["none"] < sizes["all"]


def test_a_dry_run_says_that_no_weights_are_sent_and_counts_the_rest(machine: Desk, made: dict[str, Path]) -> None:
    folder = made["magnitude"]
    before = sorted(folder.rglob("*"))
    plan = push(machine, folder, "none", "--dry-run")["facts"]
    files = plan["repos"][0]["files"]
    assert not [
        file["path"] for file in files if file["path"].endswith((".safetensors", INDEX)) and file["state"] == "new"
    ]
    assert plan["bytes_to_send"] == sum(file["bytes"] for file in files if file["state"] in ("new", "changed"))
    assert plan["weights"] == "none"
    said = machine.run("push", str(folder), "--to", "ada", "--weights", "none", "--dry-run", token=machine.hub.token)
    assert "Weights       none" in said["out"]
    assert sorted(folder.rglob("*")) == before


REFUSED = {
    "calibrated": (["--method", "wanda", "--sparsity", "0.5", *checkpoints.CALIBRATION], "--with-mask"),
    "updated": (["--method", "sparsegpt", "--sparsity", "0.5", *checkpoints.CALIBRATION], "--weights none"),
    "row": (["--method", "magnitude", "--sparsity", "0.5", "--scope", "row"], "--no-space"),
    "demo": (["--method", "random", "--sparsity", "0.1"], "--no-space"),
}
OFF = ["--bbq", "off", "--perplexity", "off", "--latency", "off"]


@pytest.mark.parametrize("name", ["calibrated", "updated"])
def test_weights_that_nobody_could_make_again_are_not_left_out(name: str, machine: Desk) -> None:
    words, remedy = REFUSED[name]
    said = machine.run("publish", BASE, *words, *OFF, "--to", "ada", "--weights", "none", token=machine.hub.token)
    assert (said["code"], remedy in said["err"]) == (2, True), said
    assert not (machine.home / "releases").exists()
    assert machine.run("prune", BASE, *words, "--out", f"refused/{name}")["code"] == 0
    said = push(machine, machine.home / "refused" / name, "none")
    assert (said["code"], remedy in said["facts"]["remedy"]) == (2, True), said


def test_a_recipe_is_no_model_to_prune_push_or_measure(machine: Desk, made: dict[str, Path], tmp_path: Path) -> None:
    assert push(machine, made["random"], "none")["code"] == 0
    folder = tmp_path / "fetched"
    for name, data in on_hub(machine, repo_of(made["random"])).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    for words in (
        ["prune", str(folder), "--method", "random", "--sparsity", "0.3", "--out", str(tmp_path / "out")],
        ["measure", str(folder), "--base", BASE, *OFF],
        ["push", str(folder), "--to", "lab"],
    ):
        said = machine.run(*words, token=machine.hub.token)
        assert (said["code"], "release rebuild" in said["err"]) == (2, True), said
    assert machine.run("card", str(folder), "--diff")["out"].startswith("The card would stay")
