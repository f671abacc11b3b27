"""All evaluations of one pair of models: each row of the registry is laid out, read and compared, in their order."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import torch

from release.errors import NotHere
from release.evals import figures
from release.evals.bbq.amount import DTYPES
from release.evals.engine.subject import EvaluatedModel, Runtime
from release.evals.registry import BY_KEY, EVALS
from release.evals.work import SIDES, EvalContext, ModelPair, ModelTask, Opened, PairTask, Sides, WatchingTask
from release.models.device import choose_device, device_name, fallbacks_told
from release.models.load import read_tokenizer, require_known
from release.models.usage import counters, kind_of_memory, watched
from release.progress import Console
from release.schema.measurements import Measurements
from release.schema.usage import ModelUsage, Usage
from release.settings.measuring import Measuring
from release.stages import Stage

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

    def settled(self, opened: Opened) -> Self:
        """Settle what only the models can tell, and let those that watch see the passes of others."""
        by_model = {key: task.settle(opened) for key, task in self.by_model.items()}
        for task in tuple(by_model.values()):
            if isinstance(task, WatchingTask):
                by_model[task.watches] = by_model[task.watches].watched_by(task)
        return replace(self, tasks={**self.tasks, **by_model})

    def close(self) -> None:
        """Let go of what was kept from one pair of models to the next; it can be asked again all the same."""
        for task in self.by_model.values():
            task.close()


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
        with suppress(NotHere):  # a dry run goes on without
            task = row.prepare(replace(asked, others=dict(tasks)))
            tasks |= {} if task is None else {row.key: task}
    require_known(dense, (prompt for task in tasks.values() for prompt in task.prompts))
    return EvalPlan(plan, asked.device, tasks)


def measure(
    eval_plan: EvalPlan, models: ModelPair, out: Path, console: Console, logs: Path | None = None
) -> Measurements:
    """Measure a dense and a pruned checkpoint side by side.

    Args:
        eval_plan: What to ask both, by `prepare`.
        out: Folder that receives `evaluation/`, the answers item by item, and `figures/`.
        console: Where progress is shown.
        logs: Folder that receives what `log_format` asks for, which holds BBQ's texts; by default `evaluation/`.

    Raises:
        UnusableBase: A model cannot be loaded or does not fit into memory.
        UnusableData: A model answered with NaN or an infinity.
    """
    evaluation = out / "evaluation"
    sides = Sides(models.dense, models.pruned, evaluation, logs or evaluation, console)
    eval_plan, read, usage = readings(eval_plan, models, console)
    console.begin(Stage.COMPARE)
    results = compared(eval_plan, read)
    for key, task in eval_plan.by_model.items():
        task.write(read["dense"][key], read["pruned"][key], sides)
    for key, pair in eval_plan.by_pair.items():
        first, *further = pair.measure(sides)
        results |= {key: first} | ({name: tuple(further)} if (name := BY_KEY[key].further) else {})
    found = Measurements.model_validate(results | {"usage": usage})
    figures.draw(found, evaluation, out / "figures")
    return found


def readings(
    eval_plan: EvalPlan, models: ModelPair, console: Console
) -> tuple[EvalPlan, Mapping[str, Readings], Usage | None]:
    """Take all readings of both models, one after the other; each is loaded once, and only where one is not known yet.

    Returns:
        The plan with what only the models could settle, the readings by the model's name, and what taking them took;
        None where all were known.
    """
    with fallbacks_told(eval_plan.device, console):
        opened = partial(_opened, eval_plan, models, console)
        console.begin(Stage.LOOK)
        eval_plan = eval_plan.settled(opened)
        read, took = {}, {}
        for name, stage in zip(SIDES, (Stage.DENSE, Stage.PRUNED), strict=True):
            console.begin(stage)
            read[name], took[name] = _read(eval_plan, opened(name))
        return eval_plan, read, _usage(eval_plan, took)


def _usage(eval_plan: EvalPlan, took: Mapping[str, ModelUsage | None]) -> Usage | None:
    if not any(took.values()):
        return None
    return Usage(
        dense=took["dense"],
        pruned=took["pruned"],
        memory=kind_of_memory(eval_plan.device),
        precision=eval_plan.plan.eval_dtype,
        device=device_name(eval_plan.device),
        counters=tuple(counters(eval_plan.device)),
    )


def _opened(eval_plan: EvalPlan, models: ModelPair, console: Console, name: str) -> EvaluatedModel:
    """Return a model, `dense` or `pruned`: loaded once something has to be computed, and let go of after."""
    runtime = Runtime(eval_plan.device, DTYPES[eval_plan.plan.eval_dtype])
    return EvaluatedModel(name, models.folders[name], runtime, console, models.files.get(name))


def _read(eval_plan: EvalPlan, opened: EvaluatedModel) -> tuple[Readings, ModelUsage | None]:
    with watched(eval_plan.device) as watch, opened as model:
        read = {key: task.read(model) for key, task in eval_plan.by_model.items()}
        held = model.was_loaded
    return read, watch.usage() if held else None


def compared(eval_plan: EvalPlan, read: Mapping[str, Readings]) -> dict[str, Any]:
    """Put the readings of both models side by side: key → result."""
    return {key: task.compare(read["dense"][key], read["pruned"][key]) for key, task in eval_plan.by_model.items()}
