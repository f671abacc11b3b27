"""Perplexity over windows of running text, from the losses of both models; nothing here needs a model."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from release.evals.engine.statistics import Floats, drifting_mean, exponential
from release.evals.perplexity.result import Perplexity
from release.values import DataSource, Estimate, Precision


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

    Windows that follow each other in a text may be alike, so the intervals allow for it (`drifting_mean`).
    """
    return Perplexity(
        text=source,
        window=windows.size,
        windows=windows.count,
        tokens=windows.count * (windows.size - 1),
        token_sha256=windows.token_sha256,
        precision=precision,
        dense=exponential(drifting_mean(dense.losses)),
        pruned=exponential(drifting_mean(pruned.losses)),
        ratio=_ratio(pruned.losses - dense.losses),
        recalled=dense.recalled + pruned.recalled,
        seconds=dense.seconds + pruned.seconds,
    )


def _ratio(changes: Floats) -> Estimate:
    """Return e to the power of the mean change in loss; where nothing changed, its interval is that point."""
    if not changes.any():
        return Estimate(value=1, low=1, high=1)
    return exponential(drifting_mean(changes))
