"""Tasks measured: by the harness, one model at a time, or taken from logs that were made elsewhere."""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, get_args

from release.evals.engine.subject import EvaluatedModel
from release.evals.tasks.compare import compare
from release.evals.tasks.imported import ImportedPair, read_pair
from release.evals.tasks.options import OFF
from release.evals.tasks.result import Tasks
from release.evals.tasks.table import FILE_NAME, write_scores
from release.evals.work import EvalContext, ModelTask, Sides
from release.values import Package, Precision

if TYPE_CHECKING:
    from release.evals.tasks.harness import HarnessTask


@dataclass(frozen=True)
class ImportedTask(ModelTask[None, Tasks]):
    """Two logs that fit each other; no model is read."""

    logs: ImportedPair

    def read(self, _: EvaluatedModel) -> None:
        """Ask nothing."""

    def compare(self, *_: None) -> Tasks:
        """Compare what the logs hold."""
        dense, files = self.logs.dense, (self.logs.dense.file, self.logs.pruned.file)
        facts = {
            "imported": True,
            "harness": Package(name=dense.harness.name, version=dense.harness.version),
            "logs": tuple(file for file in files if file is not None),
            "precision": dense.dtype if dense.dtype in get_args(Precision) else None,
            "sample_seed": None,
            "seconds": 0.0,
        }
        return compare(self.logs.tasks, dense.groups, facts)

    def write(self, _: None, __: None, sides: Sides) -> None:
        """Write every score."""
        write_scores(sides.evaluation / FILE_NAME, self.logs.tasks)


def prepare(asked: EvalContext) -> "HarnessTask | ImportedTask | None":
    """Read the logs, or find the tasks and draw their items.

    Raises:
        BadOption: The folder of tasks is none.
        ModuleNotFoundError: The harness is not installed; `release.__main__` says which extra brings it.
        UnknownName: The harness has no such task.
        MissingSource: A task's data cannot be fetched.
        UnusableData: The logs cannot be paired.
    """
    plan = asked.plan
    if plan.import_lm_eval is not None:
        return ImportedTask(read_pair(plan.import_lm_eval))
    if plan.tasks == OFF:
        return None
    # An extra, which takes seconds to import.
    found: HarnessTask = import_module("release.evals.tasks.harness").prepare(asked)
    return found
