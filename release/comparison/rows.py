"""One row a release: what it is, and every metric that it was measured by."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from release.card import foreign
from release.evals.line import Line
from release.evals.registry import EVALS
from release.schema.record import Check, Record

SOUGHT = ("score", "perplexity")
"""Forms of metrics that zeros are traded for, and that one machine and another measure alike: no time, no bytes."""
Value = str | int | float | None


@dataclass(frozen=True)
class ComparedRelease:
    """A release, or any other pruned model, as far as its files tell.

    Attributes:
        name: As it was asked for.
        record: None for a model that this tool did not make.
        zeros: Share of zeros among the prunable parameters; counted in the files where `checks` are there.
        target: The share that its card states; None where it states none.
        checks: What was checked of it that failed, or could not be checked; None where nothing was checked.
    """

    name: str
    record: Record | None
    zeros: float | None
    target: float | None
    checks: tuple[Check, ...] | None = None

    @classmethod
    def built_here(cls, record: Record) -> "ComparedRelease":
        """A release whose files were counted as it was built."""
        audit = record.audit
        return cls(record.name, record, audit.actual_sparsity, float(audit.target_sparsity))

    @property
    def lines(self) -> tuple[Line, ...]:
        """Every metric that it was measured by."""
        return tuple(_lines(self.record)) if self.record else ()

    @property
    def headlines(self) -> tuple[Line, ...]:
        """Those that stand at a glance on its card."""
        return tuple(line for line in self.lines if line.metric.headline)

    @property
    def agrees(self) -> bool | None:
        """Whether its files hold what its card states; None where that was not checked, or nothing stated could be."""
        if self.checks is None:
            return None
        if any(check.ok is False for check in self.checks):
            return False
        stated = any(check.ok and check.name == foreign.CHECK for check in self.checks)
        return True if self.record or stated else None


def _lines(record: Record) -> Iterator[Line]:
    for row in EVALS:
        for found in row.results(record.measurements):
            yield from row.lines(found)


def column(line: Line) -> str:
    """Name a metric's columns: its key, and what tells it from others of that key."""
    return re.sub(r"[^a-z0-9]+", "_", f"{line.metric.key}{line.suffix}".lower()).strip("_")


def flat(release: ComparedRelease) -> dict[str, Value]:
    """Write a release as one row of a table, by the names of its columns."""
    record, row = release.record, dict[str, Value]()
    row["release"] = release.name
    if record:
        row |= {
            "base": record.base.id,
            "method": record.pruning.method,
            "pattern": record.pruning.pattern,
            "scope": record.pruning.scope,
            "seed": record.pruning.seed,
        }
    row |= {"target_sparsity": release.target, "sparsity": release.zeros, "card_and_files_agree": release.agrees}
    for line in release.lines:
        name, change = column(line), line.change
        row |= {f"{name}_dense": line.dense, f"{name}_pruned": line.pruned, f"{name}_change": change.value}
        row |= {f"{name}_low": change.low, f"{name}_high": change.high, f"{name}_n": line.n}
    return row
