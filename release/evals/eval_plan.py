"""What both models are asked, laid out before either is loaded; what draws figures is not needed for it."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch

from release.errors import NotHere
from release.evals.registry import EVALS
from release.evals.work import EvalContext, ModelTask, Opened, PairTask, WatchingTask
from release.models.device import choose_device
from release.models.load import read_tokenizer, require_known
from release.progress import Console
from release.settings.measuring import Measuring

Task = ModelTask[Any, Any] | PairTask[Any]


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


def prepare(dense: Path, plan: Measuring, console: Console, *, brief: bool = False) -> EvalPlan:
    """Lay out every evaluation: what is missing or does not fit stops a run before any work.

    Args:
        dense: A checkpoint folder; only its configuration and tokenizer are read.
        brief: Whether what is refused is enough, since nothing is measured after.

    Raises:
        BadOption: There is no such device, category or amount.
        MissingSource: Data cannot be fetched.
        UnusableBase: The tokenizer cannot be used as asked, or latency needs more memory than there is.
        UnusableData: Data were altered or are too short, or a prompt does not fit the model.
    """
    asked = EvalContext(dense, plan, choose_device(plan.device), read_tokenizer(dense), console, brief=brief)
    tasks: dict[str, Task] = {}
    for row in EVALS:
        with suppress(NotHere):  # a dry run goes on without
            task = row.prepare(replace(asked, others=dict(tasks)))
            tasks |= {} if task is None else {row.key: task}
    require_known(dense, (prompt for task in tasks.values() for prompt in task.prompts))
    return EvalPlan(plan, asked.device, tasks)
