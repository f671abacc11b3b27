"""What a study reported, beside what was measured here of the releases that it tells of."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from release.comparison.rows import ComparedRelease, column
from release.comparison.significance import Significance
from release.evals.forms import at_a_glance
from release.evals.line import Line
from release.schema.record import Record
from release.schema.study import Result, Study

SIGNIFICANCE = "significance"
NOTHING = "not measured here"
MOST = 12
"""Lines beside one result; all stand in the report's first table."""


class QuotedResult(NamedTuple):
    """One result of a study, and the same of our releases.

    Attributes:
        here: A line a release and metric.
    """

    what: str
    setting: str
    value: str
    here: tuple[str, ...]


def reported(
    releases: Sequence[ComparedRelease], significance: Significance
) -> list[tuple[Study, tuple[QuotedResult, ...]]]:
    """Return every study that releases accompany, with its results beside ours."""
    records = [(each.name, each.record) for each in releases if each.record]
    studies = {record.study.title: record.study for _, record in records if record.study}
    bases = {record.base.id for _, record in records}
    return [
        (study, tuple(_reported(result, records, significance) for result in study.results if _concerns(result, bases)))
        for study in studies.values()
    ]


def _concerns(result: Result, bases: set[str]) -> bool:
    return result.base is None or result.base in bases


def _reported(result: Result, records: Sequence[tuple[str, Record]], significance: Significance) -> QuotedResult:
    of_it = [(name, record) for name, record in records if _tells_of(result, record)]
    found: dict[str, list[str]] = {}
    for name, record in of_it:
        for said in _measured(result, record):
            found.setdefault(said, []).append(name)
    told = [f"{_named(names)}: {said}" for said, names in found.items()]
    here = [*told[:MOST], *([f"and {len(told) - MOST:,} more, in the first table"] if len(told) > MOST else [])]
    if SIGNIFICANCE in result.metrics:
        here.append(significance.said)
    return QuotedResult(result.what, result.setting, result.value, tuple(here) or (NOTHING,))


def _named(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names):,} releases"


def _tells_of(result: Result, record: Record) -> bool:
    return result.tells_of(record.base.id, record.pruning.method, record.pruning.target_sparsity)


def _measured(result: Result, record: Record) -> Iterator[str]:
    lines = {column(line): line for line in ComparedRelease.built_here(record).lines}
    yield from (_said(lines[metric]) for metric in result.metrics if metric in lines)


def _said(line: Line) -> str:
    cells = at_a_glance(line)
    sides = f"{cells.dense} → {cells.pruned}, " if cells.dense else ""
    interval = "" if line.change.low is None else f" ({cells.interval})"
    return f"{line.metric.titled}{line.suffix} {sides}{cells.change}{interval}"
