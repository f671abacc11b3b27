"""All evaluations of one pair of models: each row of the registry is laid out, read and compared, in their order."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from release.evals import figures
from release.evals.bbq.amount import DTYPES
from release.evals.engine.subject import EvaluatedModel, Runtime
from release.evals.engine.turn import turn
from release.evals.eval_plan import EvalPlan, prepare
from release.evals.registry import BY_KEY
from release.evals.work import SIDES, ModelPair, Sides
from release.models.device import device_name, fallbacks_told
from release.models.usage import counters, kind_of_memory, watched
from release.progress import Console
from release.schema.measurements import Measurements
from release.schema.usage import ModelUsage, Usage
from release.stages import Stage

__all__ = ["EvalPlan", "compared", "measure", "prepare", "readings"]

Readings = Mapping[str, Any]
"""What one model made of each evaluation that reads one model at a time, by its key."""


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


@contextmanager
def _opened(eval_plan: EvalPlan, models: ModelPair, console: Console, name: str) -> Iterator[EvaluatedModel]:
    """Give a model, `dense` or `pruned`: loaded once something has to be computed, and let go of after."""
    runtime = Runtime(eval_plan.device, DTYPES[eval_plan.plan.eval_dtype])
    model = EvaluatedModel(name, models.folders[name], runtime, console, models.files.get(name))
    with turn(model), model:
        yield model


def _read(eval_plan: EvalPlan, opened: AbstractContextManager[EvaluatedModel]) -> tuple[Readings, ModelUsage | None]:
    with watched(eval_plan.device) as watch, opened as model:
        read = {key: task.read(model) for key, task in eval_plan.by_model.items()}
        held = model.was_loaded
    return read, watch.usage() if held else None


def compared(eval_plan: EvalPlan, read: Mapping[str, Readings]) -> dict[str, Any]:
    """Put the readings of both models side by side: key → result."""
    return {key: task.compare(read["dense"][key], read["pruned"][key]) for key, task in eval_plan.by_model.items()}
