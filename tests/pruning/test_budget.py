"""The exact budget: totals, shares, and the case of the study's model."""

from decimal import Decimal
from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from release.pruning.budget import Part, fitted, layered, rounded_share, spread, uniform
from release.pruning.budget import given as given_budgets

SPARSITIES = st.decimals(min_value="0.0001", max_value="0.9999", places=4)
SIZES = st.lists(st.integers(0, 10**7), max_size=40)


def budgets(sizes, sparsity):
    """Of tensors that are called so that their names are in the order given."""
    return list(uniform({f"{i:04}": size for i, size in enumerate(sizes)}, sparsity).zeros.values())


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


@given(SIZES, SPARSITIES, st.integers(1, 50))
def test_the_rows_of_a_tensor_sum_to_its_budget_and_go_on_counting_where_it_began(sizes, sparsity, rows):
    found = uniform({f"{i:04}": size * rows for i, size in enumerate(sizes)}, sparsity)
    pieces = [n for part in found.parts.values() for n in part.pieces(rows)]
    assert pieces == budgets([size for size in sizes for _ in range(rows)], sparsity)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=30))
def test_parts_with_too_many_zeros_keep_them_and_the_others_make_up_for_it(pairs):
    due, present = (np.array(column) for column in zip(*pairs, strict=True))
    result = fitted(due, present)
    assert result.sum() == max(due.sum(), np.maximum(present, np.minimum(due, present)).sum())
    assert (result >= present).all()
    assert (result <= np.maximum(due, present)).all()


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=30), st.floats(0, 1))
def test_spread_shares_out_all_and_gives_none_more_than_its_weight(weights, share):
    total = round(share * sum(weights))
    result = spread(total, np.array(weights))
    assert result.sum() == total
    assert (result >= 0).all()
    assert (result <= weights).all()


def test_layered_gives_each_block_its_own_total():
    blocks = [{"a.x": 10, "a.y": 30}, {"b.x": 10, "b.y": 30}]
    found = layered(blocks, [20, 7])
    assert found.zeros == {"a.x": 5, "a.y": 15, "b.x": 2, "b.y": 5}
    assert given_budgets(found.zeros, {name: n for block in blocks for name, n in block.items()}).zeros == found.zeros


def test_an_empty_part_owes_nothing():
    assert Part(1, 2, 3, 0).zeros == 0
    assert Part(1, 2, 3, 0).pieces(0) == []
