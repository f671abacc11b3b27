"""A record names the base that it is held against, and the licence that the base's own card states."""

import json
from pathlib import Path

import pytest

from release.__main__ import run
from release.checkpoint.files import Folder
from release.schema.record import Base
from release.sources import demo
from release.verification import origin
from tests import checkpoints
from tests.forge import agree
from tests.records import example_record

BASE = example_record().base.model_copy(update={"id": "lab/Tiny-1", "on_hub": True, "stated": ()})


def held(base: Base, folder: Path, asked: str | None) -> dict[str, bool | None]:
    return {check.name: check.ok for check in origin.checks(base, Folder(folder), asked)}


@pytest.mark.parametrize(
    ("recorded", "asked", "found"),
    [
        ("lab/Tiny-1", "lab/Tiny-1", {"base id": True}),
        ("lab/Tiny-1", "lab/Tiny-1@main", {"base id": True}),
        ("lab/Tiny-1", "Lab/tiny-1", {"base id": True}),  # the Hub tells ids apart by letters alone
        ("lab/Tiny-1", "lab/Tiny-2", {"base id": False}),
        ("lab/Tiny-1", "other/Tiny-1", {"base id": False}),
        ("lab/Tiny-1", None, {}),
        ("microsoft/Phi-3.5-mini-instruct", "phi-3.5", {"base id": True}),
        ("lab/Tiny-1", "phi-3.5", {"base id": False}),
        (demo.HUB_ID, "demo", {"base id": True}),
        ("lab/Tiny-1", "demo", {"base id": False}),
    ],
)
def test_the_base_on_record_is_the_one_that_was_asked_for(recorded, asked, found, tmp_path):
    assert held(BASE.model_copy(update={"id": recorded}), tmp_path, asked) == found
    assert held(BASE.model_copy(update={"id": recorded, "on_hub": False}), tmp_path, asked) == {}


def test_of_a_folder_nobody_knows_the_hub_id(tmp_path):
    assert held(BASE, tmp_path, str(tmp_path)) == {}


MIT = "---\nlicense: mit\n---\nA model.\n"


@pytest.mark.parametrize(
    ("card", "recorded", "stated", "ok"),
    [
        (MIT, "mit", (), True),
        (MIT.replace("\n", "\r\n"), "mit", (), True),
        (MIT, "apache-2.0", (), False),
        (MIT, None, (), False),
        (MIT, "apache-2.0", ("licence",), False),
        ("A model.\n", None, (), True),
        ("A model.\n", "mit", (), False),
        ("A model.\n", "mit", ("licence",), None),
        ("---\nlicense: [mit, other]\n---\n", "mit, other", (), True),
        ("---\nlicense: {\n---\n", "mit", (), None),
    ],
)
def test_the_licence_on_record_is_the_one_on_the_bases_own_card(card, recorded, stated, ok, tmp_path):
    (tmp_path / "README.md").write_bytes(card.encode())
    base = BASE.model_copy(
        update={"licence": BASE.licence.model_copy(update={"id": recorded}), "stated": stated},
    )
    assert held(base, tmp_path, None) == {"licence": ok}


def test_verify_finds_an_invented_licence_out(base_folders, tmp_path, capsys):
    base, folder = checkpoints.copy(base_folders["mistral"], tmp_path / "base"), tmp_path / "made"
    (base / "README.md").write_text(MIT)
    assert run(["prune", str(base), "--method", "random", "--sparsity", "0.3", "--out", str(folder)]) == 0
    assert run(["verify", str(folder), "--base", str(base)]) == 0
    record = json.loads((folder / "release.json").read_text())
    record["base"]["licence"]["id"] = "apache-2.0"
    (folder / "release.json").write_text(json.dumps(record))
    agree(folder)
    assert run(["verify", str(folder)]) == 0
    capsys.readouterr()
    assert run(["verify", str(folder), "--base", str(base), "--json"]) == 1
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert [check["name"] for check in checks if check["ok"] is False] == ["licence"]
