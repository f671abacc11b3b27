"""One matrix pruned by the optimal brain surgeon: what SparseGPT does to each layer.

Columns are pruned from the first to the last; each column's error is spread over the columns after it, by the inverse
of the Hessian H = X Xᵀ of the layer's squared error (Frantar and Alistarh, arXiv 2301.00774, algorithm 1).
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from release.models.device import with_doubles
from release.pruning.budget import spread
from release.pruning.grouped import smallest_of_groups

COLUMNS = 128
"""Columns whose masks are chosen together (the paper's block size)."""
DAMPING = 0.01
"""Share of the mean diagonal added to the Hessian (the paper's)."""

Mask = NDArray[np.bool_]
Words = Callable[[int], NDArray[np.uint32]]


def pruned(
    weights: torch.Tensor, gram: torch.Tensor, due: int, pattern: tuple[int, int] | None, words: Words
) -> tuple[torch.Tensor, torch.Tensor]:
    """Prune one matrix and update what is kept.

    Args:
        weights: [outputs, inputs], fp32, on the gram's device; changed.
        gram: Σ x xᵀ, [inputs, inputs].
        due: Zeros due; weights that are zero already count, and stay zero.
        pattern: n and m instead of `due`, or None.
        words: Random numbers that settle ties.

    Returns:
        The weights, fp32, and the mask of those pruned.
    """
    layer = _Layer(weights, (weights == 0).cpu().numpy(), _factor(gram), words)
    layer.run(_quotas(layer.zero, due) if pattern is None else None, pattern)
    return layer.weights, layer.mask


def _factor(gram: torch.Tensor) -> torch.Tensor:
    """The upper Cholesky factor of H⁻¹, which holds what every column's elimination needs; in double precision."""
    hessian = gram.to(with_doubles(gram.device)).double()
    diagonal = hessian.diagonal()
    diagonal += DAMPING * diagonal.mean()
    diagonal[diagonal == 0] = 1  # nothing ever reached this layer: every weight costs the same
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(hessian))
    upper: torch.Tensor = torch.linalg.cholesky(inverse, upper=True)
    return upper.float().to(gram.device)


def _quotas(zero: Mask, due: int) -> list[int]:
    """Weights to prune in each run of columns: its zeros, and a share of what is still due by its other weights."""
    starts = np.arange(0, zero.shape[1], COLUMNS)
    present = np.add.reduceat(np.count_nonzero(zero, axis=0), starts)
    others = np.add.reduceat(np.count_nonzero(~zero, axis=0), starts)
    return [int(n) for n in present + spread(max(0, due - int(present.sum())), others)]


class _Layer:
    """One matrix while it is pruned.

    Attributes:
        weights: [outputs, inputs], fp32, changed in place.
        zero: Weights that were zero to begin with: they stay pruned.
        factor: From `_factor`.
        mask: What is pruned.
    """

    def __init__(self, weights: torch.Tensor, zero: Mask, factor: torch.Tensor, words: Words) -> None:
        self.weights, self.zero, self.factor, self.words = weights, zero, factor, words
        self.mask = torch.zeros(weights.shape, dtype=torch.bool, device=weights.device)

    def run(self, quotas: Sequence[int] | None, pattern: tuple[int, int] | None) -> None:
        """Prune all columns, by a quota for each run of them or by a pattern."""
        for number, start in enumerate(range(0, self.weights.shape[1], COLUMNS)):
            stop = min(start + COLUMNS, self.weights.shape[1])
            if quotas is not None:
                self._choose(start, stop, quotas[number])
            self._eliminate(start, stop, pattern)

    def _eliminate(self, start: int, stop: int, pattern: tuple[int, int] | None) -> None:
        errors = torch.empty_like(self.weights[:, start:stop])
        for column in range(start, stop):
            if pattern and column % pattern[1] == 0:
                self._choose_groups(column, pattern)
            weights, row = self.weights[:, column], self.factor[column, column:stop]
            kept = weights.masked_fill(self.mask[:, column], 0)
            errors[:, column - start] = (weights - kept) / row[0]
            self.weights[:, column:stop] -= torch.outer(errors[:, column - start], row)
            self.weights[:, column] = kept
        self.weights[:, stop:] -= errors @ self.factor[start:stop, stop:]

    def _keys(self, start: int, stop: int) -> NDArray[np.uint64]:
        """Order of the weights of some columns, flat: what was zero first, then by w² / [H⁻¹]², ties at random."""
        cost = (self.weights[:, start:stop] / self.factor.diagonal()[start:stop]).square_()
        scores = cost.contiguous().cpu().numpy().view("<u4").astype(np.uint64) + 1
        scores[self.zero[:, start:stop]] = 0
        keys: NDArray[np.uint64] = scores.reshape(-1) << np.uint64(32)
        return keys | self.words(keys.size)

    def _choose(self, start: int, stop: int, quota: int) -> None:
        if not quota:
            return
        chosen = np.zeros(self.zero[:, start:stop].size, dtype=np.bool_)
        chosen[np.argpartition(self._keys(start, stop), quota - 1)[:quota]] = True
        self._mark(start, stop, chosen)

    def _choose_groups(self, start: int, pattern: tuple[int, int]) -> None:
        n, m = pattern
        chosen = smallest_of_groups(self._keys(start, start + m), m, m - n)
        self._mark(start, start + m, chosen | self.zero[:, start : start + m].reshape(-1))

    def _mark(self, start: int, stop: int, chosen: Mask) -> None:
        part = self.mask[:, start:stop]
        part[:] = torch.from_numpy(chosen.reshape(part.shape)).to(part.device)
