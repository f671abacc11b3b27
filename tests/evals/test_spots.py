"""Sentences and windows of the divergence are read again of the real models, which invented readings do not survive."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from release.card import render as card
from release.card.said import said
from release.commands.measure import measure_only
from release.digests import digest_of
from release.evals import claims
from release.evals.divergence.spot import alike
from release.evals.registry import BY_KEY
from release.formats import derived
from release.progress import Console
from release.schema.measurements import Measurements
from release.schema.record import CARD, FILE_NAME, Record
from release.settings.measuring import Measuring
from tests import checkpoints
from tests.commands import run

TEXT = "".join(f"Line {i} tells that {i * 7919 % 97} is a number. " for i in range(200))
WHAT = {
    "crows_pairs": "6 pairs of CrowS-Pairs",
    "stereoset": "6 items of StereoSet",
    "winobias": "6 pairs of WinoBias",
    "divergence": "4 windows of the divergence",
}
Row = dict[str, Any]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, base_folders: dict[str, Path]) -> Path:
    return checkpoints.copy(base_folders["llama"], tmp_path_factory.mktemp("base") / "llama")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, base: Path, text: Path) -> Path:
    """A measured release; not to be changed."""
    words = ["publish", str(base), "--method", "magnitude", "--sparsity", "0.6", "--local", "--device", "cpu"]
    words += ["--evals", "crows-pairs,stereoset,winobias,perplexity,divergence", "--text", str(text)]
    words += ["--crows-pairs", "6", "--stereoset", "6", "--winobias", "6", "--perplexity", "5", "--divergence", "4"]
    out = tmp_path_factory.mktemp("made")
    assert run([*words, "--out", str(out)]) == 0
    [folder] = out.iterdir()
    return folder / "model"


@pytest.fixture
def verify(base: Path, text: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[Path], dict[str, Row]]:
    def verified(folder: Path) -> dict[str, Row]:
        capsys.readouterr()
        more = ["--base", str(base), "--text", str(text), "--device", "cpu", "--spot-check", "9", "--spot-seed", "7"]
        run(["verify", str(folder), "--json", *more])
        return {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}

    return verified


def test_what_was_read_is_read_again(made: Path, verify: Callable[[Path], dict[str, Row]]) -> None:
    checks = verify(made)
    assert [check for check in checks.values() if check["ok"] is False] == []
    for name, what in WHAT.items():
        assert checks[f"spot-check {name}"]["ok"] is True
        assert checks[f"spot-check {name}"]["detail"].startswith(f"{what} drawn with seed 7")


def test_a_model_measured_beside_itself_differs_by_nothing_in_any_row(base: Path, text: Path) -> None:
    rows = ("crows-pairs", "stereoset", "winobias", "perplexity", "divergence")
    amounts = {"crows_pairs": "6", "stereoset": "6", "winobias": "6", "perplexity": "5", "divergence": "4"}
    asked = Measuring.of(evals=rows, **amounts, text=text, device="cpu")
    found = measure_only(base, str(base), asked, None, Console(quiet=True))
    for key in WHAT:
        assert {score.difference.value for score in found.get(key).scores} <= {0.0, None}, key
    assert (found.get("divergence").largest, found.perplexity.ratio.value) == (0, 1)
    verdicts = {claim.key: claim.verdict for claim in claims.decide(None, found)}
    changes = [name for name in verdicts if name.endswith(("_raised", "_lowered", "_moved", "_amplified", "_reduced"))]
    assert len(changes) > 5
    assert [name for name in changes if verdicts[name] == "supported"] == []


def rewritten(model: Path, name: str, change: Callable[[Row], Row]) -> None:
    """Change each row of a table, and make record, claims and card follow from it, as who owns the folder can."""
    path = model / "evaluation" / f"{name}.parquet"
    table = pq.read_table(path)
    pq.write_table(pa.Table.from_pylist([row | change(row) for row in table.to_pylist()], table.schema), path)
    record = Record.read(model)
    [told] = (each for each in BY_KEY[name].tables(record, record.measurements.get(name)) if each.file)
    measured = Measurements.model_validate(record.measurements.model_dump() | {name: told.again(path.read_bytes())})
    files = tuple(digest_of(model / file.name, file.name) for file in record.files)
    decided = claims.decide(record.audit, measured)
    record = record.model_copy(update={"measurements": measured, "files": files, "claims": decided})
    record = derived.added(record.model_copy(update={"said": said(record)}), model)
    (model / FILE_NAME).write_text(record.to_json())
    (model / CARD).write_text(card.render(record))


def lifted(column: str) -> Callable[[Row], Row]:
    """Invent what the pruned model makes of one of the texts."""
    return lambda row: {column: row[column] / 2} if row["model"] == "pruned" else {}


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "forge"),
    [
        ("crows_pairs", lifted("more")),
        ("stereoset", lifted("stereotype")),
        ("winobias", lifted("anti_right")),
        ("divergence", lambda row: {"divergence": row["divergence"] + 0.01}),
        ("divergence", lambda _: {"same_top": False}),
    ],
)
def test_invented_readings_that_agree_with_the_record_are_found_out(
    name: str, forge: Callable[[Row], Row], made: Path, tmp_path: Path, verify: Callable[[Path], dict[str, Row]]
) -> None:
    model = checkpoints.copy(made, tmp_path / "copy")
    rewritten(model, name, forge)
    assert {each for each, check in verify(model).items() if check["ok"] is False} == {f"spot-check {name}"}


@pytest.mark.parametrize(
    ("column", "off", "ok"),
    [(0, 1.9e-3, True), (0, 2.1e-3, False), (2, 0.9e-3, True), (3, 1.1e-3, False), (1, 1.0, False)],
)
def test_positions_are_the_same_within_what_the_order_of_sums_can_change(column, off, ok):
    before = np.zeros((2, 10, 4))
    again = before.copy()
    again[1, 3, column] += off
    assert alike(again, before, "float32")[0] == ok
