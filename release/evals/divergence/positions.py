"""What two models say of the next token at each position: how far apart their distributions lie.

The Kullback-Leibler divergence of the pruned model from the dense one, KL(dense ‖ pruned) = Σ p (log p − log q) over
the whole vocabulary (Kullback and Leibler 1951), the agreement of their most likely tokens, and the probability that
each gives the token that stands there. These are the figures that llama.cpp's perplexity tool prints of a quantized
model beside its original (`--kl-divergence`) and that Dutta et al. (2024) ask for beside accuracy; here each position's
are kept, so that anybody can sum them up again.
"""

from collections.abc import Iterator

import numpy as np
import torch

from release.evals.divergence.table import Singles


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
    by_row = dense.device.type == "cpu"
    divergence = torch.tensor(list(_row_by_row(dense, pruned))) if by_row else _at_once(dense, pruned)
    same = (_top(dense) == _top(pruned)).float()
    right = [side.gather(1, tokens[:, None])[:, 0] for side in (dense, pruned)]
    found: Singles = torch.stack([divergence.clamp(min=0), same, *right], dim=1).cpu().numpy()
    return found


def _row_by_row(dense: torch.Tensor, pruned: torch.Tensor) -> Iterator[float]:
    """Yield Σ p (log p − log q) − p + q of each position, which is the divergence, since p and q each sum to 1.

    So taken, what rounding does to the logarithm of a sum over 50,000 tokens cancels: it would be as large as a small
    divergence. A row stays in the processor's cache, and one thread does it: on a busy machine the many small steps of
    several threads cost more than the forward passes.
    """
    p, q, apart = np.empty((3, dense.shape[1]), np.float32)
    with np.errstate(invalid="ignore"):
        for ours, theirs in zip(dense.numpy(), pruned.numpy(), strict=True):
            np.exp(ours, out=p)
            np.exp(theirs, out=q)
            np.subtract(ours, theirs, out=apart)
            found = float(np.dot(p, apart))
            if not np.isfinite(found):
                # A token that the dense model rules out adds nothing, whatever the pruned one gives it.
                found = float(np.where(np.isneginf(ours), 0, p * apart).sum())
            yield found + float(np.subtract(q, p, out=q).sum())


def _at_once(dense: torch.Tensor, pruned: torch.Tensor) -> torch.Tensor:
    """Return the same, (positions,)."""
    p = dense.exp()
    terms = torch.where(dense.isneginf(), 0.0, p * (dense - pruned))
    return terms.add_(pruned.exp()).sub_(p).sum(dim=1)


def _top(rows: torch.Tensor) -> torch.Tensor:
    """Return the most likely token of each position, (positions,)."""
    return torch.from_numpy(rows.numpy().argmax(axis=1)) if rows.device.type == "cpu" else rows.argmax(dim=1)
