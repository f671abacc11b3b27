"""lm-evaluation-harness, run through its own Python interface on a model that lies in memory.

The harness is an extra: this module is imported when a task is asked for.
"""

import contextlib
import io
import logging
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import lm_eval
from lm_eval.tasks import TaskManager, get_task_dict

from release.errors import BadOption, MissingSource, UnknownName, UnusableBase
from release.evals.engine.subject import EvaluatedModel
from release.evals.tasks.compare import compare
from release.evals.tasks.lm_eval_results import HARNESS, log_of
from release.evals.tasks.log import Log, PairedTask, pair
from release.evals.tasks.remembering import RememberingModel
from release.evals.tasks.result import Tasks
from release.evals.tasks.table import FILE_NAME, write_scores
from release.evals.work import EvalContext, ModelTask, Sides
from release.format import quoted, shown
from release.models.reader import Resident
from release.sources.cache import require_fetching
from release.values import Precision

OFF = "Leave the tasks out: --tasks off."


@dataclass(frozen=True)
class HarnessAsk:
    """What the harness is to ask.

    Attributes:
        names: Of tasks and groups.
        drawn: Numbers of the items to ask of each task; None for all.
        shots: Examples in front of each item; None for the task's own number.
        folder: Of tasks of one's own.
    """

    names: tuple[str, ...]
    drawn: Mapping[str, Sequence[int]] | None
    shots: int | None
    folder: Path | None


def lengths_of(names: Sequence[str], folder: Path | None) -> dict[str, int]:
    """Return how many items each task has, groups taken apart.

    Raises:
        UnknownName: This version of the harness has no such task.
        MissingSource: The data of a task cannot be fetched.
    """
    manager = _manager(folder)
    for name in names:
        if name not in manager.all_tasks:
            remedy = f"Version {lm_eval.__version__} of the harness is installed; --tasks-path adds tasks of your own."
            raise UnknownName.among("task", name, manager.all_tasks, remedy)
    require_fetching("The tasks' data")  # `datasets` says of nothing beforehand whether it is here
    with _quietly():
        found = _loaded(lambda: get_task_dict(list(names), manager))
    return {str(task.config.task): len(task.eval_docs) for task in _leaves(found)}


@cache
def _manager(folder: Path | None) -> Any:
    """Index the harness's tasks, and those of one's own; once, since there are thousands of files."""
    if folder is not None and not folder.is_dir():
        seen = f"--tasks-path {quoted(str(folder))} is no folder."
        raise BadOption(seen, "Give a folder of the harness's YAML files.")
    with _quietly():
        return TaskManager(include_path=None if folder is None else str(folder))


def _loaded(load: Callable[[], Any]) -> Any:
    """Let the harness fetch data; what `datasets` raises where it cannot is of many kinds."""
    try:
        return load()
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        raise MissingSource(f"The harness cannot load a task ({shown(str(error), 200)}).", OFF) from None


def _leaves(found: Mapping[Any, Any]) -> Iterator[Any]:
    for task in found.values():
        if isinstance(task, Mapping):
            yield from _leaves(task)
        else:
            yield task


def drawn(lengths: Mapping[str, int], limit: int | None, seed: int) -> dict[str, list[int]] | None:
    """Draw items of each task at random, in order; a harness's own limit would take the first ones.

    Returns:
        None where every task has all its items asked.
    """
    if limit is None or all(length <= limit for length in lengths.values()):
        return None
    return {
        name: sorted(random.Random(f"{seed} {name}").sample(range(length), min(limit, length)))  # noqa: S311
        for name, length in lengths.items()
    }


def ask(asked: HarnessAsk, model: EvaluatedModel, tokenizer: Any) -> Log:
    """Ask one model every item; what it answered before is not asked again.

    Raises:
        UnusableBase: The model does not lie in memory.
        UnusableData: It gave NaN.
    """
    reader = model.reader
    if not isinstance(reader, Resident):
        raise UnusableBase(f"The {model.name} model does not fit into memory, and the harness takes no other.", OFF)
    with model.step("Tasks", 1) as advance, _quietly():
        found = _loaded(
            lambda: lm_eval.simple_evaluate(
                model=RememberingModel(reader.module, tokenizer, model.store, advance),
                tasks=list(asked.names),
                num_fewshot=asked.shots,
                samples=asked.drawn,
                task_manager=_manager(asked.folder),
                bootstrap_iters=0,
            )
        )
    samples = found.pop("samples")
    return log_of(found, samples, f"the {model.name} model's answers")


class _Unread(io.StringIO):
    """Takes what others write to stderr; this package's own console, which rich lets look behind a file, still does."""

    def __init__(self) -> None:
        super().__init__()
        self.rich_proxied_file = getattr(sys.stderr, "rich_proxied_file", sys.stderr)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keep the harness's bars and warnings off the screen."""
    logger = logging.getLogger(HARNESS)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stderr(_Unread()):
            yield
    finally:
        logger.setLevel(level)


class TaskAnswers(NamedTuple):
    """One model's answers, and how long they took in seconds."""

    log: Log
    seconds: float


@dataclass(frozen=True)
class HarnessTask(ModelTask[TaskAnswers, Tasks]):
    """What the harness asks both models."""

    asked: HarnessAsk
    tokenizer: Any
    precision: Precision
    sample_seed: int | None

    def read(self, model: EvaluatedModel) -> TaskAnswers:
        """Ask one model every item.

        Raises:
            UnusableBase: It does not lie in memory.
            UnusableData: It gave NaN or an infinity; names the model, the task and the item.
        """
        started = perf_counter()
        return TaskAnswers(ask(self.asked, model, self.tokenizer), perf_counter() - started)

    def compare(self, dense: TaskAnswers, pruned: TaskAnswers) -> Tasks:
        """Pair both models' answers, item by item."""
        facts = {
            "imported": False,
            "harness": dense.log.harness,
            "precision": self.precision,
            "sample_seed": self.sample_seed,
            "seconds": dense.seconds + pruned.seconds,
        }
        return compare(self._paired(dense, pruned), dense.log.groups, facts)

    def write(self, dense: TaskAnswers, pruned: TaskAnswers, sides: Sides) -> None:
        """Write every score."""
        write_scores(sides.evaluation / FILE_NAME, self._paired(dense, pruned))

    def _paired(self, dense: TaskAnswers, pruned: TaskAnswers) -> tuple[PairedTask, ...]:
        tasks = pair(dense.log, pruned.log)
        return tasks if self.sample_seed is None else tuple(map(_drawn, tasks))


def _drawn(task: PairedTask) -> PairedTask:
    """Say that the items were drawn; the answers alone do not tell."""
    taken = "all" if task.facts.taken == "all" else "drawn"
    return replace(task, facts=task.facts.model_copy(update={"taken": taken}))


def prepare(asked: EvalContext) -> HarnessTask:
    """Find the tasks, and draw their items.

    Raises:
        BadOption: The folder of tasks is none.
        UnknownName: The harness has no such task.
        MissingSource: A task's data cannot be fetched.
    """
    plan = asked.plan
    names = tuple(plan.tasks.split(","))
    chosen = drawn(lengths_of(names, plan.tasks_path), plan.tasks_limit, plan.sampling_seed)
    asks = HarnessAsk(names, chosen, plan.tasks_shots, plan.tasks_path)
    return HarnessTask(asks, asked.tokenizer, plan.eval_dtype, None if chosen is None else plan.sampling_seed)
