"""The harness itself, on a task over local files: a release is measured by it, and its logs are imported."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from release.errors import UnknownName
from release.evals.engine.subject import EvaluatedModel, Runtime
from release.evals.tasks import remembering
from release.evals.tasks.harness import HarnessAsk, ask, drawn, lengths_of
from release.evals.tasks.log import Log
from release.evals.tasks.remembering import GENERATED, LIKELIHOOD, ROLLING, Kind
from release.models.load import read_tokenizer
from release.progress import Console
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


class Killed(Exception):
    """Ends a run in the middle."""


def asked(model: Path, tasks: Path, most: int, console: Console) -> tuple[Log | None, int]:
    """Ask a model the task, and end after so many forward passes; return its answers and the passes made."""
    names, passes = ("sums",), 0

    def counted(*_: Any) -> None:
        nonlocal passes
        if passes == most:
            raise Killed
        passes += 1

    with EvaluatedModel("dense", model, Runtime(torch.device("cpu"), torch.float32), console) as subject:
        subject.reader.module.register_forward_pre_hook(counted)
        try:
            return ask(HarnessAsk(names, None, None, tasks), subject, read_tokenizer(model)), passes
        except Killed:
            return None, passes


def test_a_run_that_was_cut_short_asks_only_what_is_missing(
    tasks: Path, base_folders: dict[str, Path], tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembering, "PART", 16)  # 60 requests would be one part
    whole, passes = asked(base_folders["llama"], tasks, 1000, console)
    monkeypatch.setenv("RELEASE_READINGS", str(tmp_path / "others"))
    assert asked(base_folders["llama"], tasks, passes - 1, console)[0] is None
    again, further = asked(base_folders["llama"], tasks, 1000, console)
    assert 0 < further <= passes // 2
    assert asked(base_folders["llama"], tasks, 0, console)[1] == 0
    assert whole is not None
    assert again is not None
    for name, task in whole.tasks.items():
        assert {key: value.tolist() for key, value in task.values.items()} == {
            key: value.tolist() for key, value in again.tasks[name].values.items()
        }


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        (LIKELIHOOD, (-12.345678901, True)),
        (LIKELIHOOD, (-0.0, False)),
        (ROLLING, -98765.4321987),
        (GENERATED, "é 漢 \U0001f600\n"),
        (GENERATED, ""),
    ],
)
def test_an_answer_that_is_kept_comes_back_as_it_was(kind: Kind, answer: Any) -> None:
    kept = kind.answer(np.array(tuple(kind.kept(answer)), dtype=np.float32))
    assert type(kept) is type(answer)
    assert kept == (pytest.approx(answer, rel=1e-12) if isinstance(answer, float | tuple) else answer)


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
