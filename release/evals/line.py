"""What an evaluation shows: its lines, dense beside pruned, and the data and the task that they are about.

The glance of a card, the front matter and the screen read these and no result itself.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from release.evals.metric import Metric
from release.values import DataSource, Estimate, Rate, Score

NO_INTERVAL = Estimate(value=None, low=None, high=None)


class Attribution(NamedTuple):
    """Data that a result rests on, as a card tells of them.

    Attributes:
        title: What they are called where their licence is told.
        used: What of them was used, where their digests stand.
        authors: Authors and year; None where none are known.
        note: A sentence on what is not passed on.
        facts: What else identifies what was asked: numbers and digests by what they are called.
        hub: The data's type and name in the front matter; by default their own name.
    """

    data: DataSource
    title: str
    used: str
    authors: str | None = None
    note: str | None = None
    facts: Mapping[str, int | str] = {}
    hub: tuple[str, str] | None = None


class Line(NamedTuple):
    """One metric, dense beside pruned.

    Attributes:
        metric: What it is called, and how its numbers are written.
        dense: Its value; None where it is not defined or there is none of one side.
        pruned: Likewise.
        change: Difference, ratio or share of what changed, as `metric.form` says, with its 95 % interval.
        n: What it was taken over, in items, windows or answers; None where nothing was sampled.
        suffix: What follows its name, with the space before it.
        summary: How many values were made into one, at a glance.
        interval: The 95 % interval of the pruned model's own value.
        source: What it was taken over, where that is not what the result's other lines were.
        dense_interval: The 95 % interval of the dense model's own value.
    """

    metric: Metric
    dense: float | None
    pruned: float | None
    change: Estimate = NO_INTERVAL
    n: int | None = None
    suffix: str = ""
    summary: str = ""
    interval: Estimate = NO_INTERVAL
    source: Attribution | None = None
    dense_interval: Estimate = NO_INTERVAL


class HubTask(NamedTuple):
    """What a model is asked to do, as the Hub names it."""

    type: str
    name: str


def score_lines(metrics: Iterable[Metric], scores: Iterable[Score], over: str = "macro") -> Iterable[Line]:
    """Return a line for each metric that was scored; one that a record lacks is taken from the one that equals it."""
    found = {score.name: score for score in reversed(tuple(scores)) if score.over == over}
    for metric in metrics:
        if score := found.get(metric.key) or found.get(metric.same_as or ""):
            sides = (score.dense.value, score.pruned.value)
            line = Line(metric, *sides, score.difference, score.items)
            yield line._replace(interval=score.pruned, dense_interval=score.dense)


def rate_line(metric: Metric, rate: Rate, suffix: str = "") -> Line:
    """Return the line of a share of items: how many, and the share with its interval."""
    share = Estimate(value=rate.value, low=rate.low, high=rate.high)
    return Line(metric, None, rate.count, share, rate.n, suffix)
