"""What is said of the divergence, summed up from the positions; nothing here needs a model."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from release.evals.divergence.result import Divergence
from release.evals.engine.statistics import Floats, drifting_mean, drifting_quantile, positive_mean
from release.values import Estimate, Precision, Score

NOTHING, ALL = (Estimate(value=value, low=None, high=None) for value in (0.0, 1.0))
"""Divergence of a model from itself, and how often it agrees with itself."""


@dataclass(frozen=True)
class AskedPositions:
    """What was compared, as far as a record names it; see `Divergence`."""

    of_windows: int
    vocabulary: int
    precision: Precision


def compare(asked: AskedPositions, found: NDArray[np.float32]) -> Divergence:
    """Sum up the positions.

    Args:
        found: (windows, positions, 4), see `positions.COLUMNS`.
    """
    divergence, same, dense, pruned = np.moveaxis(found.astype(np.float64), 2, 0)
    chances = np.exp(dense), np.exp(pruned)
    change = chances[1] - chances[0]
    return Divergence(
        windows=len(divergence),
        of_windows=asked.of_windows,
        positions=divergence.shape[1],
        vocabulary=asked.vocabulary,
        precision=asked.precision,
        scores=(
            _score("kl_divergence", divergence, NOTHING, _positive(divergence), _positive(divergence)),
            _score("same_top", same, ALL, _plain(same), _plain(same - 1)),
            _score("right_probability", change, _plain(chances[0]), _plain(chances[1]), _plain(change)),
        ),
        **{name: _quantile(divergence, share) for name, share in (("median", 0.5), ("p99", 0.99), ("p999", 0.999))},
        largest=float(divergence.max()),
        right_rms=_root(_positive(change**2)),
    )


def _score(name: str, values: Floats, dense: Estimate, pruned: Estimate, difference: Estimate) -> Score:
    return Score(name=name, over="items", items=len(values), dense=dense, pruned=pruned, difference=difference)


def _point(values: Floats) -> Estimate | None:
    """Return the value that stands at every position, where one does: nothing varied, so nothing was estimated."""
    value = float(values[0, 0])
    return None if np.ptp(values) else Estimate(value=value, low=value, high=value)


def _plain(values: Floats) -> Estimate:
    return _point(values) or drifting_mean(values.mean(axis=1))


def _positive(values: Floats) -> Estimate:
    return _point(values) or positive_mean(values.mean(axis=1))


def _quantile(values: Floats, share: float) -> Estimate:
    return _point(values) or drifting_quantile(values, share)


def _root(square: Estimate) -> Estimate:
    ends = (square.value, square.low, square.high)
    value, low, high = (None if end is None else math.sqrt(end) for end in ends)
    return Estimate(value=value, low=low, high=high, df=square.df)
