"""The exact budget: totals, shares, and the case of the study's model."""

from decimal import Decimal
from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release.pruning.budget import budgets, rounded_share

SPARSITIES = st.decimals(min_value="0.0001", max_value="0.9999", places=4)
SIZES = st.lists(st.integers(0, 10**7), max_size=40)


def test_phi_3_5_at_ten_percent_gives_the_documented_total():
    phi = 32 * (9216 * 3072 + 3072 * 3072 + 16384 * 3072 + 3072 * 8192)
    assert phi == 3_623_878_656
    assert rounded_share(Decimal("0.1"), phi) == 362_387_866


@given(SIZES, SPARSITIES)
def test_budgets_sum_to_the_rounded_share_of_all(sizes, sparsity):
    assert sum(budgets(sizes, sparsity)) == floor(Fraction(sparsity) * sum(sizes) + Fraction(1, 2))


@given(SIZES, SPARSITIES)
def test_each_budget_fits_its_part_and_is_within_one_of_its_share(sizes, sparsity):
    for size, budget in zip(sizes, budgets(sizes, sparsity), strict=True):
        assert 0 <= budget <= size
        assert abs(budget - Fraction(sparsity) * size) < 1


@given(SIZES, SPARSITIES, SPARSITIES)
def test_a_larger_sparsity_never_gives_a_smaller_total(sizes, one, other):
    low, high = sorted((one, other))
    assert sum(budgets(sizes, low)) <= sum(budgets(sizes, high))


@pytest.mark.parametrize(
    ("sparsity", "count", "expected"), [("0.5", 1, 1), ("0.5", 3, 2), ("0.49", 1, 0), ("0.1", 5, 1)]
)
def test_halves_round_up(sparsity, count, expected):
    assert rounded_share(Decimal(sparsity), count) == expected
