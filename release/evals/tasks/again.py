"""Tasks computed again from their table of scores, without a model."""

from collections.abc import Iterator

from release.evals.again import FOLDER, Table
from release.evals.tasks.compare import compare
from release.evals.tasks.result import Tasks
from release.evals.tasks.table import FILE_NAME, read_scores
from release.schema.record import Record

FILE = f"{FOLDER}/{FILE_NAME}"
OF_THE_RUN = ("imported", "harness", "logs", "precision", "sample_seed", "seconds")
"""What the table does not tell."""
IMPORTED = "imported, not measured here: only that the numbers follow from the imported scores was checked"
ITEMS = "what it says of the items was taken as it is"


def tables(_: Record, known: Tasks) -> Iterator[Table]:
    """Return the table of scores."""
    note = IMPORTED if known.imported else ITEMS
    yield Table("tasks", FILE, lambda data: again(known, data), known, note)


def again(known: Tasks, data: bytes) -> Tasks:
    """Compare the scores again.

    Raises:
        UnusableData: The table is not what measuring writes, or holds other tasks.
    """
    found = read_scores(data, [(run, known.metrics_of(run.name)) for run in known.runs])
    return compare(found, known.groups, {name: getattr(known, name) for name in OF_THE_RUN})
