"""Exact selection without sorting everything: scores in, budget in, pruned weights out.

Every method gives unsigned integer scores; the smallest are pruned. Three passes, in chunks that stay in the
processor's cache: one counts what is zero already; one finds the cut, by counting what lies below a range that a sample
says it is in, and collecting only what lies inside; one writes. Where the scores are uniform, the range is known
without a sample and cannot be wrong, so that one pass finds the cut and writes. Weights that tie at the cut are chosen
by further random bits, so that no region is favoured.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from release.checkpoint.header import Bits
from release.checkpoint.rewrite import nonfinite
from release.pruning.method import PrunedTensor, Scorer, Scores

Indices = NDArray[np.intp]

CHUNK = 1 << 18
"""Weights looked at together: few enough for the cache, enough that passing the GIL around costs little beside them."""
RUNS, LENGTH = 128, 8192
"""The sample of a large tensor: how many runs of neighbouring weights, and how many weights in each."""
SHARE, SHORTEST = 16, 2048
"""Of a smaller one a 16th is sampled, in runs of so many weights at least: a short run costs as much as a long one."""
FEWEST = 8
"""Runs of a tensor that has as many: how much they differ tells how far off the sample may be."""
SIGMAS = 4
"""How far from the sample's guess the cut is looked for first, in standard deviations."""
SURE = 6
"""How many times √n a count of n independent events is off its mean at most: by Hoeffding (1963) it is further off with
a probability of 2·exp(−2·6²), or 1e-31."""
WIDEST = 8
"""One pass pays where the range holds no more than an eighth of the scores there may be."""


def zero_smallest(
    subject: PrunedTensor,
    scorer: Scorer,
    budget: int,
    out: Bits,
    allow_nonfinite: bool = False,
    uniform: bool = False,
) -> None:
    """Write a tensor's weights to `out`, exactly max(budget, its zeros) of them +0.0.

    Those that are zero already, of either sign, come first, then the smallest scores, ties settled by the tensor's
    ranks. An exact choice over a tensor needs all of it, so it is held whole, whatever its size; beside it, memory is
    needed for a few per cent of its weights, and for those that tie at the cut.

    Args:
        budget: 0 ≤ budget ≤ the number of weights.
        out: As long as the subject's bits; may be those.
        allow_nonfinite: Let NaN and infinities pass.
        uniform: Whether the scores are independent, and uniform over all that their type holds.

    Raises:
        UnusableBase: Names the first weight that is NaN or infinite.
    """
    zeros = _zeros(subject, allow_nonfinite)
    if budget <= sum(zeros):
        _write(subject, lambda start, stop: subject.tensor.magnitude(subject.bits[start:stop]), 1, out)
        return
    scores = _zeros_first(subject, scorer, zeros)
    if uniform and (expected := _expected(scores, subject.bits.size, sum(zeros), budget)):
        _zero_at_once(subject, scores, budget, expected, out)
        return
    cut = find_cut(scores, subject.bits.size, budget)
    chosen = _settled(subject, cut)
    _write(subject, scores, cut.score, out)
    out[chosen] = 0


def _zeros(subject: PrunedTensor, allow_nonfinite: bool) -> list[int]:
    """Count the zeros of every chunk, and see that all is finite in the same pass."""
    tensor, zeros = subject.tensor, []
    for start in range(0, subject.bits.size, CHUNK):
        magnitude = tensor.magnitude(subject.bits[start : start + CHUNK])
        if not allow_nonfinite and magnitude.max() >= tensor.infinity:
            raise nonfinite(tensor, start + int(np.argmax(magnitude >= tensor.infinity)))
        zeros.append(magnitude.size - int(np.count_nonzero(magnitude)))
    return zeros


def _zeros_first(subject: PrunedTensor, scorer: Scorer, zeros: list[int]) -> Scorer:
    """Score 0 for what is zero already. Other weights may score 0 too: `_settled` knows them apart."""

    def scores(start: int, stop: int) -> Scores:
        found = scorer(start, stop)
        if any(zeros[start // CHUNK : -(-stop // CHUNK)]):
            found = found * (subject.tensor.magnitude(subject.bits[start:stop]) != 0)
        return found

    return scores


@dataclass(frozen=True)
class Cut:
    """Where the scores part.

    Attributes:
        score: All that score less are pruned.
        missing: How many of those that tie are pruned too, ≥ 1.
        tied: Which weights score exactly this, ascending.
    """

    score: int
    missing: int
    tied: Indices


def find_cut(scores: Scorer, size: int, count: int) -> Cut:
    """Find the `count`-th smallest score (counted from 1) of `size` scores, 1 ≤ count ≤ size."""
    sample = _sample(scores, size)
    sigmas = SIGMAS
    while True:
        low, high = _range(sample, count / size, sigmas)
        below, places, between = _split(scores, size, low, high)
        rank = count - 1 - below
        if 0 <= rank < between.size:
            return _cut(rank, places, between)
        sigmas *= 8


def _cut(rank: int, places: Indices, between: Scores) -> Cut:
    """The cut at a rank, counted from 0, among the scores that stand at some places."""
    score = _ranked(between, rank)
    missing = rank + 1 - int(np.count_nonzero(between < score))
    return Cut(score, missing, places[np.flatnonzero(between == score)])


def _expected(scores: Scorer, size: int, zeros: int, budget: int) -> tuple[int, int] | None:
    """Two scores that the cut through uniform ones lies between, both included; None where they lie far apart.

    As many scores as there are zeros may have been put below all others, wherever these stand.
    """
    levels = 1 << 8 * scores(0, 1).dtype.itemsize
    margin = SURE * math.isqrt(size) + SURE
    low = max(0, -(-(budget - margin - zeros) * levels // size) - 1)
    high = min(levels, -(-(budget + margin) * levels // size)) - 1
    return (low, high) if (high + 1 - low) * WIDEST <= levels else None


def _zero_at_once(subject: PrunedTensor, scores: Scorer, budget: int, expected: tuple[int, int], out: Bits) -> None:
    """Zero what scores up to the end of a range that holds the cut, and put back what lies inside and stays."""
    (low, high), below = expected, 0
    places, between, spared = [], [], []
    for start in range(0, out.size, CHUNK):
        stop = min(start + CHUNK, out.size)
        part, bits = scores(start, stop), subject.bits[start:stop]
        inside, fewer = _inside(part, low, high)
        below += fewer
        places.append(inside + start)
        between.append(part[inside])
        spared.append(bits[inside])
        np.multiply(bits, part > high, out=out[start:stop])
    where, found = np.concatenate(places), np.concatenate(between)
    rank = budget - 1 - below
    if not 0 <= rank < found.size:
        raise ValueError(f"the scores of {subject.tensor.name} are not uniform")
    cut = _cut(rank, where, found)
    stays = np.flatnonzero(found >= cut.score)
    out[where[stays]] = np.concatenate(spared)[stays]
    out[_settled(subject, cut)] = 0


def _sample(scores: Scorer, size: int) -> Scores:
    """Scores of runs that are spread evenly over the tensor, [runs, length]."""
    length = min(LENGTH, max(SHORTEST, size // (SHARE * RUNS)), size)
    runs = min(RUNS, max(FEWEST, size // (SHARE * length)), size // length)
    starts = (i * (size - length) // max(1, runs - 1) for i in range(runs))
    return np.stack([scores(start, start + length) for start in starts])


def _range(sample: Scores, share: float, sigmas: int) -> tuple[int, int]:
    """Two scores that the cut lies between, both included, unless the sample is off by more than `sigmas`.

    Neighbours resemble each other (a row of a matrix has its own scale), so the sample's error is read from how much
    its runs differ; it is never less than that of independent scores.
    """
    size, place = sample.size, share * sample.size
    inside = np.mean(sample <= _ranked(sample, min(int(place), size - 1)), axis=1)
    error = max((share * (1 - share) / size) ** 0.5, float(inside.std()) / inside.size**0.5)
    first, last = int(place - sigmas * error * size) - 1, int(place + sigmas * error * size) + 1
    low = _ranked(sample, first) if first > 0 else 0
    high = _ranked(sample, last) if last < size else int(np.iinfo(sample.dtype).max)
    return low, high


def _ranked(values: Scores, rank: int) -> int:
    """The value of a rank, counted from 0: found bit by bit, counting, which vectorises where partitioning does not."""
    low, high = 0, int(np.iinfo(values.dtype).max)
    while low < high:
        middle = (low + high) // 2
        if np.count_nonzero(values <= middle) > rank:
            high = middle
        else:
            low = middle + 1
    return low


def _split(scores: Scorer, size: int, low: int, high: int) -> tuple[int, Indices, Scores]:
    """Count the scores below `low`; collect those from `low` to `high`, and where they are."""
    below, places, between = 0, [], []
    for start in range(0, size, CHUNK):
        part = scores(start, min(start + CHUNK, size))
        inside, fewer = _inside(part, low, high)
        below += fewer
        places.append(inside + start)
        between.append(part[inside])
    return below, np.concatenate(places), np.concatenate(between)


def _inside(part: Scores, low: int, high: int) -> tuple[Indices, int]:
    """Where scores lie from `low` to `high`, and how many lie below."""
    small = part < low
    # By index: taking by mask costs three times as much where few are taken.
    return np.flatnonzero(small ^ (part <= high)), int(np.count_nonzero(small))


def _settled(subject: PrunedTensor, cut: Cut) -> Indices:
    """Choose among the weights that tie at the cut: those that are zero already, then the lowest ranks."""
    zero = subject.tensor.magnitude(subject.bits[cut.tied]) == 0
    others = cut.tied[~zero]
    chosen = lowest(subject.draws.ranks(others.size), cut.missing - int(np.count_nonzero(zero)))
    return np.concatenate([cut.tied[zero], others[chosen]])


def lowest(ranks: NDArray[np.unsignedinteger[Any]], count: int) -> NDArray[np.bool_]:
    """Mark exactly `count` of the lowest ranks, 1 ≤ count ≤ their number; of equal ones the first."""
    last = np.partition(ranks, count - 1)[count - 1]
    mask = np.asarray(ranks < last)
    mask[np.flatnonzero(ranks == last)[: count - int(np.count_nonzero(mask))]] = True
    return mask


def _write(subject: PrunedTensor, scores: Scorer, cut: int, out: Bits) -> None:
    """Write the weights that score at least `cut`, and +0.0 for the others."""
    for start in range(0, out.size, CHUNK):
        stop = min(start + CHUNK, out.size)
        # Bits times 0 or 1: +0.0 or the weight itself, eight times as fast as a masked assignment.
        np.multiply(subject.bits[start:stop], scores(start, stop) >= cut, out=out[start:stop])
