"""Every metric of every evaluation: the card, the screen, the front matter, the claims and the Space read this table.

A metric is a row of its evaluation's folder and is computed there, and no other file names it.
"""

from collections.abc import Mapping

from release.evals.metric import Metric
from release.evals.registry import EVALS

METRICS: Mapping[str, Metric] = {metric.key: metric for row in EVALS for metric in row.metrics}
"""Key → row, in the order in which they are shown."""
VARYING: Mapping[str, str] = {name: title for row in EVALS for name, title in row.varying.items()}
"""What is told of the spread between masks: name of a change → what it is called on the card."""


def phrase(key: str) -> str:
    """Name a metric within a sentence; one without a row by its key."""
    return METRICS[key].phrase if key in METRICS else key.replace("_", " ")
