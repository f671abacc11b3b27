"""What comparing both models' likelihoods of sentences shares: what was asked, what was read, means, intervals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from release.evals.engine.clustered import share_of_clusters
from release.evals.engine.statistics import Floats, mean_interval
from release.evals.sentences.corpus import Corpus, Numbered
from release.frozen import Frozen
from release.values import DataSource, Estimate, Precision, Rate

if TYPE_CHECKING:  # claims are imported by every command, and the table's library is heavy
    from release.evals.sentences.table import Layout

FEWEST = 12
"""Independent draws below which no interval is given."""
SURELY_FEW = 0.05
"""Where not one item changed, and no larger share of those that were not asked can have, no score changed."""

Item = TypeVar("Item", bound=Numbered)
Result = TypeVar("Result", bound=Frozen)


@dataclass(frozen=True)
class SentenceLikelihoods:
    """What one model makes of the items.

    Attributes:
        values: Log-likelihoods in nats, (items, values of an item).
    """

    values: Floats
    recalled: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class AskedSentences(Generic[Item]):
    """What was asked, as far as a record names it.

    Attributes:
        start: Id of the token behind which a text is read.
    """

    items: Sequence[Item]
    data: DataSource
    sample_seed: int | None
    start: int
    precision: Precision

    def facts(self, dense: SentenceLikelihoods, pruned: SentenceLikelihoods) -> dict[str, Any]:
        """Return what every result says of it, by the names in the record."""
        return {
            "data": self.data,
            "sample_seed": self.sample_seed,
            "start": self.start,
            "precision": self.precision,
            "recalled": dense.recalled + pruned.recalled,
            "seconds": dense.seconds + pruned.seconds,
        }


@dataclass(frozen=True)
class Benchmark(Generic[Item, Result]):
    """A data set, its table, and how both models are compared on it.

    Attributes:
        key: Of the evaluation, which is also the field of the plan that says how much is asked.
        counted: Field of the result that says how many items were asked.
        compare: Makes the result.
    """

    key: str
    counted: str
    corpus: Corpus[Item]
    layout: "Layout[Item]"
    compare: Callable[[AskedSentences[Item], SentenceLikelihoods, SentenceLikelihoods], Result]


def paired_mean(values: Floats) -> Estimate:
    """Return a mean with Student's interval; without one where nothing varies or few draws tell."""
    if len(values) < FEWEST or not np.ptp(values):
        return Estimate(value=float(values.mean()), low=None, high=None)
    return mean_interval(values)


def by_cluster(clusters: NDArray[np.int64], values: Floats) -> Floats:
    """Sum what the items of each cluster count, (items,) → (clusters,); clusters are numbered from 0 on."""
    return np.bincount(clusters, values).astype(np.float64)


def share_changed(clusters: NDArray[np.int64], changed: NDArray[np.bool_]) -> Rate:
    """Return the share of items that changed, (items,), with an interval that rests on what they share."""
    part, whole = (by_cluster(clusters, each.astype(float)) for each in (changed, np.ones_like(changed)))
    return share_of_clusters(part, whole)


def unmoved(changed: Rate) -> bool:
    """Whether it is sure that hardly an item changed."""
    return changed.count == 0 and changed.high is not None and changed.high <= SURELY_FEW
