"""Perplexity over windows of running text."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from release.errors import UnusableData
from release.measure.likelihood import Ask, likelihoods
from release.measure.statistics import REPLICATES, Floats, estimate, resampled_means
from release.measure.subject import Subject
from release.measurements import DataSource, Perplexity, Precision
from release.sources.text import opening, tokenise, windows

WINDOW = 256


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


def cut(text: str, name: str, tokenizer: Any, count: int, window: int = WINDOW) -> NDArray[np.int32]:
    """Tokenise a text and cut its beginning into windows without overlap, (count, window).

    Where the tokenizer puts a token in front of every text, each window begins with it, as the model expects.

    Raises:
        UnusableData: The text is too short.
    """
    [ids] = tokenise([text], tokenizer)
    first = opening(tokenizer)
    step = window - len(first)
    if len(ids) < count * step:
        raise UnusableData(
            f"{name} holds {len(ids)} tokens; {count} windows of {window} need {count * step}.",
            f"Give a longer text, or --perplexity {max(2, len(ids) // step)}.",
        )
    return windows(ids, window, first)[:count]


def read(subject: Subject, windows: NDArray[np.int32]) -> Readings:
    """Return the mean loss of each window; its first token is not scored.

    Raises:
        UnusableData: A loss is NaN or infinite; names the model and the window.
    """
    rows = [tuple(row) for row in windows.tolist()]
    found = likelihoods(subject, [Ask(row[:1], (row[1:],)) for row in rows], "Perplexity")
    losses = -found.values[:, 0].astype(np.float64)
    spoilt = np.flatnonzero(~np.isfinite(losses))
    if len(spoilt):
        raise UnusableData(
            f"The {subject.name} model returned NaN or an infinity for text window {spoilt[0]}.",
            "Its weights are broken: check them with `release verify`.",
        )
    return Readings(losses, found.recalled, found.seconds)


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
    seed: int,
    precision: Precision,
) -> Perplexity:
    """Put both models side by side; windows are resampled in pairs."""
    means = resampled_means(np.stack([dense.losses, pruned.losses], axis=1), REPLICATES, seed)
    return Perplexity(
        text=source,
        window=windows.size,
        windows=windows.count,
        tokens=windows.count * (windows.size - 1),
        token_sha256=windows.token_sha256,
        precision=precision,
        dense=estimate(np.exp(means[:, 0])),
        pruned=estimate(np.exp(means[:, 1])),
        ratio=estimate(np.exp(means[:, 1] - means[:, 0])),
        replicates=REPLICATES,
        bootstrap_seed=seed,
        recalled=dense.recalled + pruned.recalled,
        seconds=dense.seconds + pruned.seconds,
    )
