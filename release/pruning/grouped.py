"""Exact selection inside output rows and inside groups of neighbouring inputs (patterns n:m).

Weights that are zero already come first, then the smallest scores; ties are settled by the tensor's randomness.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from release.checkpoint.header import Bits
from release.pruning.budget import Counts, fitted
from release.pruning.method import PrunedTensor, Scorer, Scores

CHUNK = 1 << 18
"""Weights looked at together, at least one row: so that sorting stays in the processor's cache."""

Mask = NDArray[np.bool_]


def zero_in_rows(subject: PrunedTensor, scorer: Scorer, due: Counts, out: Bits) -> None:
    """Write the weights to `out` with exactly `due[i]` zeros in row i.

    A row that holds more zeros already keeps them, and the other rows of the tensor give up as many (`fitted`), so
    that the tensor's total stands.

    Args:
        due: One number per output row, 0 ≤ due[i] ≤ the row's width.
        out: As long as the subject's bits; may be those.
    """
    width = subject.width
    present = _zeros_per_row(subject, width)
    due = fitted(due, present)
    tied = []
    for start, stop in _chunks(subject.bits.size, width):
        keys = _keys(subject, scorer, start, stop).reshape(-1, width)
        below, surplus = _cut_rows(keys, due[start // width : stop // width])
        _clear(subject.bits, out, start, below)
        tied.append((surplus[0] + start // width, surplus[1], surplus[2]))
    _settle(subject, tied, width, out)


def _zeros_per_row(subject: PrunedTensor, width: int) -> Counts:
    counts = [
        np.count_nonzero(_is_zero(subject, start, stop).reshape(-1, width), axis=1)
        for start, stop in _chunks(subject.bits.size, width)
    ]
    return np.concatenate(counts) if counts else np.zeros(0, dtype=np.int64)


def _is_zero(subject: PrunedTensor, start: int, stop: int) -> Mask:
    return np.asarray(subject.tensor.magnitude(subject.bits[start:stop]) == 0)


def _keys(subject: PrunedTensor, scorer: Scorer, start: int, stop: int) -> Scores:
    """Scores raised by one, so that 0 is left for the weights that are zero already."""
    scores = scorer(start, stop)
    keys = scores.astype(np.promote_types(scores.dtype, np.uint32)) + 1
    keys[_is_zero(subject, start, stop)] = 0
    return np.asarray(keys)


def _cut_rows(keys: Scores, due: Counts) -> tuple[Mask, tuple[Counts, Counts, Counts]]:
    """Mark what lies below each row's cut; where all that tie at the cut belong to it, mark them too.

    Returns:
        The mask, and for rows where only some of those that tie belong to it: row, input and how many are still due,
        one entry per weight that ties.
    """
    rows = np.arange(len(keys))
    cut = np.sort(keys, axis=1)[rows, np.maximum(due - 1, 0)][:, None]
    mask = keys < cut
    missing = due - np.count_nonzero(mask, axis=1)
    ties = keys == cut
    whole = np.count_nonzero(ties, axis=1) == missing
    mask |= ties & whole[:, None]
    row, column = np.nonzero(ties & ~whole[:, None] & (missing > 0)[:, None])
    return mask, (row, column, missing[row])


def _clear(source: Bits, out: Bits, start: int, mask: Mask) -> None:
    part = source[start : start + mask.size]
    np.multiply(part, ~mask.reshape(-1), out=out[start : start + mask.size], casting="unsafe")


def _settle(subject: PrunedTensor, tied: list[tuple[Counts, Counts, Counts]], width: int, out: Bits) -> None:
    """Choose at random among the weights that tie, in each row as many as are still due."""
    row, column, missing = (np.concatenate([part[i] for part in tied]) for i in range(3)) if tied else ((),) * 3
    if not len(row):
        return
    order = np.lexsort((subject.draws.ranks(len(row)), row))
    first = np.searchsorted(row[order], row[order], side="left")
    chosen = order[np.arange(len(row)) - first < missing[order]]
    out[row[chosen] * width + column[chosen]] = 0


def zero_in_groups(subject: PrunedTensor, scorer: Scorer, pattern: tuple[int, int], out: Bits) -> None:
    """Write the weights to `out`, keeping n of every m neighbouring inputs.

    A group that holds more than m − n zeros already keeps them.

    Args:
        pattern: n and m; m divides the subject's width.
        out: As long as the subject's bits; may be those.
    """
    n, m = pattern
    words = subject.draws.words("groups")
    for start, stop in _chunks(subject.bits.size, m):
        keys = _keys(subject, scorer, start, stop)
        mask = smallest_of_groups(joined(keys, words(stop - start)), m, m - n) | (keys == 0)
        _clear(subject.bits, out, start, mask)


def joined(keys: Scores, words: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """Put a random word behind each key, so that equal keys are ordered at random."""
    if keys.dtype.itemsize > 4:  # no room for the word then; and nothing but their order counts
        keys = np.unique(keys, return_inverse=True)[1].astype(np.uint32)
    return np.asarray((keys.astype(np.uint64) << np.uint64(32)) | words)


def smallest_of_groups(keys: NDArray[np.uint64], m: int, count: int) -> Mask:
    """Mark the `count` smallest of every m neighbours.

    Each neighbour's rank is counted by comparing the m columns in pairs: several times faster than sorting groups
    of a few.

    Args:
        keys: Flat, a multiple of m long.
    """
    columns = np.ascontiguousarray(keys.reshape(-1, m).T)
    rank = np.zeros(columns.shape, dtype=np.uint8)
    for i in range(m):
        for j in range(i):
            later = columns[j] > columns[i]
            rank[j] += later
            rank[i] += ~later
    return np.asarray(rank < count).T.reshape(-1)


def _chunks(size: int, unit: int) -> Iterator[tuple[int, int]]:
    step = max(1, CHUNK // max(1, unit)) * max(1, unit)
    for start in range(0, size, step):
        yield start, min(size, start + step)
