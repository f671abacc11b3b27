"""What two models say of the next token at each position: how far apart their distributions lie.

The Kullback-Leibler divergence of the pruned model from the dense one, KL(dense ‖ pruned) = Σ p (log p − log q) over
the whole vocabulary (Kullback and Leibler 1951), the agreement of their most likely tokens, and the probability that
each gives the token that stands there. These are the figures that llama.cpp's perplexity tool prints of a quantized
model beside its original (`--kl-divergence`) and that Dutta et al. (2024) ask for beside accuracy; here each position's
are kept, so that anybody can sum them up again.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray

from release.evals.divergence.table import COLUMNS, Singles

PLACES = len(COLUMNS)


def compared(dense: torch.Tensor, pruned: torch.Tensor, tokens: torch.Tensor) -> Singles:
    """Compare the log-probabilities of two models at the same positions.

    Args:
        dense: Natural logarithms over the whole vocabulary, (positions, V), fp32.
        pruned: The same of the pruned model, on the same device.
        tokens: The token that stands at each position, (positions,).

    Returns:
        (positions, 4), see `COLUMNS`. A divergence that rounding took below 0 is 0; it is infinite where the pruned
        model rules out a token that the dense one does not, and NaN where a model gave NaN.
    """
    if dense.device.type == "cpu":
        return _in_parts(dense.numpy(), pruned.numpy(), tokens.numpy())
    same = (dense.argmax(dim=1) == pruned.argmax(dim=1)).float()
    right = [side.gather(1, tokens[:, None])[:, 0] for side in (dense, pruned)]
    found: Singles = torch.stack([_at_once(dense, pruned).clamp(min=0), same, *right], dim=1).cpu().numpy()
    return found


def _in_parts(dense: Singles, pruned: Singles, tokens: NDArray[np.int64]) -> Singles:
    """Compare as many parts of the positions at a time as there are processors."""
    parts = np.array_split(np.arange(len(tokens)), torch.get_num_threads())
    found = np.empty((len(tokens), PLACES), np.float32)

    def work(part: NDArray[np.int64]) -> None:
        own = slice(part[0], part[-1] + 1)
        for place, row in zip(part, _row_by_row(dense[own], pruned[own], tokens[own]), strict=True):
            found[place] = row

    with ThreadPoolExecutor(len(parts)) as pool:
        list(pool.map(work, (part for part in parts if len(part))))
    return found


def _row_by_row(dense: Singles, pruned: Singles, tokens: NDArray[np.int64]) -> Iterator[tuple[float, ...]]:
    """Yield what is kept of each position; the divergence is Σ p (log p − log q) − p + q, since p and q each sum to 1.

    So taken, no term is below 0, and what rounding does to the logarithm of a sum over 50,000 tokens cancels: it would
    be as large as a small divergence. A row stays in the processor's cache, where the few steps over it cost little.
    """
    p, q, terms = np.empty((3, dense.shape[1]), np.float32)
    with np.errstate(invalid="ignore"):
        for ours, theirs, token in zip(dense, pruned, tokens, strict=True):
            np.exp(ours, out=p)
            np.exp(theirs, out=q)
            np.subtract(ours, theirs, out=terms)
            terms *= p
            q -= p
            terms += q
            found = float(terms.sum())
            if not np.isfinite(found):
                # A token that the dense model rules out adds no product, whatever the pruned one gives it.
                found = float((np.where(np.isneginf(ours), 0, p * (ours - theirs)) + q).sum())
            yield max(found, 0.0), ours.argmax() == theirs.argmax(), ours[token], theirs[token]


def _at_once(dense: torch.Tensor, pruned: torch.Tensor) -> torch.Tensor:
    """Return the same divergences, (positions,)."""
    p = dense.exp()
    terms = torch.where(dense.isneginf(), 0.0, p * (dense - pruned))
    return terms.add_(pruned.exp()).sub_(p).sum(dim=1)
