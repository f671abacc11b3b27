"""`sparsity.csv`: one row per tensor of the written files, for people and for `release verify`."""

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

from release.checkpoint.count import TensorCount
from release.checkpoint.prunable import module_of
from release.errors import UnusableData
from release.record import Frozen

FILE_NAME = "sparsity.csv"


class Row(Frozen):
    """One tensor.

    Attributes:
        module: Kind of module, without block and expert numbers; empty where the tensor is not prunable.
        shape: Sizes joined by ×.
        budget: Zeros the recipe gives it; 0 where it is not prunable.
        sha256: Of the tensor's bytes: tells a damaged tensor from its neighbours.
    """

    name: str
    module: str
    dtype: str
    shape: str
    numel: int
    budget: int
    zeros: int
    zeros_before: int
    sha256: str


def rows(counts: Iterable[TensorCount], budgets: Mapping[str, int]) -> tuple[Row, ...]:
    """Build the table, in name order.

    Args:
        counts: Of the written files, compared with the base.
        budgets: Zeros by name of each prunable tensor.
    """
    return tuple(
        Row(
            name=c.name,
            module=module_of(c.name) if c.name in budgets else "",
            dtype=c.dtype,
            shape="×".join(map(str, c.shape)),
            numel=c.numel,
            budget=budgets.get(c.name, 0),
            zeros=c.zeros,
            zeros_before=c.zeros_before or 0,
            sha256=c.sha256,
        )
        for c in sorted(counts, key=lambda c: c.name)
    )


def write(table: Iterable[Row], folder: Path) -> None:
    """Write `sparsity.csv` into a model folder."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(Row.model_fields), lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.model_dump() for row in table)
    (folder / FILE_NAME).write_text(text.getvalue(), encoding="utf-8")


def read(folder: Path) -> tuple[Row, ...]:
    """Read the table of a model folder again, as `write` was given it.

    Raises:
        UnusableData: It is missing or not such a table.
    """
    path = folder / FILE_NAME
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return tuple(Row.model_validate(row) for row in csv.DictReader(file))
    except (OSError, ValueError) as error:
        reason = "is missing" if isinstance(error, OSError) else "is not the table this tool writes"
        raise UnusableData(f"{FILE_NAME} {reason}.", "Build the release again.") from None
