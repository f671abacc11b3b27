"""Windows of running text, and what one model makes of them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from release.errors import UnusableData
from release.evals.engine.likelihood import Ask, PassObserver, likelihoods
from release.evals.engine.subject import EvaluatedModel
from release.evals.perplexity.compare import Readings, WindowCut
from release.sources.text import opening, tokenise

WINDOW = 256
LEAST = 2
"""Windows that perplexity is measured on at least."""


def cut_windows(text: str, name: str, tokenizer: Any, count: int, window: int = WINDOW) -> NDArray[np.int32]:
    """Tokenise a text and cut its beginning into windows without overlap, (count, window); see `windows_of`."""
    return windows_of(text, name, tokenizer, count, WindowCut(window))


def windows_of(text: str, name: str, tokenizer: Any, count: int | None, cut: WindowCut) -> NDArray[np.int32]:
    """Tokenise a text and cut its beginning into windows, (windows, window).

    Where the tokenizer puts a token in front of every text, each window begins with it, as the model expects; or the
    text alone does, where papers cut it so.

    Args:
        count: How many; None for all that the text fills.

    Raises:
        UnusableData: The text is too short.
    """
    [ids] = tokenise([text], tokenizer)
    first = opening(tokenizer)
    if cut.once:
        ids, first = np.concatenate([np.array(first, np.int32), ids]), []
    width = cut.window - len(first)
    step = cut.stride or width
    held = max(0, (len(ids) - width) // step + 1)
    if held < (count or LEAST):
        needed = ((count or LEAST) - 1) * step + width
        raise UnusableData(
            f"{name} holds {len(ids)} tokens; {count or LEAST} windows of {cut.window} need {needed}.",
            f"Give a longer text, or --perplexity {max(LEAST, held)}.",
        )
    starts = np.arange(held if count is None else count) * step
    found: NDArray[np.int32] = ids[starts[:, None] + np.arange(width)]
    return np.hstack([np.tile(np.array(first, dtype=np.int32), (len(found), 1)), found])


def losses_of(
    subject: EvaluatedModel,
    windows: NDArray[np.int32],
    watch: PassObserver | None = None,
    scored: int | None = None,
) -> Readings:
    """Return the mean loss of each window; its first token is not scored.

    Args:
        windows: Token ids, (windows, window).
        scored: Tokens at the end of each that are scored; None for all but the first.
        watch: Sees the log-probabilities after each token of a window but the last.

    Raises:
        UnusableData: A loss is NaN or infinite; names the model and the window.
    """
    rows = [tuple(row) for row in windows.tolist()]
    at = 1 if scored is None else windows.shape[1] - scored
    found = likelihoods(
        subject, [Ask(row[:at], (row[at:],)) for row in rows], "Perplexity", watch=watch, unit="windows"
    )
    losses = -found.values[:, 0].astype(np.float64)
    spoilt = np.flatnonzero(~np.isfinite(losses))
    if len(spoilt):
        raise UnusableData(
            f"The {subject.name} model returned NaN or an infinity for text window {spoilt[0]}.",
            "Its weights are broken: check them with `release verify`.",
        )
    return Readings(losses, found.recalled, found.seconds)
