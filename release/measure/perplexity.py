"""Perplexity over windows of running text."""

import hashlib
import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from release.errors import UnusableData
from release.measure.statistics import REPLICATES, Floats, estimate, resampled_means
from release.progress import Console
from release.record import DataSource, Perplexity
from release.sources.text import opening, tokenise, windows

WINDOW = 256
BATCH_TOKENS = 512
"""Tokens of one forward pass; more gains nothing on a CPU, and every token costs a row over the vocabulary."""


@dataclass(frozen=True)
class Readings:
    """What one model makes of the windows.

    Attributes:
        losses: Mean negative log-likelihood per scored token, in nats, (windows,).
        seconds: Wall time.
    """

    losses: Floats
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


@torch.inference_mode()
def read(model: Any, name: str, windows: NDArray[np.int32], console: Console) -> Readings:
    """Return the mean loss of each window; its first token is not scored.

    Raises:
        UnusableData: A loss is NaN or infinite; names the model and the window.
    """
    started = time.perf_counter()
    losses: list[float] = []
    batch = max(1, BATCH_TOKENS // windows.shape[1])
    with console.step(f"Perplexity, {name}", len(windows)) as advance:
        for first in range(0, len(windows), batch):
            rows = torch.from_numpy(windows[first : first + batch]).long().to(model.device)
            logits = model(input_ids=rows, use_cache=False).logits[:, :-1].float()
            each = torch.nn.functional.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten(), reduction="none")
            losses += each.view(len(rows), -1).double().mean(dim=1).tolist()
            advance(len(rows))
    spoilt = [index for index, loss in enumerate(losses) if not math.isfinite(loss)]
    if spoilt:
        raise UnusableData(
            f"The {name} model returned NaN or an infinity for text window {spoilt[0]}.",
            "Its weights are broken: check them with `release verify`.",
        )
    return Readings(np.array(losses), time.perf_counter() - started)


def compare(windows: NDArray[np.int32], dense: Readings, pruned: Readings, source: DataSource, seed: int) -> Perplexity:
    """Put both models side by side; windows are resampled in pairs."""
    means = resampled_means(np.stack([dense.losses, pruned.losses], axis=1), REPLICATES, seed)
    return Perplexity(
        text=source,
        window=windows.shape[1],
        windows=windows.shape[0],
        tokens=windows.shape[0] * (windows.shape[1] - 1),
        token_sha256=hashlib.sha256(windows.astype("<i4").tobytes()).hexdigest(),
        precision="float32",
        dense=estimate(np.exp(means[:, 0])),
        pruned=estimate(np.exp(means[:, 1])),
        ratio=estimate(np.exp(means[:, 1] - means[:, 0])),
        replicates=REPLICATES,
        bootstrap_seed=seed,
        seconds=dense.seconds + pruned.seconds,
    )
