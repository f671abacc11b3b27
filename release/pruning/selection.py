"""Exact selection without sorting everything: scores in, budget in, mask out.

Every method gives unsigned integer scores; the `count` smallest are pruned. A sample says between which two values
the cut must lie; one pass counts what is below and collects what is between, and only that is sorted. Weights that tie
at the cut are chosen by further random bits, so that no region is favoured.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from release.pruning.draws import Draws

Scores = NDArray[np.unsignedinteger[Any]]
Mask = NDArray[np.bool_]

SAMPLE = 1 << 16
"""Scores looked at to guess where the cut lies."""
SIGMAS = 6
"""How far from the guess the cut may lie, in standard deviations of the sample's quantile."""
CHUNK = 1 << 16
"""Scores compared at a time, so that they stay in the processor's cache."""


def smallest(scores: Scores, count: int, draws: Draws, taken: Mask | None = None) -> Mask:
    """Mark exactly `count` of the smallest scores.

    Args:
        scores: Flat; those that are `taken` are overwritten.
        count: 0 ≤ count ≤ the number of scores that are not taken.
        draws: Settles ties at the cut.
        taken: Marks scores that are no longer to be had.
    """
    if count == 0:
        return np.zeros(scores.size, dtype=np.bool_)
    if taken is not None:
        scores[np.flatnonzero(taken)] = np.iinfo(scores.dtype).max
    cut, below = find_cut(scores, count)
    mask = scores < scores.dtype.type(cut)
    tied = np.flatnonzero(scores == scores.dtype.type(cut))
    if taken is not None:
        tied = tied[~taken[tied]]
    order = np.argsort(draws.ranks(tied.size), kind="stable")
    mask[tied[order[: count - below]]] = True
    return mask


def find_cut(scores: Scores, count: int) -> tuple[int, int]:
    """Return the `count`-th smallest score (counted from 1) and how many scores are below it."""
    for low, high in (_bracket(scores, count), (0, np.iinfo(scores.dtype).max)):
        below, between = _split(scores, low, high)
        rank = count - 1 - below
        if 0 <= rank < between.size:
            break
    ordered = np.sort(between)
    cut = ordered[rank]
    return int(cut), below + int(np.searchsorted(ordered, cut, side="left"))


def _bracket(scores: Scores, count: int) -> tuple[int, int]:
    """Guess two values that the cut lies between, both included; wrong once in a billion times, or for odd orders."""
    # An odd step meets every column of a matrix whose width is a power of two times a small number.
    sample = np.sort(scores[:: max(1, scores.size // SAMPLE) | 1])
    share = count / scores.size
    reach = SIGMAS * (sample.size * share * (1 - share)) ** 0.5 + 1
    first, last = int(sample.size * share - reach), int(sample.size * share + reach)
    low = int(sample[first]) if first >= 0 else 0
    high = int(sample[last]) if last < sample.size else int(np.iinfo(scores.dtype).max)
    return low, high


def _split(scores: Scores, low: int, high: int) -> tuple[int, Scores]:
    """Count the scores below `low` and collect those from `low` to `high`."""
    bottom, top = scores.dtype.type(low), scores.dtype.type(high)
    below, between = 0, []
    for start in range(0, scores.size, CHUNK):
        part = scores[start : start + CHUNK]
        small = part < bottom
        below += int(np.count_nonzero(small))
        between.append(part[~small & (part <= top)])
    return below, np.concatenate(between)
