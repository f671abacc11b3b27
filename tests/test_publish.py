"""The whole path on the real demo model: from one command to a verified release."""

import csv
import hashlib
import json
from pathlib import Path

import pyarrow.parquet as parquet
import pytest

from release.__main__ import run
from release.schema.record import Record
from release.sources import demo
from tests import checkpoints

pytestmark = [pytest.mark.demo, pytest.mark.long]  # a real model, pruned and measured

NAME = "smollm2-135m-instruct-random-s10"
RUN = {"seconds": 0, "recalled": 0}
"""What a second measurement says otherwise."""
SMALL = ["--bbq", "16", "--perplexity", "2", "--latency", "2"]


def publish(out: Path, *more: str) -> int:
    return run(["publish", "demo", "--method", "random", "--sparsity", "0.1", "--local", "--out", str(out), *more])


def hashes(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.glob("*.safetensors")}


@pytest.fixture(scope="module")
def release(tmp_path_factory, demo_folder) -> Path:
    out = tmp_path_factory.mktemp("releases")
    assert publish(out, *SMALL) == 0
    return out / NAME


def test_the_release_has_every_part(release):
    assert sorted(p.name for p in release.iterdir()) == ["model", "space", "work"]
    files = {p.relative_to(release / "model").as_posix() for p in (release / "model").rglob("*") if p.is_file()}
    assert {"README.md", "release.json", "sparsity.csv", "model.safetensors", "config.json", "LICENSE"} <= files
    assert "evaluation/bbq.parquet" in files
    assert {"README.md", "app.py", "requirements.txt"} <= {p.name for p in (release / "space").iterdir()}
    assert not [name for name in files if name.endswith((".py", ".partial"))]


def test_the_counts_are_exact_and_read_from_the_file(release, demo_folder):
    record = Record.read(release / "model")
    assert record.audit.prunable_parameters == demo.PRUNABLE == 106_168_320
    assert (demo_folder / "model.safetensors").stat().st_size == demo.WEIGHT_BYTES
    assert record.audit.zeroed_parameters == 10_616_832
    assert record.audit.zeros_before == 33_483
    values, base = checkpoints.tensors(release / "model"), checkpoints.tensors(demo_folder)
    with (release / "model" / "sparsity.csv").open() as file:
        table = list(csv.DictReader(file))
    assert {row["name"] for row in table} == set(values)
    prunable = [row for row in table if row["module"]]
    assert sum(int((values[row["name"]] == 0).sum()) for row in prunable) == 10_616_832
    for row in table:
        assert int(row["zeros"]) == int((values[row["name"]] == 0).sum())
        kept = values[row["name"]] != 0 if row["module"] else slice(None)
        assert (values[row["name"]][kept] == base[row["name"]][kept]).all()


def test_it_verifies_against_its_base_without_being_told_which(release, capsys):
    capsys.readouterr()
    assert run(["verify", str(release), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"]
    assert answer["prunable_parameters"] == 106_168_320
    checks = {check["name"]: check["ok"] for check in answer["checks"]}
    assert checks["kept weights"] is True
    assert checks["card"] is True
    assert None not in checks.values()


def test_the_same_command_again_changes_nothing_and_keeps_what_was_written_around_the_card(release):
    card = release / "model" / "README.md"
    generated = card.read_text(encoding="utf-8")
    card.write_text(generated + "\n## Notes\n\nMine.\n", encoding="utf-8")
    before = {p: p.read_bytes() for p in (release / "model").rglob("*") if p.is_file()}
    assert publish(release.parent, *SMALL) == 0
    assert before == {p: p.read_bytes() for p in (release / "model").rglob("*") if p.is_file()}
    card.write_text(generated, encoding="utf-8")


@pytest.mark.long
@pytest.mark.parametrize("threads", ["1", "3"])
def test_any_number_of_threads_gives_the_same_weights(threads, release, tmp_path):
    assert publish(tmp_path, "--bbq", "off", "--perplexity", "off", "--latency", "off", "--threads", threads) == 0
    assert hashes(tmp_path / NAME / "model") == hashes(release / "model")


def test_every_number_measured_is_in_the_record(release):
    measurements = Record.read(release / "model").measurements
    assert measurements.bbq is not None
    assert measurements.bbq.items == 16
    assert measurements.perplexity is not None
    assert measurements.perplexity.windows == 2
    assert measurements.latency is not None
    assert measurements.latency.items == 2
    assert measurements.storage.dense_bytes == measurements.storage.pruned_bytes


def test_the_answers_are_kept_item_by_item_without_bbq_s_text(release):
    table = parquet.read_table(release / "model" / "evaluation" / "bbq.parquet")
    assert table.num_rows == 2 * 16
    assert set(table["model"].to_pylist()) == {"dense", "pruned"}
    assert not {"context", "question", "ans0"} & set(table.column_names)


def test_nothing_local_is_in_what_is_uploaded(release):
    here = [str(Path.home()), str(release.parent), "/tmp/"]
    for path in release.rglob("*"):
        if path.is_file() and path.suffix in {".json", ".md", ".csv", ".txt"} and "work" not in path.parts[-2:]:
            text = path.read_text(encoding="utf-8")
            assert not [place for place in here if place in text], path


def test_the_card_is_written_anew_from_the_record_alone(release):
    card = release / "model" / "README.md"
    before = card.read_text(encoding="utf-8")
    card.unlink()
    assert run(["card", str(release)]) == 0
    assert card.read_text(encoding="utf-8") == before


@pytest.mark.long
def test_words_around_the_card_outlive_rendering_and_an_edit_inside_stops_publishing(release, capsys):
    card = release / "model" / "README.md"
    before = card.read_text(encoding="utf-8")
    card.write_text(before + "\n## Notes\n\nMine.\n", encoding="utf-8")
    assert run(["card", str(release)]) == 0
    assert card.read_text(encoding="utf-8") == before + "\n## Notes\n\nMine.\n"
    card.write_text(before.replace("10.00\u00a0%", "12.00\u00a0%"), encoding="utf-8")
    capsys.readouterr()
    assert run(["card", str(release), "--diff", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["changed"]
    assert "! README.md: line" in said["difference"]
    assert publish(release.parent, *SMALL) == 2
    assert "12.00 % stands where the record says 10.00 %" in capsys.readouterr().err
    card.write_text(before, encoding="utf-8")
    assert run(["card", str(release), "--diff"]) == 0
    assert capsys.readouterr().out == "The card would stay as it is.\n"


def test_a_pair_is_measured_alone_and_gives_the_same_numbers(release, capsys):
    capsys.readouterr()
    assert run(["measure", str(release), "--base", "demo", *SMALL, "--latency", "off", "--json"]) == 0
    alone = json.loads(capsys.readouterr().out)
    recorded = json.loads(Record.read(release / "model").measurements.model_dump_json())
    for part in ("bbq", "perplexity"):
        assert alone[part] | RUN == recorded[part] | RUN


def test_methods_and_models_are_listed(capsys):
    assert run(["methods", "--json"]) == 0
    assert {m["key"] for m in json.loads(capsys.readouterr().out)["methods"]} >= {"random", "magnitude"}
    assert run(["models", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["models"]["phi-3.5"] == "microsoft/Phi-3.5-mini-instruct"
