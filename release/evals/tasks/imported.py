"""Logs that were made elsewhere, read and paired; nothing is asked here."""

from dataclasses import dataclass
from pathlib import Path

from release.errors import UnusableData
from release.evals.tasks import inspect_log, lm_eval_results
from release.evals.tasks.log import Log, PairedTask, pair

READERS = {".json": lm_eval_results.read, ".eval": inspect_log.read}
REMEDY = "Give results_*.json of lm-evaluation-harness with its samples beside it, or .eval logs of inspect_ai."


@dataclass(frozen=True)
class ImportedPair:
    """Two logs that fit each other."""

    dense: Log
    pruned: Log
    tasks: tuple[PairedTask, ...]


def read_pair(paths: tuple[Path, Path]) -> ImportedPair:
    """Read the logs of the dense and of the pruned model, and pair them.

    Raises:
        UnusableData: A file is no log that is known, or the two cannot be paired; says why.
    """
    dense, pruned = (_read(path) for path in paths)
    if paths[0].samefile(paths[1]):
        seen = f"{dense.name} was given twice."
        raise UnusableData(seen, "Give the log of the dense model first and that of the pruned one second.")
    return ImportedPair(dense, pruned, pair(dense, pruned))


def _read(path: Path) -> Log:
    reader = READERS.get(path.suffix.lower())
    if reader is None or not path.is_file():
        raise UnusableData(f"{path.name} is {'missing' if reader else 'no log that is known'}.", REMEDY)
    return reader(path)
