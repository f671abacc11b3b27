"""Exact selection without sorting: scores in, budget in, mask out.

Every method gives unsigned integer scores; the `count` smallest are pruned. The cut is found digit by digit (radix
selection on 16-bit digits), so a 16-bit score takes one counting pass and a 32-bit one two. Weights that tie at
the cut are chosen by further random bits, so that no region is favoured.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from release.pruning.draws import Draws

Scores = NDArray[np.unsignedinteger[Any]]
Mask = NDArray[np.bool_]

DIGIT_BITS = 16
DIGITS = 1 << DIGIT_BITS
CHUNK = 1 << 20


def smallest(scores: Scores, count: int, draws: Draws) -> Mask:
    """Mark exactly `count` of the smallest scores.

    Args:
        scores: Flat.
        count: 0 ≤ count ≤ scores.size.
        draws: Settles ties at the cut.
    """
    if count == 0:
        return np.zeros(scores.size, dtype=np.bool_)
    cut, below = find_cut(scores, count)
    mask = scores < scores.dtype.type(cut)
    tied = np.flatnonzero(scores == scores.dtype.type(cut))
    order = np.argsort(draws.ranks(tied.size), kind="stable")
    mask[tied[order[: count - below]]] = True
    return mask


def find_cut(scores: Scores, count: int) -> tuple[int, int]:
    """Return the `count`-th smallest score (counted from 1) and how many scores are below it."""
    cut, below, candidates = 0, 0, scores
    for shift in range(8 * scores.dtype.itemsize - DIGIT_BITS, -1, -DIGIT_BITS):
        digits = _digits(candidates, shift)
        cumulative = np.cumsum(_histogram(digits))
        digit = int(np.searchsorted(cumulative, count - below))
        below += int(cumulative[digit - 1]) if digit else 0
        cut = cut << DIGIT_BITS | digit
        if shift:
            candidates = candidates[digits == digit]
    return cut, below


def _digits(scores: Scores, shift: int) -> NDArray[np.uint16]:
    if scores.dtype.itemsize * 8 == DIGIT_BITS:
        return scores.view(np.uint16)
    return (scores >> scores.dtype.type(shift)).astype(np.uint16)  # the cast keeps the low 16 bits


def _histogram(digits: NDArray[np.uint16]) -> NDArray[np.int64]:
    """Count each 16-bit value; in chunks, since bincount widens its input to 64 bits."""
    counts = np.zeros(DIGITS, dtype=np.int64)
    for start in range(0, digits.size, CHUNK):
        counts += np.bincount(digits[start : start + CHUNK], minlength=DIGITS)
    return counts
