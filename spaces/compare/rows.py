"""Zeros row by row: the smallest weights of each output row go, as in a release whose scope is `row`.

What is zero already stays and comes first; a row that holds more zeros than are due in it takes from the others.
"""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal

import numpy as np

Scored = Callable[[slice], tuple[np.ndarray, np.ndarray]]
"""A run of weights → their scores, and which of them are zero."""
Tied = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Row, input, and the zeros still due in that row: an entry for each weight that may be one of them."""

RUN = 1 << 18
"""Weights looked at together, at least one row."""


def rounded(above: int, below: int) -> int:
    """Return R(above / below), R(x) = ⌊x + ½⌋, exact."""
    return (2 * above + below) // (2 * below)


def due_in_rows(sizes: Mapping[str, int], widths: Mapping[str, int], share: Decimal) -> dict[str, np.ndarray]:
    """Return the zeros due in each row of each tensor, (rows,): R(s·C) − R(s·C′), exact.

    Args:
        sizes: Weights of each tensor by name; C counts those up to a row's end, C′ up to its beginning, in the order of
            the names.
        widths: Weights of one row.
        share: The sparsity s, 0 to 1.
    """
    above, below = share.as_integer_ratio()
    due, counted = {}, 0
    for name in sorted(sizes):
        starts = range(counted, counted + sizes[name] + 1, widths[name])
        due[name] = np.diff([rounded(above * start, below) for start in starts])
        counted += sizes[name]
    return due


def zeroed_in_rows(bits: np.ndarray, scored: Scored, due: np.ndarray, draw: Callable[[int], np.ndarray]) -> np.ndarray:
    """Return a tensor's words with max(due, its zeros) of each row +0.0.

    Args:
        bits: (weights,), whole rows one after another.
        due: (rows,).
        draw: Returns as many random 64-bit integers, by which weights that tie are chosen.
    """
    width = bits.size // len(due)
    present = [np.count_nonzero(scored(run)[1].reshape(-1, width), axis=1) for run in _runs(bits.size, width)]
    due, kept, tied = fitted(due, np.concatenate(present)), bits.copy(), []
    for run in _runs(bits.size, width):
        first = run.start // width
        mask, (row, place, missing) = _below(_ranked(*scored(run), width), due[first : run.stop // width])
        kept[run][mask.reshape(-1)] = 0
        tied.append((row + first, place, missing))
    row, place, missing = (np.concatenate(part) for part in zip(*tied, strict=True))
    order = np.lexsort((draw(row.size), row))
    before = np.arange(row.size) - np.searchsorted(row[order], row[order])
    chosen = order[before < missing[order]]
    kept[row[chosen] * width + place[chosen]] = 0
    return kept


def _runs(size: int, width: int) -> Iterator[slice]:
    step = max(1, RUN // width) * width
    return (slice(start, min(start + step, size)) for start in range(0, size, step))


def _ranked(scores: np.ndarray, zero: np.ndarray, width: int) -> np.ndarray:
    """Return scores raised by one, 0 for what is zero already: (rows, width)."""
    ranked = scores.astype(np.promote_types(scores.dtype, np.uint32)) + 1
    ranked[zero] = 0
    return ranked.reshape(-1, width)


def _below(scores: np.ndarray, due: np.ndarray) -> tuple[np.ndarray, Tied]:
    """Mark what lies below each row's cut, and all that lies at it where all of that is due; name the rest of that."""
    cut = np.sort(scores, axis=1)[np.arange(len(due)), np.maximum(due - 1, 0)][:, None]
    mask, ties = scores < cut, scores == cut
    missing = due - np.count_nonzero(mask, axis=1)
    whole = np.count_nonzero(ties, axis=1) == missing
    mask |= ties & whole[:, None]
    row, place = np.nonzero(ties & (~whole & (missing > 0))[:, None])
    return mask, (row, place, missing[row])


def fitted(due: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Let rows keep the zeros that they hold beyond what is due, and take as many from the others."""
    room = np.maximum(due - present, 0)
    excess = min(int(np.maximum(present - due, 0).sum()), int(room.sum()))
    return np.maximum(due, present) - shared(excess, room)


def shared(total: int, sizes: np.ndarray) -> np.ndarray:
    """Share a total out in proportion to sizes, exact."""
    ends = [0, *(rounded(total * int(end), max(1, int(sizes.sum()))) for end in np.cumsum(sizes))]
    return np.diff(ends)
