"""`sparsity.csv`: one row per tensor of the written files, for people and for `release verify`."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from release import files, outside
from release.checkpoint.prunable import module_of
from release.checkpoint.tally import TensorCount
from release.errors import UnusableData
from release.frozen import Frozen
from release.names import TABLE
from release.pruning.budget import Budgets, given

REMEDY = "Build the release again."
LARGEST = 64 << 20
"""Bytes of a table: some hundred thousand tensors."""


class SparsityRow(Frozen):
    """One tensor.

    Attributes:
        module: Kind of module, without block and expert numbers; empty where the tensor is not prunable.
        shape: Sizes joined by ×.
        budget: Zeros the recipe gives it; 0 where it is not prunable.
        crowded: Zeros of the base beyond the budget, or beyond a pattern's own in its group; they stay.
        sha256: Of the tensor's bytes: tells a damaged tensor from its neighbours.
    """

    name: str
    module: str
    dtype: str
    shape: str
    numel: int
    budget: int
    crowded: int
    zeros: int
    zeros_before: int
    sha256: str


def crowded(tensor: TensorCount, allowed: Budgets) -> int:
    """Zeros of the base that found no room in what a tensor owes, and stay: over its budget, or over its pattern."""
    if tensor.name not in allowed.zeros:
        return 0
    if tensor.crowded is not None:
        return tensor.crowded
    return max(0, (tensor.zeros_before or 0) - allowed.zeros[tensor.name])


def rows(counts: Iterable[TensorCount], allowed: Budgets) -> tuple[SparsityRow, ...]:
    """Build the table, in name order.

    Args:
        counts: Of the written files, compared with the base.
        allowed: What each prunable tensor owes.
    """
    budgets = allowed.zeros
    return tuple(
        SparsityRow(
            name=c.name,
            module=module_of(c.name) if c.name in budgets else "",
            dtype=c.dtype,
            shape="×".join(map(str, c.shape)),
            numel=c.numel,
            budget=budgets.get(c.name, 0),
            crowded=crowded(c, allowed),
            zeros=c.zeros,
            zeros_before=c.zeros_before or 0,
            sha256=c.sha256,
        )
        for c in sorted(counts, key=lambda c: c.name)
    )


def known_budgets(folder: Path) -> Budgets | None:
    """What each prunable tensor owed, by the table that an earlier run left; None where there is none to be read."""
    try:
        prunable = [row for row in read(folder) if row.module]
    except UnusableData:
        return None
    return given({row.name: row.budget for row in prunable}, {row.name: row.numel for row in prunable})


def write(table: Iterable[SparsityRow], folder: Path) -> None:
    """Write `sparsity.csv` into a model folder."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(SparsityRow.model_fields), lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.model_dump() for row in table)
    files.write(folder / TABLE, text.getvalue())


def read(folder: Path) -> tuple[SparsityRow, ...]:
    """Read the table of a model folder again, as `write` was given it.

    Raises:
        UnusableData: It is missing or not such a table.
    """
    if not (folder / TABLE).exists():
        raise missing()
    try:
        return parse(outside.bytes_of(folder / TABLE, LARGEST))
    except outside.Unfit as why:
        raise UnusableData(f"{TABLE} {why}.", REMEDY) from None


def parse(table: bytes) -> tuple[SparsityRow, ...]:
    """Read the table's text.

    Raises:
        UnusableData: It is not such a table.
    """
    try:
        text = io.StringIO(table.decode("utf-8"), newline="")
        return tuple(SparsityRow.model_validate(row) for row in csv.DictReader(text))
    except (ValueError, csv.Error):
        raise UnusableData(f"{TABLE} is not the table this tool writes.", REMEDY) from None


def missing() -> UnusableData:
    """Return the error for a model that lacks its table."""
    return UnusableData(f"{TABLE} is missing.", REMEDY)
