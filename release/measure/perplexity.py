"""Perplexity over windows of running text, from the losses of both models; nothing here needs a model."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from release.measure.clustered import Linear, Strata, ratio_of_sums, spread
from release.measurements import DataSource, Estimate, Perplexity, Precision
from release.statistics import Floats, exponential, t_interval

FEWEST_BLOCKS = 12


@dataclass(frozen=True)
class Readings:
    """What one model makes of the windows.

    Attributes:
        losses: Mean negative log-likelihood per scored token, in nats, (windows,).
        recalled: Windows that were known before.
        seconds: Wall time of the others.
    """

    losses: Floats
    recalled: int
    seconds: float


@dataclass(frozen=True)
class Windows:
    """The windows that were read, as far as a record names them.

    Attributes:
        count: How many.
        size: Tokens of each.
        token_sha256: Digest of the token ids, as little-endian 32-bit integers.
    """

    count: int
    size: int
    token_sha256: str

    @classmethod
    def of(cls, tokens: NDArray[np.int32]) -> "Windows":
        """Name windows by their tokens, (count, size)."""
        count, size = tokens.shape
        return cls(count, size, hashlib.sha256(tokens.astype("<i4").tobytes()).hexdigest())


def compare(
    windows: Windows,
    dense: Readings,
    pruned: Readings,
    source: DataSource,
    precision: Precision,
) -> Perplexity:
    """Put both models side by side.

    The mean loss is taken over windows, its spread over blocks of neighbouring ones: what follows each other in a text
    is alike, so single windows say less than as many independent ones would.
    """
    of = blocks(windows.count)
    sides = [_mean(each.losses, of) for each in (dense, pruned)]
    return Perplexity(
        text=source,
        window=windows.size,
        windows=windows.count,
        tokens=windows.count * (windows.size - 1),
        token_sha256=windows.token_sha256,
        precision=precision,
        blocks=int(of[-1]) + 1,
        dense=_estimate(sides[0]),
        pruned=_estimate(sides[1]),
        ratio=_estimate(sides[1].minus(sides[0])),
        recalled=dense.recalled + pruned.recalled,
        seconds=dense.seconds + pruned.seconds,
    )


def blocks(count: int) -> NDArray[np.int64]:
    """Return the block of each window, (windows,), from 0: neighbours together, sizes one apart at most.

    A block holds about the cube root of the number of windows (Künsch 1989; Hall, Horowitz and Jing 1995), or fewer, so
    that there are `FEWEST_BLOCKS` of them.
    """
    length = max(1, min(round(count ** (1 / 3)), count // FEWEST_BLOCKS))
    return np.asarray(np.arange(count) * (count // length) // count)


def _mean(losses: Floats, of: NDArray[np.int64]) -> Linear:
    """Return the mean loss over windows, linearised over blocks."""
    sums, sizes = (np.bincount(of, weights=each).astype(float) for each in (losses, np.ones(len(of))))
    return ratio_of_sums(sums, sizes, _one_stratum(len(sizes)), np.ones(1))


def _one_stratum(clusters: int) -> Strata:
    return Strata.named([""] * clusters, [""])


def _estimate(mean: Linear) -> Estimate:
    """Return e to the power of a mean; the interval is made on the mean. Where nothing changed, it is the value."""
    if not mean.z.any() and mean.value == 0:
        return Estimate(value=1, low=1, high=1)
    known = spread(mean, _one_stratum(len(mean.z)))
    return exponential(t_interval(float(mean.value), float(known.error), float(known.df)))
