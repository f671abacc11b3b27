"""Every metric of every evaluation: the card, the screen, the front matter, the claims and the Space read this table.

A metric is a row of its evaluation's folder and is computed there, and no other file names it.
"""

from collections.abc import Iterable, Mapping

from release.evals.metric import Hub, Metric
from release.evals.registry import EVALS

METRICS: Mapping[str, Metric] = {metric.key: metric for row in EVALS for metric in row.metrics}
"""Key → row, in the order in which they are shown."""


def phrase(key: str) -> str:
    """Name a metric within a sentence; one without a row by its key."""
    return METRICS[key].phrase if key in METRICS else key.replace("_", " ")


def on_the_hub(metrics: Iterable[Metric]) -> list[tuple[Metric, Hub]]:
    """Return those that the Hub is told of; accuracy comes first, since that is what every reader there knows."""
    named = [(metric, metric.hub) for metric in metrics if metric.hub]
    return sorted(named, key=lambda pair: pair[1].type != "accuracy")
