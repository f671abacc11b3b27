"""How many zeros each part of a checkpoint gets.

With N prunable weights and sparsity s the total is R(s·N), R(x) = ⌊x + ½⌋, always: part i gets
R(s·Cᵢ) − R(s·Cᵢ₋₁), where Cᵢ counts the weights of parts 1 to i; a part's own parts (the rows of a tensor) go on
counting where it began. Integers throughout.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.signedinteger[Any]]


def rounded(numerator: int, denominator: int) -> int:
    """R(numerator / denominator), exact."""
    return (2 * numerator + denominator) // (2 * denominator)


def rounded_share(sparsity: Decimal, count: int) -> int:
    """R(sparsity · count), exact."""
    numerator, denominator = sparsity.as_integer_ratio()
    return rounded(numerator * count, denominator)


@dataclass(frozen=True)
class Part:
    """A run of weights in a longer one whose first c weights get R(c · numerator / denominator) zeros.

    Attributes:
        before: Weights that lie before it.
        size: Weights in it.
    """

    numerator: int
    denominator: int
    before: int
    size: int

    @property
    def zeros(self) -> int:
        """Zeros due in it."""
        return self._until(self.size) - self._until(0)

    def pieces(self, count: int) -> list[int]:
        """Zeros due in each of `count` equal pieces; they sum to `zeros`."""
        step = self.size // count if count else 0
        ends = [self._until(i * step) for i in range(count + 1)]
        return [end - start for start, end in pairwise(ends)]

    def _until(self, count: int) -> int:
        return rounded(self.numerator * (self.before + count), self.denominator)


@dataclass(frozen=True)
class Budgets:
    """What every prunable tensor owes, by name, in name order."""

    parts: Mapping[str, Part]

    @cached_property
    def zeros(self) -> dict[str, int]:
        """Zeros due in each tensor."""
        return {name: part.zeros for name, part in self.parts.items()}

    @property
    def total(self) -> int:
        """Zeros due in all."""
        return sum(self.zeros.values())


def uniform(sizes: Mapping[str, int], sparsity: Decimal) -> Budgets:
    """Give every tensor the same share; the total is R(s·N).

    Args:
        sizes: Weights of each tensor by name, ≥ 0.
        sparsity: Share to zero, 0 < s < 1.
    """
    numerator, denominator = sparsity.as_integer_ratio()
    return Budgets(_in_a_run(numerator, denominator, sorted(sizes.items())))


def given(zeros: Mapping[str, int], sizes: Mapping[str, int]) -> Budgets:
    """Take budgets that were worked out elsewhere, tensor by tensor."""
    return Budgets({name: Part(zeros[name], max(1, sizes[name]), 0, sizes[name]) for name in sorted(zeros)})


def layered(blocks: Iterable[Mapping[str, int]], totals: Iterable[int]) -> Budgets:
    """Give each block its own total, spread evenly inside it.

    Args:
        blocks: Weights of each tensor of a block, by name.
        totals: Zeros due in each block.
    """
    parts: dict[str, Part] = {}
    for sizes, total in zip(blocks, totals, strict=True):
        parts |= _in_a_run(total, max(1, sum(sizes.values())), sorted(sizes.items()))
    return Budgets({name: parts[name] for name in sorted(parts)})


def _in_a_run(numerator: int, denominator: int, sizes: Iterable[tuple[str, int]]) -> dict[str, Part]:
    parts, counted = {}, 0
    for name, size in sizes:
        parts[name] = Part(numerator, denominator, counted, size)
        counted += size
    return parts


def spread(total: int, weights: Counts) -> Counts:
    """Share `total` out in proportion to `weights`; none gets more than its weight, all together get exactly `total`.

    Args:
        total: 0 ≤ total ≤ the sum of `weights`.
        weights: Integers ≥ 0.
    """
    whole = int(weights.sum())
    ends = [0, *(rounded(total * int(end), max(1, whole)) for end in np.cumsum(weights))]
    return np.asarray([after - before for before, after in pairwise(ends)], dtype=np.int64)


def fitted(due: Counts, present: Counts) -> Counts:
    """Let parts that hold more zeros than are due keep them, and take what is too much from the others.

    So the whole holds exactly max(due, present) zeros. What the others give up is in proportion to the zeros they
    would have gained.

    Args:
        due: Zeros due in each part.
        present: Zeros already there.
    """
    room = np.maximum(due - present, 0)
    excess = min(int(np.maximum(present - due, 0).sum()), int(room.sum()))
    return np.asarray(np.maximum(due, present) - spread(excess, room))
