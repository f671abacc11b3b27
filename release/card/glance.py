"""What a card shows of the evaluations: which of them, and their headlines in one table."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from release.evals.eval import Eval
from release.evals.forms import Cells, at_a_glance, kept
from release.evals.line import Line
from release.evals.metric import Metric
from release.evals.registry import EVALS
from release.frozen import Frozen
from release.schema.measurements import Measurements

UNMEASURED = Cells("not measured", "not measured", "–", "–")


class Evaluation(NamedTuple):
    """A row and its results in a record; none where the card says that it was not measured."""

    row: Eval[Any]
    results: tuple[Frozen, ...]


class Headline(NamedTuple):
    """One line at a glance: its name, its numbers, what is kept of them, and the claim whose verdict stands beside."""

    name: str
    cells: Cells
    claim: str
    kept: str | None = None


def shown(measurements: Measurements) -> tuple[Evaluation, ...]:
    """Return the evaluations that a card tells of: those that were measured, and those that are expected."""
    found = (Evaluation(row, row.results(measurements)) for row in EVALS)
    return tuple(each for each in found if each.results or each.row.expected)


def headlines(evaluations: Sequence[Evaluation]) -> tuple[Headline, ...]:
    """Return the headlines of all metrics that have one, in the order of their rows."""
    return tuple(
        headline
        for row, results in evaluations
        for metric in row.headlines
        for headline in _headline(metric, [line for found in results for line in row.lines(found)])
    )


def _headline(metric: Metric, lines: Sequence[Line]) -> Iterator[Headline]:
    guessing = "" if metric.guessing is None else f", guessing {metric.guessing:.2f}"
    name, claim = f"{metric.brief or metric.headline}{guessing}", str(metric.claim)
    found = [line for line in lines if line.metric.key == metric.key]
    for line in found:
        yield Headline(f"{name}{line.suffix}", at_a_glance(line), claim, kept(line))
    if not found:
        yield Headline(name, UNMEASURED, claim)
