"""A grid on the Hub: repositories, one Space for all variants, the report, the collection, and a still rerun."""

import json
import os
from collections.abc import Iterator
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from release.comparison.index import LONGEST_NOTE, note
from release.errors import OutputConflict
from release.progress import Console
from release.schema.record import Record
from release.schema.study import default_study
from release.sweep.driver import driving
from release.sweep.job import open_sweep
from release.sweep.worker import SweepTask
from release.sweep.worker import run as build
from tests.commands import OFF, Command, at_a_hub, commands
from tests.hub import Fault, HubServer
from tests.hub.spaces import End
from tests.pushing import on_hub
from tests.remote import lay

BASE = "ada/tiny-llama"
CELLS = ["tiny-llama-random-s10", "tiny-llama-random-s30"]
EXAMPLES = Path(__file__).parent.parent / "examples"
GOLDENS = sorted((Path(__file__).parent / "goldens").glob("*/release.json"))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, llama: Path) -> Iterator[HubServer]:
    with at_a_hub(tmp_path, monkeypatch) as server:
        lay(server, BASE, llama)
        yield server


@pytest.fixture
def release(hub: HubServer, capsys: pytest.CaptureFixture[str]) -> Command:
    return commands(hub, capsys)


def grid(publication: dict[str, Any], **fields: Any) -> str:
    """Write a grid of two cells into the folder that is worked in."""
    facts = {"models": [BASE], "methods": ["random"], "sparsities": [0.1, 0.3], "publication": publication}
    off = {word.removeprefix("--"): "off" for word in OFF[::2]}
    Path("tiny.yaml").write_text(yaml.safe_dump({**facts, "options": off, **fields}), encoding="utf-8")
    return "tiny.yaml"


def built(publication: dict[str, Any], **fields: Any) -> str:
    """Build the cells in this process, which is quicker than a worker's."""
    path = grid(publication, **fields)
    job = open_sweep(Path(path), Path("releases"))
    build(SweepTask(out=job.out, work=job.work, cells=job.cells), Console(quiet=True))
    return path


def repos(hub: HubServer, owner: str) -> dict[str, tuple[bool, bool | str]]:
    """Kind and id of every repository of an owner → whether it is private, and its gate."""
    kinds = ("models", "spaces", "datasets")
    return {f"{kind}/{each.id}": (each.private, each.gated) for kind in kinds for each in hub.store.repos(kind, owner)}


def heads(hub: HubServer, owner: str) -> dict[str, dict[str, str]]:
    return {name: hub.store.repo(*name.split("/", 1)).branches for name in repos(hub, owner)}


def collection(hub: HubServer) -> dict[str, Any]:
    [path] = (hub.store.folder / "collections").glob("*/*.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_a_grid_is_published_as_a_whole_and_a_rerun_writes_nothing(hub: HubServer, release: Command) -> None:
    path = built({"namespace": "lab", "gated": "auto", "show_unasked": True, "contact": "https://example.org/harm"})
    others: list[str] = []

    def drive_too() -> None:
        """Another driver comes, once a first repository is there."""
        if not others and repos(hub, "lab"):
            try:
                with driving(open_sweep(Path(path), Path("releases")), Console(quiet=True)):
                    others.append("It drives, too.")
            except OutputConflict as refused:
                others.append(refused.seen)

    hub.watchers.append(drive_too)
    first = release("sweep", path)["published"]
    assert first["changed"]
    hub.watchers.clear()
    [other] = others
    assert f"is being built by process {os.getpid()}" in other
    assert repos(hub, "lab") == {
        **{f"models/lab/{name}": (False, "auto") for name in CELLS},
        "spaces/lab/tiny": (False, False),
        "datasets/lab/tiny": (False, False),
    }
    space = yaml.safe_load(on_hub(hub.store, "spaces", repo_id="lab/tiny")["README.md"].decode().split("---")[1])
    assert space["models"] == [BASE, *(f"lab/{name}" for name in CELLS)]
    for name in CELLS:
        card = on_hub(hub.store, "models", repo_id=f"lab/{name}")["README.md"].decode()
        assert "https://huggingface.co/spaces/lab/tiny" in card
    index = on_hub(hub.store, "datasets", repo_id="lab/tiny")
    assert {"README.md", "report.html", "report.md", "report.csv", "report.parquet"} == index.keys()
    assert all(f"https://huggingface.co/lab/{name}" in index["README.md"].decode() for name in CELLS)
    found = collection(hub)
    assert not found["private"]
    assert [item["id"] for item in found["items"]] == ["lab/tiny", "lab/tiny", *(f"lab/{name}" for name in CELLS)]
    assert all(item["note"]["text"] for item in found["items"])
    before = heads(hub, "lab")
    asked = len(hub.seen)
    again = release("sweep", path)
    assert not again["published"]["changed"]
    assert {seen.method for seen in hub.seen[asked:]} <= {"GET", "HEAD"}
    assert heads(hub, "lab") == before
    assert release("verify", f"lab/{CELLS[0]}")["ok"]


@pytest.mark.long
def test_nothing_is_shown_before_the_collection_is_whole_and_the_space_has_answered(
    hub: HubServer, release: Command
) -> None:
    """The Hub refuses an item, then the Space cannot be built; a third run goes on where they stopped."""
    path = built({"namespace": "lab", "collection": "Tiny ones"})
    early: list[str] = []

    def watch() -> None:
        public = [name for name, (private, _) in repos(hub, "lab").items() if not private]
        if public and len(collection(hub)["items"]) < 4:
            early.extend(public)

    hub.watchers.append(watch)
    hub.faults.append(Fault("POST", "/api/collections/.*/items", action=403, after=2))
    release("sweep", path, code=3)
    hub.site.ends["lab/tiny"] = End("BUILD_ERROR", ("no such package",))
    assert "no such package" in release("sweep", path, code=1)["error"]
    assert all(private for private, _ in repos(hub, "lab").values())
    assert collection(hub)["private"]
    hub.site.ends.clear()
    hub.store.repo("spaces", "lab/tiny").begin_anew()
    assert release("sweep", path)["published"]["changed"]
    assert not any(private for private, _ in repos(hub, "lab").values())
    assert not collection(hub)["private"]
    assert early == []


def test_what_only_some_cells_make_is_not_published(hub: HubServer, release: Command) -> None:
    path = built({"namespace": "lab"})
    said = release("sweep", path, "--only", "sparsity=0.1")
    assert said["published"] is None
    assert "--only leaves cells" in said["stderr"]
    assert release("sweep", path, "--local")["published"] is None
    assert repos(hub, "lab") == {}


@pytest.mark.parametrize(
    ("publication", "fields", "seen", "remedy"),
    [
        ({"namespace": "vera"}, {}, "may not write to 'vera'", "lab"),
        ({"collection": "a" * 61}, {}, "61 characters", "shorter"),
        ({"colection": "Tiny"}, {}, "'colection'", "collection"),
        ({"space_hardware": "cray"}, {}, "no Space hardware 'cray'", "zero-a10g"),
        ({"contact": "nowhere"}, {}, "no address", "https://"),
        ({"weights": "none"}, {"methods": ["wanda"]}, "do not give its weights again", "--with-mask"),
        ({}, {"models": ["llama"]}, "is a folder", "base-id"),
        ({}, {"name": "taken"}, "another data set", "another `name`"),
    ],
)
def test_what_the_hub_would_refuse_is_refused_before_anything_is_built(
    hub: HubServer,
    release: Command,
    publication: dict[str, Any],
    fields: dict[str, Any],
    seen: str,
    remedy: str,
) -> None:
    theirs = hub.store.create("datasets", "ada/taken", False, None)
    entries = {"data.csv": hub.store.keep([b"theirs"], lfs=False)}
    theirs.branches["main"] = theirs.record(theirs.branches["main"], "mine", "", entries)
    theirs.save()
    refused = release("sweep", grid(publication, **fields), code=2)
    assert seen in refused["error"]
    assert remedy in refused["remedy"]
    assert not Path("releases").exists()


def test_the_study_s_grid_is_thirty_six_repositories(hub: HubServer, release: Command, llama: Path) -> None:
    """Its three models are tiny ones here; nothing is fetched of them but headers."""
    study = default_study()
    for model in study.models:
        lay(hub, model, llama)
    asked = len(hub.seen)
    told = release("sweep", str(EXAMPLES / "study.yaml"), "--dry-run")
    cells = told["cells"]
    assert {(cell["model"], cell["method"], Decimal(cell["sparsity"])) for cell in cells} == {
        *product(study.models, study.methods, study.sparsities)
    }
    assert len({repository for cell in cells for repository in cell["repositories"]}) == 36
    assert told["left"]["bytes_to_upload"] == told["left"]["bytes_to_write"] == 36 * cells[0]["bytes_to_write"] > 0
    assert {seen.method for seen in hub.seen[asked:]} <= {"GET", "HEAD"}


@pytest.mark.parametrize("path", GOLDENS, ids=lambda path: path.parent.name)
def test_a_note_says_what_changed_within_what_the_hub_takes(path: Path) -> None:
    said = note(Record.model_validate_json(path.read_bytes()))
    assert 100 < len(said) <= LONGEST_NOTE
    assert "95 % interval" in said
