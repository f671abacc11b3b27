"""Results in other tools' forms follow from the record, keep those forms' rules, and are held against it."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from huggingface_hub import parse_eval_result_entries

from release import __version__
from release.card.metadata import front_matter
from release.checkpoint.files import Folder, is_hidden
from release.contents import is_own, unexpected
from release.evals.tasks.result import Tasks
from release.formats import derived, every_eval_ever
from release.names import problem_of
from release.schema.record import Record
from tests.evals.test_tasks import RIGHT, found_of
from tests.records import example_measurements, example_record

SCHEMA = Path(__file__).parent / "schemas" / "every-eval-ever-0.3.0.json"
GOLDENS = sorted(Path(__file__).parent.glob("goldens*/*/"))


def on_benchmark(**changes: object) -> Tasks:
    """Tasks that ran all of GSM8K, 80 right of 100, and 70 once pruned."""
    found = found_of({"gsm8k": RIGHT}, {"gsm8k": [1.0] * 70 + [0.0] * 30})
    facts = {"dataset": "openai/gsm8k", "shots": 5} | {k: v for k, v in changes.items() if k in ("dataset", "taken")}
    runs = tuple(run.model_copy(update=facts) for run in found.runs)
    return found.model_copy(update={"runs": runs} | {k: v for k, v in changes.items() if k == "imported"})


def recorded(tasks: Tasks | None = None) -> Record:
    record = example_record(measurements=example_measurements(tasks=tasks or on_benchmark()))
    return record.model_copy(update={"environment": record.environment.model_copy(update={"release": __version__})})


RECORDS = {
    "example": lambda: example_record(),
    "tasks": recorded,
    "imported": lambda: recorded(on_benchmark(imported=True)),
} | {f"{path.parent.name}/{path.name}": (lambda path=path: Record.read(path)) for path in GOLDENS}


@pytest.mark.parametrize("name", RECORDS)
def test_every_eval_ever_keeps_its_schema_and_holds_every_value_with_its_interval(name):
    text = every_eval_ever.text_of(RECORDS[name]())
    found = json.loads(text)
    jsonschema.validate(found, json.loads(SCHEMA.read_text(encoding="utf-8")))
    ids = [each["evaluation_result_id"] for each in found["evaluation_results"]]
    assert len(set(ids)) == len(ids) > 3
    assert text == every_eval_ever.text_of(RECORDS[name]())


def test_a_task_stands_there_with_its_data_its_interval_and_the_paired_change():
    record = recorded()
    found = json.loads(every_eval_ever.text_of(record))["evaluation_results"]
    [task] = (each for each in found if each["evaluation_name"].startswith("Capability"))
    score = record.measurements.get("tasks").headlines[0]
    assert task["score_details"]["score"] == pytest.approx(0.7)
    interval = task["score_details"]["uncertainty"]["confidence_interval"]
    assert (interval["lower"], interval["upper"]) == (score.pruned.low, score.pruned.high)
    assert float(task["score_details"]["details"]["change"]) == score.difference.value
    assert (task["source_data"]["hf_repo"], task["source_data"]["samples_number"]) == ("openai/gsm8k", 100)
    assert task["metric_config"]["lower_is_better"] is False


def test_a_release_with_nothing_measured_has_no_such_file():
    measurements = example_measurements(bbq=None, perplexity=None, latency=None, super_weights=None)
    assert derived.derived(example_record(measurements=measurements)) == {}


def test_a_registered_benchmark_is_parsed_back_by_the_hub_s_client_and_left_out_of_the_model_index():
    record = recorded()
    text = derived.derived(record)[".eval_results/gsm8k.yaml"]
    [entry] = parse_eval_result_entries(yaml.safe_load(text))
    assert (entry.dataset_id, entry.task_id, entry.value, entry.date) == ("openai/gsm8k", "gsm8k", 70.0, record.created)
    assert "5-shot" in entry.notes
    assert "the model before pruning: 80.00" in entry.notes
    types = [result["dataset"]["type"] for result in front_matter(record)["model-index"][0]["results"]]
    assert "openai/gsm8k" not in types


@pytest.mark.parametrize("changes", [{"imported": True}, {"taken": "first"}, {"dataset": "madrylab/gsm8k-platinum"}])
def test_what_is_no_whole_registered_benchmark_measured_here_stands_in_the_model_index_alone(changes):
    record = recorded(on_benchmark(**changes))
    assert list(derived.derived(record)) == [every_eval_ever.FILE]
    results = front_matter(record, "lab/model")["model-index"][0]["results"]
    [task] = (each for each in results if each["metrics"][0]["type"] == "acc")
    assert task["dataset"]["type"] == changes.get("dataset", "openai/gsm8k")
    assert task["source"]["url"].endswith("/lab/model/blob/main/release.json")
    assert all("source" not in each for each in front_matter(record)["model-index"][0]["results"])


def test_files_are_listed_in_the_record_and_held_against_it(tmp_path):
    record = derived.added(recorded(), tmp_path)
    names = [".eval_results/gsm8k.yaml", "evaluation/every-eval-ever.json"]
    assert [file.name for file in record.files if derived.is_derived(file.name)] == names
    assert derived.added(record, tmp_path) == record
    [check] = derived.checks(Folder(tmp_path), record)
    assert check.ok
    for name, old, new in (
        (names[0], "70.0", "75.0"),
        (names[1], '"lower_is_better": false', '"lower_is_better": true '),
    ):
        path = tmp_path / name
        kept = path.read_text()
        path.write_text(kept.replace(old, new, 1))
        [check] = derived.checks(Folder(tmp_path), record)
        assert (check.ok, name in check.detail) == (False, True)
        path.write_text(kept)
    (tmp_path / ".eval_results" / "mmlu_pro.yaml").write_text("- value: 99\n")
    assert [check.ok for check in derived.checks(Folder(tmp_path), record)] == [False]
    plain = derived.added(recorded(on_benchmark(imported=True)), tmp_path)
    assert not list((tmp_path / ".eval_results").iterdir())
    assert [check.ok for check in derived.checks(Folder(tmp_path), plain)] == [True]


def test_a_release_of_another_version_is_held_to_its_numbers(tmp_path):
    record = derived.added(recorded(), tmp_path)
    older = record.model_copy(update={"environment": record.environment.model_copy(update={"release": "0.0.1"})})
    path = tmp_path / ".eval_results" / "gsm8k.yaml"
    path.write_text(path.read_text().replace("n = 100", "100 items"))
    (tmp_path / every_eval_ever.FILE).unlink()
    assert [check.ok for check in derived.checks(Folder(tmp_path), older)] == [True]
    assert [check.ok for check in derived.checks(Folder(tmp_path), record)] == [False]
    path.write_text(path.read_text().replace("70.0", "71.0"))
    assert [check.ok for check in derived.checks(Folder(tmp_path), older)] == [False]


@pytest.mark.parametrize(
    ("name", "published"),
    [
        (".eval_results/gsm8k.yaml", True),
        (".eval_results/../x.yaml", False),
        (".eval_results/.x.yaml", False),
        (".eval_results/a/b.yaml", False),
        (".eval_results/x.py", False),
        ("a/.eval_results/x.yaml", False),
        (".eval_results", False),
    ],
)
def test_of_hidden_names_results_alone_are_published(name, published):
    assert is_own(name) == published
    assert is_hidden(name) != published
    assert (problem_of(name) is None) == published
    assert (unexpected([name], ()) == []) == published
