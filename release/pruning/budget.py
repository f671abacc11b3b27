"""How many zeros each part of a checkpoint gets.

With N prunable weights and sparsity s the total is R(s·N), R(x) = ⌊x + ½⌋, always: part i gets
R(s·Cᵢ) − R(s·Cᵢ₋₁), where Cᵢ counts the weights of parts 1 to i. Integers throughout.
"""

from collections.abc import Sequence
from decimal import Decimal


def rounded_share(sparsity: Decimal, count: int) -> int:
    """R(sparsity · count), exact."""
    numerator, denominator = sparsity.as_integer_ratio()
    return (2 * numerator * count + denominator) // (2 * denominator)


def budgets(sizes: Sequence[int], sparsity: Decimal) -> list[int]:
    """Zeros for each part, in the order given; `sum(budgets(n, s)) == rounded_share(s, sum(n))`.

    Args:
        sizes: Weights of each part, ≥ 0.
        sparsity: Share to zero, 0 < s < 1.
    """
    result, counted = [], 0
    for size in sizes:
        result.append(rounded_share(sparsity, counted + size) - rounded_share(sparsity, counted))
        counted += size
    return result
