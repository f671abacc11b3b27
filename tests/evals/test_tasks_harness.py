"""The harness itself, on a task over local files: a release is measured by it, and its logs are imported."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from release.errors import UnknownName
from release.evals.tasks.harness import drawn, lengths_of
from release.schema.record import Record
from tests import checkpoints
from tests.commands import OFF, run

pytestmark = pytest.mark.long  # the harness takes seconds to import, and indexes thousands of files

TASK = {
    "task": "sums",
    "dataset_path": "json",
    "test_split": "test",
    "output_type": "multiple_choice",
    "doc_to_text": "{{question}}",
    "doc_to_choice": "{{choices}}",
    "doc_to_target": "label",
    "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    "metadata": {"version": 1.0},
}


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of one task of 30 sums."""
    folder = tmp_path_factory.mktemp("tasks")
    lines = [json.dumps({"question": f"{n} plus 2 is", "choices": [str(n + 2), str(n)], "label": 0}) for n in range(30)]
    (folder / "sums.jsonl").write_text("\n".join(lines) + "\n")
    data = {"dataset_kwargs": {"data_files": {"test": str(folder / "sums.jsonl")}}}
    (folder / "sums.yaml").write_text(yaml.safe_dump(TASK | data))
    return folder


def log_of(model: Path, tasks: Path, out: Path) -> str:
    """Run the harness as people do."""
    words = ["--model", "hf", "--model_args", f"pretrained={model},dtype=float32", "--tasks", "sums", "--device", "cpu"]
    words += ["--include_path", str(tasks), "--log_samples", "--output_path", str(out)]
    done = subprocess.run([sys.executable, "-m", "lm_eval", *words], capture_output=True, text=True, check=False)
    [found] = out.rglob("results_*.json")
    assert done.returncode == 0, done.stderr
    return str(found)


def test_a_release_measured_by_the_harness_has_the_numbers_of_the_harness_s_own_logs(
    tasks: Path, base_folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = checkpoints.copy(base_folders["llama"], tmp_path / "base")
    command = ["publish", str(base), "--method", "magnitude", "--sparsity", "0.6", "--local", "--device", "cpu", *OFF]
    assert run([*command, "--out", str(tmp_path / "a"), "--tasks", "sums", "--tasks-path", str(tasks)]) == 0
    [model] = (tmp_path / "a").glob("*/model")
    logs = [log_of(each, tasks, tmp_path / name) for each, name in ((base, "dense"), (model, "pruned"))]
    assert run([*command, "--out", str(tmp_path / "b"), "--import-lm-eval", *logs]) == 0
    [other] = (tmp_path / "b").glob("*/model")
    asked, imported = (Record.read(each).measurements.get("tasks") for each in (model, other))
    assert (asked.imported, imported.imported, asked.runs) == (False, True, imported.runs)
    assert asked.scores == imported.scores
    for each in (model, other):
        capsys.readouterr()
        assert run(["verify", str(each), "--base", str(base), "--json"]) == 0
        checks: dict[str, Any] = {c["name"]: c["ok"] for c in json.loads(capsys.readouterr().out)["checks"]}
        assert checks["tasks"] is checks["open formats"] is True


def test_a_task_that_this_version_lacks_is_refused_by_the_names_nearest(tasks: Path) -> None:
    assert lengths_of(["sums"], tasks) == {"sums": 30}
    with pytest.raises(UnknownName, match="no task 'arc_eazy'") as refused:
        lengths_of(["arc_eazy"], tasks)
    assert "arc_easy" in refused.value.remedy
    assert "--tasks-path" in refused.value.remedy


def test_items_are_drawn_alike_for_a_seed_and_all_are_asked_where_there_are_fewer() -> None:
    lengths = {"a": 100, "b": 5}
    found = drawn(lengths, 10, 42)
    assert found is not None
    assert (len(set(found["a"])), found["b"], found) == (10, [0, 1, 2, 3, 4], drawn(lengths, 10, 42))
    assert found != drawn(lengths, 10, 43)
    assert drawn(lengths, 100, 42) is None
