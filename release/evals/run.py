"""All evaluations of one pair of models: each row of the registry is laid out, read and compared, in their order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from release.digests import FileDigest
from release.evals import figures
from release.evals.bbq.amount import DTYPES
from release.evals.engine.subject import EvaluatedModel
from release.evals.registry import BY_KEY, EVALS
from release.evals.work import SIDES, EvalContext, ModelTask, PairTask, Sides
from release.models.device import choose_device, fallbacks_told
from release.models.load import read_tokenizer, require_known
from release.progress import Console
from release.schema.measurements import Measurements
from release.settings.measuring import Measuring

Files = Mapping[str, Sequence[FileDigest]]
"""The weight files of both sides, where their digests are known."""

Task = ModelTask[Any, Any] | PairTask[Any]

Readings = Mapping[str, Any]
"""What one model made of each evaluation that reads one model at a time, by its key."""


@dataclass(frozen=True)
class EvalPlan:
    """All that both models are asked, laid out before either is loaded.

    Attributes:
        tasks: What each evaluation that is not switched off laid out, by its key.
    """

    plan: Measuring
    device: torch.device
    tasks: Mapping[str, Task]

    @property
    def by_model(self) -> Mapping[str, ModelTask[Any, Any]]:
        """The evaluations that read one model at a time."""
        return {key: task for key, task in self.tasks.items() if isinstance(task, ModelTask)}

    @property
    def by_pair(self) -> Mapping[str, PairTask[Any]]:
        """The evaluations that need both models at once."""
        return {key: task for key, task in self.tasks.items() if isinstance(task, PairTask)}


def prepare(dense: Path, plan: Measuring, console: Console) -> EvalPlan:
    """Lay out every evaluation: what is missing or does not fit stops a run before any work.

    Args:
        dense: A checkpoint folder; only its configuration and tokenizer are read.

    Raises:
        BadOption: There is no such device, category or amount.
        MissingSource: Data cannot be fetched.
        UnusableBase: The tokenizer cannot be used as asked, or latency needs more memory than there is.
        UnusableData: Data were altered or are too short, or a prompt does not fit the model.
    """
    asked = EvalContext(dense, plan, choose_device(plan.device), read_tokenizer(dense), console)
    tasks: dict[str, Task] = {}
    for row in EVALS:
        task = row.prepare(replace(asked, others=tuple(tasks)))
        if task is not None:
            tasks[row.key] = task
    require_known(dense, (prompt for task in tasks.values() for prompt in task.prompts))
    return EvalPlan(plan, asked.device, tasks)


@dataclass(frozen=True)
class Models:
    """Both models, each loaded once something has to be computed and let go of after."""

    folders: Mapping[str, Path]
    files: Files
    desk: EvalPlan
    console: Console

    def opened(self, name: str) -> EvaluatedModel:
        """Return a model under measurement, `dense` or `pruned`."""
        dtype = DTYPES[self.desk.plan.eval_dtype]
        return EvaluatedModel(name, self.folders[name], self.files.get(name), self.desk.device, dtype, self.console)


def measure(
    desk: EvalPlan,
    dense: Path,
    pruned: Path,
    out: Path,
    console: Console,
    files: Files | None = None,
    logs: Path | None = None,
) -> Measurements:
    """Measure a dense and a pruned checkpoint side by side.

    Args:
        desk: What to ask both, by `prepare`.
        dense: Folder of the dense model (config, tokenizer, safetensors).
        pruned: Folder of the pruned model; its own tokenizer is not used.
        out: Folder that receives `evaluation/`, the answers item by item, and `figures/`.
        console: Where progress is shown.
        files: The weight files of both; without them they are read for their digests.
        logs: Folder that receives what `log_format` asks for, which holds BBQ's texts; by default `evaluation/`.

    Raises:
        UnusableBase: A model cannot be loaded or does not fit into memory.
        UnusableData: A model answered with NaN or an infinity.
    """
    evaluation = out / "evaluation"
    sides = Sides(dense, pruned, evaluation, logs or evaluation, console)
    desk, read = readings(desk, Models({"dense": dense, "pruned": pruned}, files or {}, desk, console))
    results = compared(desk, read)
    for key, task in desk.by_model.items():
        task.write(read["dense"][key], read["pruned"][key], sides)
    for key, pair in desk.by_pair.items():
        first, *further = pair.measure(sides)
        results |= {key: first} | ({name: tuple(further)} if (name := BY_KEY[key].further) else {})
    found = Measurements.model_validate(results)
    figures.draw(found, evaluation, out / "figures")
    return found


def readings(desk: EvalPlan, models: Models) -> tuple[EvalPlan, Mapping[str, Readings]]:
    """Take all readings of both models, one after the other; each is loaded once, and only where one is not known yet.

    Returns:
        The plan with what only the models could settle, and the readings by the model's name.
    """
    with fallbacks_told(desk.device, models.console):
        settled = {key: task.settle(models.opened) for key, task in desk.by_model.items()}
        desk = replace(desk, tasks={**desk.tasks, **settled})
        return desk, {name: _read(desk, models.opened(name)) for name in SIDES}


def _read(desk: EvalPlan, opened: EvaluatedModel) -> Readings:
    with opened as model:
        return {key: task.read(model) for key, task in desk.by_model.items()}


def compared(desk: EvalPlan, read: Mapping[str, Readings]) -> dict[str, Any]:
    """Put the readings of both models side by side: key → result."""
    return {key: task.compare(read["dense"][key], read["pruned"][key]) for key, task in desk.by_model.items()}
