"""Windows of running text, and what one model makes of them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from release.errors import UnusableData
from release.evals.engine.likelihood import Ask, PassObserver, likelihoods
from release.evals.engine.subject import EvaluatedModel
from release.evals.perplexity.compare import Readings
from release.sources.text import opening, tokenise, windows

WINDOW = 256


def cut_windows(text: str, name: str, tokenizer: Any, count: int, window: int = WINDOW) -> NDArray[np.int32]:
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


def losses_of(subject: EvaluatedModel, windows: NDArray[np.int32], watch: PassObserver | None = None) -> Readings:
    """Return the mean loss of each window; its first token is not scored.

    Args:
        windows: Token ids, (windows, window).
        watch: Sees the log-probabilities after each token of a window but the last.

    Raises:
        UnusableData: A loss is NaN or infinite; names the model and the window.
    """
    rows = [tuple(row) for row in windows.tolist()]
    found = likelihoods(subject, [Ask(row[:1], (row[1:],)) for row in rows], "Perplexity", watch=watch)
    losses = -found.values[:, 0].astype(np.float64)
    spoilt = np.flatnonzero(~np.isfinite(losses))
    if len(spoilt):
        raise UnusableData(
            f"The {subject.name} model returned NaN or an infinity for text window {spoilt[0]}.",
            "Its weights are broken: check them with `release verify`.",
        )
    return Readings(losses, found.recalled, found.seconds)
