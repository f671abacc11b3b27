"""Perplexity over windows of running text, from the losses of both models; nothing here needs a model."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from release.evals.engine.statistics import Floats, drifting_mean, exponential
from release.evals.perplexity.options import PresetName
from release.evals.perplexity.result import Beginning, Perplexity
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
class WindowCut:
    """How a text is cut into windows.

    Attributes:
        window: Tokens of each.
        stride: Tokens from the beginning of one to that of the next; None for windows without overlap.
        once: Whether the token that begins a text stands in front of the text alone, and not of every window.
        preset: By which name it was asked for.
        bos: What begins with that token; None where it is not known.
        whole: Whether all windows of the text were read.
    """

    window: int
    stride: int | None = None
    once: bool = False
    preset: PresetName | None = None
    bos: Beginning | None = None
    whole: bool = False

    @property
    def scored(self) -> int:
        """Tokens of a window that are scored: those behind the stride before it, and never the first."""
        return min(self.window - 1, self.stride or self.window)


@dataclass(frozen=True)
class Windows:
    """The windows that were read, as far as a record names them.

    Attributes:
        count: How many.
        size: Tokens of each.
        token_sha256: Digest of the token ids, as little-endian 32-bit integers.
        cut: How they were cut; None for windows without overlap.
    """

    count: int
    size: int
    token_sha256: str
    cut: WindowCut | None = None

    @classmethod
    def of(cls, tokens: NDArray[np.int32], cut: WindowCut | None = None) -> "Windows":
        """Name windows by their tokens, (count, size)."""
        count, size = tokens.shape
        return cls(count, size, hashlib.sha256(tokens.astype("<i4").tobytes()).hexdigest(), cut)


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
    cut = windows.cut or WindowCut(windows.size)
    return Perplexity(
        text=source,
        window=windows.size,
        windows=windows.count,
        tokens=windows.count * cut.scored,
        token_sha256=windows.token_sha256,
        precision=precision,
        dense=exponential(drifting_mean(dense.losses)),
        pruned=exponential(drifting_mean(pruned.losses)),
        ratio=_ratio(pruned.losses - dense.losses),
        recalled=dense.recalled + pruned.recalled,
        seconds=dense.seconds + pruned.seconds,
        preset=cut.preset,
        stride=cut.stride,
        bos=cut.bos,
        whole=cut.whole,
    )


def _ratio(changes: Floats) -> Estimate:
    """Return e to the power of the mean change in loss; where nothing changed, its interval is that point."""
    if not changes.any():
        return Estimate(value=1, low=1, high=1)
    return exponential(drifting_mean(changes))
