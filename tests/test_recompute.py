"""Numbers on a card follow from the answers beside them, or verification fails and says where."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from release.__main__ import run
from release.card import render as card
from release.card.said import said
from release.digests import digest_of
from release.evals import claims
from release.evals.bbq import again as bbq_again
from release.evals.bbq import data as bbq
from release.evals.bbq.categories import SIZES
from release.evals.perplexity import again as perplexity_again
from release.evals.perplexity.table import read_losses, write_losses
from release.formats import derived
from release.schema.record import CARD, FILE_NAME, Record
from tests import checkpoints

pytestmark = pytest.mark.long  # three measured releases are made before the first test

READINGS = ("letters", "answers", "generate")
Rows = list[dict[str, Any]]
Forge = Callable[[Path], None]


def publish(base: Path, out: Path, reading: str = "letters", *more: str) -> Path:
    command = ["publish", str(base), "--method", "magnitude", "--sparsity", "0.6", "--local", "--out", str(out)]
    command += [
        "--bbq",
        "24",
        "--bbq-scoring",
        reading,
        "--perplexity",
        "4",
        "--divergence",
        "off",
        "--device",
        "cpu",
        *more,
    ]
    assert run(command) == 0
    [folder] = out.iterdir()
    return folder


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory, base_folders: dict[str, Path]) -> Path:
    """A tiny base that can read BBQ's prompts."""
    folder = checkpoints.copy(base_folders["llama"], tmp_path_factory.mktemp("reader") / "llama")
    checkpoints.edit_config(folder, max_position_embeddings=2048)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, reader: Path) -> dict[str, Path]:
    """One measured release per way of reading; not to be changed."""
    root = tmp_path_factory.mktemp("made")
    timed = {"letters": ("--latency", "auto")}
    return {
        each: publish(reader, root / each, each, *timed.get(each, ("--latency", "off"))) / "model" for each in READINGS
    }


@pytest.fixture
def model(made: dict[str, Path], tmp_path: Path) -> Path:
    return checkpoints.copy(made["letters"], tmp_path / "copy")


def verify(folder: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, dict[str, dict[str, Any]]]:
    capsys.readouterr()
    code = run(["verify", str(folder), "--json", *more])
    return code, {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}


def sealed(model: Path, **changes: Any) -> None:
    """Make record, claims and card agree with the folder again, as a forger who owns it can."""
    record = Record.read(model)
    measured = record.measurements.model_copy(update=changes)
    files = tuple(digest_of(model / file.name, file.name) for file in record.files if (model / file.name).is_file())
    decided = claims.decide(record.audit, measured)
    record = record.model_copy(update={"measurements": measured, "files": files, "claims": decided})
    record = derived.added(record.model_copy(update={"said": said(record)}), model)
    (model / FILE_NAME).write_text(record.to_json())
    (model / CARD).write_text(card.render(record))


def rewrite(name: str, change: Callable[[Rows], Rows]) -> Forge:
    """Change a table's rows and keep its columns."""

    def forge(model: Path) -> None:
        path = model / "evaluation" / f"{name}.parquet"
        table = pq.read_table(path)
        pq.write_table(pa.Table.from_pylist(change(table.to_pylist()), table.schema), path)
        sealed(model)

    return forge


def each_row(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Rows], Rows]:
    return lambda rows: [row | change(row) for row in rows]


def first_row(**changes: Any) -> Callable[[Rows], Rows]:
    return lambda rows: [rows[0] | changes, *rows[1:]]


def another_choice(rows: Rows) -> Rows:
    return first_row(choice=(rows[0]["choice"] + 1) % 3)(rows)


def likelier(rows: Rows) -> Rows:
    """Raise one answer's log-probability and choose it, its letters left as they are."""
    choice = (rows[0]["choice"] + 1) % 3
    return first_row(**{f"logp_ans{choice}": 5.0, "choice": choice})(rows)


def louder_letter(rows: Rows) -> Rows:
    return first_row(logp_a_r0=rows[0]["logp_a_r0"] + 0.5)(rows)


def swapped(rows: Rows) -> Rows:
    half = len(rows) // 2
    dense, pruned = rows[:half], rows[half:]
    return [*(row | {"model": "dense"} for row in pruned), *(row | {"model": "pruned"} for row in dense)]


def invented(model: Path) -> None:
    """Write the dense model's answers down as the pruned one's, so that nothing changed."""
    sealed(model)
    record = Record.read(model)
    scores = tuple(
        s.model_copy(update={"pruned": s.dense, "difference": zero(s)}) for s in record.measurements.bbq.scores
    )
    sealed(model, bbq=record.measurements.bbq.model_copy(update={"scores": scores}))


def zero(score: Any) -> Any:
    return score.difference.model_copy(update={"value": 0.0, "low": 0.0, "high": 0.0})


def field(measurement: str, **changes: Any) -> Forge:
    def forge(model: Path) -> None:
        found = getattr(Record.read(model).measurements, measurement)
        sealed(model, **{measurement: found.model_copy(update=changes)})

    return forge


def of_another_release(model: Path) -> None:
    """Answers to the items of another draw, which fit each other."""
    data = bbq.read_bbq(None, checkpoints_console())[0]
    path = model / "evaluation" / "bbq.parquet"
    rows = pq.read_table(path).to_pylist()
    half = len(rows) // 2
    items = sorted(data[5 : 5 + 700 * half : 700][:half], key=lambda item: (item.category, item.example_id))
    names = ("category", "example_id", "question_index", "condition", "polarity", "unknown", "target", "label")
    facts = [{name: getattr(item, name) for name in names} for item in items] * 2
    rewrite("bbq", lambda _: [row | fact for row, fact in zip(rows, facts, strict=True)])(model)


def checkpoints_console() -> Any:
    from release.progress import Console

    return Console(quiet=True)


def more_columns(model: Path) -> None:
    path = model / "evaluation" / "bbq.parquet"
    table = pq.read_table(path)
    pq.write_table(table.append_column("note", pa.array(["x"] * table.num_rows)), path)
    sealed(model)


def more_metadata(model: Path) -> None:
    path = model / "evaluation" / "bbq.parquet"
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({"note": "x"}), path)
    sealed(model)


def long_text(model: Path) -> None:
    rewrite("bbq", each_row(lambda _: {"category": "x" * 1_000_000}))(model)


def bytes_of(name: str, content: bytes) -> Forge:
    def forge(model: Path) -> None:
        (model / "evaluation" / f"{name}.parquet").write_bytes(content)
        sealed(model)

    return forge


def without(name: str) -> Forge:
    def forge(model: Path) -> None:
        (model / "evaluation" / f"{name}.parquet").unlink()
        sealed(model)

    return forge


def halved(row: dict[str, Any]) -> dict[str, Any]:
    part = 0.5 if row["model"] == "pruned" else 1.0
    return {name: row[name] * part for name in ("prefill_seconds", "decode_seconds")}


def next_item(row: dict[str, Any]) -> dict[str, Any]:
    return {"example_id": row["example_id"] + 1}


FORGERIES: dict[str, tuple[str, Forge]] = {
    "one choice": ("bbq", rewrite("bbq", another_choice)),
    "one log-probability of an answer": ("bbq", rewrite("bbq", likelier)),
    "one log-probability of a letter": ("bbq", rewrite("bbq", louder_letter)),
    "one best letter": ("bbq", rewrite("bbq", lambda rows: first_row(letter0=(rows[0]["letter0"] + 1) % 3)(rows))),
    "one label": ("bbq", rewrite("bbq", lambda rows: first_row(label=(rows[0]["label"] + 1) % 3)(rows))),
    "every target": ("bbq", rewrite("bbq", each_row(lambda row: {"target": (row["unknown"] + 1) % 3}))),
    "one polarity": ("bbq", rewrite("bbq", first_row(polarity="both"))),
    "dense and pruned exchanged": ("bbq", rewrite("bbq", swapped)),
    "rows dropped": ("bbq", rewrite("bbq", lambda rows: rows[1:])),
    "items dropped for both": ("bbq", rewrite("bbq", lambda rows: rows[1:24] + rows[25:])),
    "rows doubled": ("bbq", rewrite("bbq", lambda rows: [rows[0], *rows[:24], rows[24], *rows[24:]])),
    "rows in another order": ("bbq", rewrite("bbq", lambda rows: [*rows[:24][::-1], *rows[24:][::-1]])),
    "no rows": ("bbq", rewrite("bbq", lambda _: [])),
    "other items": ("bbq", of_another_release),
    "not a number": ("bbq", rewrite("bbq", first_row(logp_ans0=float("nan")))),
    "infinity": ("bbq", rewrite("bbq", first_row(logp_b_r1=float("-inf")))),
    "nothing": ("bbq", rewrite("bbq", first_row(choice=None))),
    "a column more": ("bbq", more_columns),
    "metadata": ("bbq", more_metadata),
    "long texts": ("bbq", long_text),
    "no table": ("bbq", bytes_of("bbq", b"PAR1" + bytes(100) + b"PAR1")),
    "empty": ("bbq", bytes_of("bbq", b"")),
    "huge": ("bbq", bytes_of("bbq", bytes((64 << 20) + 1))),
    "missing answers": ("bbq", without("bbq")),
    "invented scores": ("bbq", invented),
    "another guess": ("bbq", field("bbq", guessing_level=0.9)),
    "fewer items": ("bbq", field("bbq", items=12)),
    "another seed of the draw": ("bbq", field("bbq", sample_seed=7)),
    "the whole set": ("bbq", field("bbq", sample_seed=None)),
    "a larger population": ("bbq", field("bbq", population=10**6)),
    "other letters": ("bbq", field("bbq", letters_pruned=(24, 24, 24))),
    "losses scaled": ("perplexity", rewrite("perplexity", each_row(lambda row: {"loss": row["loss"] * 0.9}))),
    "one loss": ("perplexity", rewrite("perplexity", lambda rows: first_row(loss=rows[0]["loss"] - 1)(rows))),
    "a negative loss": ("perplexity", rewrite("perplexity", first_row(loss=-1.0))),
    "losses exchanged": ("perplexity", rewrite("perplexity", swapped)),
    "a window dropped": ("perplexity", rewrite("perplexity", lambda rows: rows[1:])),
    "fewer tokens scored": ("perplexity", rewrite("perplexity", each_row(lambda row: {"tokens": row["tokens"] + 1}))),
    "windows of no tokens": ("perplexity", field("perplexity", window=1)),
    "more windows": ("perplexity", field("perplexity", windows=10**9)),
    "missing losses": ("perplexity", without("perplexity")),
    "answers in place of losses": ("perplexity", lambda model: bytes_of("perplexity", answers_of(model))(model)),
    "faster": ("latency", rewrite("latency", each_row(halved))),
    "no time": ("latency", rewrite("latency", first_row(prefill_seconds=0.0))),
    "times dropped": ("latency", rewrite("latency", lambda rows: rows[2:])),
    "times of other items": (
        "latency",
        rewrite("latency", each_row(lambda row: {"example_id": row["example_id"] + 1})),
    ),
    "slow ones called a warm-up": ("latency", rewrite("latency", first_row(counted=True))),
    "missing times": ("latency", without("latency")),
    "smaller files": ("storage", lambda model: field("storage", pruned_bytes=1)(model)),
}


def answers_of(model: Path) -> bytes:
    return (model / "evaluation" / "bbq.parquet").read_bytes()


@pytest.mark.parametrize("kind", FORGERIES)
def test_what_does_not_follow_from_the_answers_fails(
    kind: str, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, forge = FORGERIES[kind]
    forge(model)
    code, checks = verify(model, capsys)
    assert code == 1
    assert {each for each, check in checks.items() if check["ok"] is False} == {name}
    assert len(checks[name]["detail"]) < 1000
    assert checks[name]["detail"].isprintable()


@pytest.mark.parametrize("kind", ["one choice", "invented scores", "dense and pruned exchanged", "a larger population"])
def test_they_fail_too_where_bbq_is_not_at_hand(
    kind: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RELEASE_CACHE", str(tmp_path / "empty"))
    name, forge = FORGERIES[kind]
    forge(model)
    code, checks = verify(model, capsys)
    assert (code, checks[name]["ok"]) == (1, False)


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("with_bbq", [True, False])
def test_an_honest_release_passes(
    reading: str,
    with_bbq: bool,
    made: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if not with_bbq:
        monkeypatch.setenv("RELEASE_CACHE", str(tmp_path / "empty"))
    code, checks = verify(made[reading].parent, capsys)
    assert [check for check in checks.values() if check["ok"] is False] == []
    assert code == 0
    assert ("not fetched" in checks["bbq"]["detail"]) is not with_bbq
    named = {"bbq", "perplexity", "storage", "claims"} | ({"latency"} if reading == "letters" else set())
    assert {name for name in named if checks[name]["ok"] is True} == named


def test_every_check_of_a_measured_release_has_a_name_of_its_own(
    made: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Two were once called “claims”, and who read them by name saw the last."""
    capsys.readouterr()
    run(["verify", str(made["letters"]), "--json"])
    names = [check["name"] for check in json.loads(capsys.readouterr().out)["checks"]]
    assert {"claims", "card claims"} <= set(names)
    assert len(names) == len(set(names))


VERIFIED = """
import sys
from release.__main__ import run
code = run(["verify", sys.argv[1], *sys.argv[2:]])
print(*sorted(sys.modules.keys() & {"torch", "transformers"}))
sys.exit(code)
"""


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("based", [False, True], ids=["by itself", "with its base"])
def test_what_runs_models_is_not_imported_to_compute_from_answers(
    reading: str, based: bool, made: dict[str, Path], reader: Path
) -> None:
    """torch and transformers once made `verify` of a measured release four to eight seconds slower."""
    more = ["--base", str(reader)] if based else []
    command = [sys.executable, "-c", VERIFIED, str(made[reading]), *more]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == ""


def test_a_claim_that_the_evidence_does_not_decide_so_fails(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = Record.read(model)
    others = {"supported": "contradicted", "contradicted": "supported"}
    turned = tuple(c.model_copy(update={"verdict": others.get(c.verdict, "supported")}) for c in record.claims)
    record = record.model_copy(update={"claims": turned})
    (model / FILE_NAME).write_text(record.to_json())
    (model / CARD).write_text(card.render(record))
    code, checks = verify(model, capsys)
    assert (code, checks["claims"]["ok"]) == (1, False)
    assert "verdict" in checks["claims"]["detail"]


def test_a_text_that_was_parsed_otherwise_fails(
    made: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = checkpoints.copy(made["generate"], tmp_path / "copy")
    rewrite("bbq", first_row(text="A", choice=2))(model)
    code, checks = verify(model, capsys)
    assert (code, checks["bbq"]["ok"]) == (1, False)
    assert "does not follow" in checks["bbq"]["detail"]


def test_sizes_of_the_categories_are_bbqs() -> None:
    data = bbq.read_bbq(None, checkpoints_console())[0]
    found: dict[str, list[int]] = {}
    for item in data:
        found.setdefault(item.category, []).append(item.condition == "ambig")
    assert {name: len(flags) for name, flags in found.items()} == SIZES
    assert all(2 * sum(flags) == len(flags) for flags in found.values())


def test_losses_come_back_exactly_and_give_the_same_bytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    losses = {name: rng.random(50, dtype=np.float32).astype(float) * 10 for name in ("dense", "pruned")}
    for name in ("a", "b"):
        write_losses(tmp_path / name, 255, losses)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    dense, pruned = read_losses((tmp_path / "a").read_bytes(), 50, 255)
    assert (dense == losses["dense"]).all()
    assert (pruned == losses["pruned"]).all()


@pytest.mark.parametrize("place", range(0, 4000, 193))
def test_a_table_with_any_byte_changed_never_ends_in_a_traceback(
    place: int, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = model / "evaluation" / "perplexity.parquet"
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= 0x55
    path.write_bytes(data)
    sealed(model)
    code, checks = verify(model, capsys)
    assert code in (0, 1)
    assert checks["perplexity"]["ok"] is not None


# Asked again of the models


def agreed(model: Path) -> None:
    """Make the record follow from its forged tables, so that they agree with each other."""
    sealed(model)
    record = Record.read(model)
    read = {name: (model / "evaluation" / f"{name}.parquet").read_bytes() for name in ("bbq", "perplexity")}
    measured = record.measurements
    changes = {"bbq": bbq_again.again(record, measured.bbq, read["bbq"])}
    sealed(model, **changes, perplexity=perplexity_again.again(measured.perplexity, read["perplexity"]))


def as_the_dense_one(rows: Rows) -> Rows:
    half = len(rows) // 2
    return [*rows[:half], *(row | {"model": "pruned"} for row in rows[:half])]


def less(row: dict[str, Any]) -> dict[str, Any]:
    return {"loss": row["loss"] - 1} if row["model"] == "pruned" else {}


@pytest.mark.parametrize("reading", ["letters", *(pytest.param(each, marks=pytest.mark.long) for each in READINGS[1:])])
def test_what_the_models_said_is_said_again(
    reading: str, made: dict[str, Path], reader: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ("--base", str(reader), "--spot-check", "5", "--spot-seed", "7", "--device", "cpu")
    code, checks = verify(made[reading], capsys, *more)
    assert code == 0
    whats = {"bbq": "5 items", "perplexity": "4 windows of text", "answers": "5 sample answers"}
    for name, what in whats.items():
        assert checks[f"spot-check {name}"]["ok"] is True
        assert checks[f"spot-check {name}"]["detail"].startswith(f"{what} drawn")
        assert "seed 7" in checks[f"spot-check {name}"]["detail"]


@pytest.mark.parametrize(("name", "forge"), [("bbq", as_the_dense_one), ("perplexity", each_row(less))])
@pytest.mark.parametrize("reading", ["letters", *(pytest.param(each, marks=pytest.mark.long) for each in READINGS[1:])])
def test_answers_that_agree_with_the_record_but_not_with_the_models_are_found_out(
    reading: str,
    name: str,
    forge: Callable[[Rows], Rows],
    made: dict[str, Path],
    reader: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = checkpoints.copy(made[reading], tmp_path / "copy")
    rewrite(name, forge)(model)
    agreed(model)
    more = ("--base", str(reader), "--device", "cpu")
    code, checks = verify(model, capsys, *more)
    assert (code, [check for check in checks.values() if check["ok"] is False]) == (0, [])
    code, checks = verify(model, capsys, *more, "--spot-check", "200")  # all: few may miss what differs
    assert code == 1
    assert {each for each, check in checks.items() if check["ok"] is False} == {f"spot-check {name}"}


def test_a_seed_of_its_own_is_said_and_another_each_time(
    made: dict[str, Path], reader: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = set()
    for _ in range(2):
        more = ("--base", str(reader), "--spot-check", "1", "--device", "cpu")
        said.add(verify(made["letters"], capsys, *more)[1]["spot-check bbq"]["detail"].split("asked")[0])
    assert len(said) == 2


def other_text(tmp_path: Path) -> list[str]:
    (tmp_path / "text.txt").write_text("Some other text. " * 1000)
    return ["--text", str(tmp_path / "text.txt")]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (other_text, "Perplexity was measured on"),
        (lambda path: ["--bbq-data", str(path)], "holds no Age.jsonl"),
    ],
)
def test_what_was_asked_for_and_cannot_be_made_fails_with_its_reason(
    more: Callable[[Path], list[str]],
    words: str,
    made: dict[str, Path],
    reader: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spot = ("--base", str(reader), "--spot-check", "1", *more(tmp_path))
    code, checks = verify(made["letters"], capsys, *spot)
    assert (code, checks["spot-check"]["ok"]) == (1, False)
    assert words in checks["spot-check"]["detail"]


def test_a_device_that_cannot_be_here_is_refused_before_anything_is_checked(
    made: dict[str, Path], reader: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    more = ["--base", str(reader), "--spot-check", "1", "--device", "cuda:99", "--json"]
    assert run(["verify", str(made["letters"]), *more]) == 2
    assert "Device 'cuda:99' cannot be used" in json.loads(capsys.readouterr().out)["error"]


def test_without_base_or_measurements_a_spot_check_fails(
    made: dict[str, Path], reader: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, checks = verify(made["letters"], capsys, "--spot-check", "1")
    assert (code, checks["spot-check"]["ok"]) == (1, False)
    assert "--base MODEL" in checks["spot-check"]["detail"]
    command = ["prune", str(reader), "--method", "random", "--sparsity", "0.3", "--out", str(tmp_path / "bare")]
    assert run(command) == 0
    code, checks = verify(tmp_path / "bare", capsys, "--base", str(reader), "--spot-check", "1")
    assert (code, checks["spot-check"]["ok"]) == (1, False)
    assert "neither answers nor losses" in checks["spot-check"]["detail"]


@pytest.mark.parametrize(
    ("name", "forged"),
    [
        ("reached", False),
        ("wanted", 0.4),
        ("planned", (200, 1200)),
        ("level", 0.95),
        ("taken", ()),
        ("change", {"value": 0.0, "low": 0.0, "high": 0.0}),
    ],
)
def test_the_looks_that_a_precision_took_follow_from_the_answers(
    name: str, forged: object, looked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(looked, capsys)[1]["bbq"]["ok"]
    copy = checkpoints.copy(looked, tmp_path / "copy")
    found = Record.read(copy).measurements.bbq
    assert found is not None
    assert found.looks is not None
    looks = found.looks.model_validate(found.looks.model_dump() | {name: forged})
    sealed(copy, bbq=found.model_copy(update={"looks": looks}))
    code, checks = verify(copy, capsys)
    assert code == 1
    assert "looks" in checks["bbq"]["detail"]


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory, reader: Path) -> Path:
    """A release whose number of items a precision decided; not to be changed."""
    out = tmp_path_factory.mktemp("looked")
    command = ["publish", str(reader), "--method", "magnitude", "--sparsity", "0.6", "--local", "--out", str(out)]
    command += ["--precision", "0.5", "--bbq-categories", "Religion", "--perplexity", "off", "--latency", "off"]
    assert run([*command, "--device", "cpu"]) == 0
    [folder] = out.iterdir()
    return folder / "model"
