"""OWL: blocks with more outliers among their scores are pruned less (Yin et al., 2024, arXiv:2310.05175).

A block's outliers are the weights whose Wanda score exceeds M times the block's mean score. The blocks' densities then
follow their shares of outliers, within a band of 2 λ around the sparsity asked for, whose mean stays exact.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

import numpy as np

from release.pruning import wanda
from release.pruning.budget import Budgets, layered, rounded
from release.pruning.method import PrunedTensor

OUTLIER = 5
"""M: how many times the mean a score must be."""
BAND = Fraction(8, 100)
"""λ."""
CHUNK = 1 << 18


def outlier_share(subjects: Sequence[PrunedTensor]) -> float:
    """Share of a block's weights whose score |w| · ‖x‖ is more than M times the block's mean."""
    count = sum(subject.bits.size for subject in subjects)
    total = sum(float(part.sum(dtype=np.float64)) for part in _scores(subjects))
    limit = OUTLIER * total / max(1, count)
    return sum(int(np.count_nonzero(part > limit)) for part in _scores(subjects)) / max(1, count)


def _scores(subjects: Iterable[PrunedTensor]) -> Iterable[np.ndarray]:
    for subject in subjects:
        scorer = wanda.scorer(subject)
        for start in range(0, subject.bits.size, CHUNK):
            scores = scorer(start, min(subject.bits.size, start + CHUNK))
            yield scores.view(f"<f{scores.dtype.itemsize}")


def owl_budgets(blocks: Sequence[Mapping[str, int]], outliers: Sequence[float], sparsity: Decimal) -> Budgets:
    """Share R(s·N) zeros out over blocks by their outliers.

    The band is narrowed where the sparsity lies near 0 or 1, so that every block's share stays inside them.

    Args:
        blocks: Weights of each tensor of each block, by name.
        outliers: From `outlier_share`, one per block.
        sparsity: s, 0 < s < 1.
    """
    sizes = [sum(block.values()) for block in blocks]
    asked = Fraction(sparsity)
    raised = _raised(outliers, min(BAND, asked / 2, (1 - asked) / 2))
    mean = sum((r * n for r, n in zip(raised, sizes, strict=True)), Fraction(0)) / sum(sizes)
    due, counted = [], Fraction(0)
    for density, size in zip(raised, sizes, strict=True):
        after = counted + size * (asked + mean - density)
        due.append(rounded(*after.as_integer_ratio()) - rounded(*counted.as_integer_ratio()))
        counted = after
    return layered(blocks, due)


def _raised(outliers: Sequence[float], band: Fraction) -> list[Fraction]:
    """Spread densities over 0 … 2 · band by the blocks' shares of outliers."""
    exact = [Fraction(share) for share in outliers]
    low, high = min(exact), max(exact)
    return [2 * band * (share - low) / (high - low) if high > low else Fraction(0) for share in exact]
