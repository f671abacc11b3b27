import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from release.measure import statistics


@pytest.mark.parametrize(("count", "n"), [(0, 10), (3, 10), (10, 10), (81, 263), (1, 1)])
def test_wilson_is_scipys(count: int, n: int) -> None:
    rate = statistics.wilson(count, n)
    expected = stats.binomtest(count, n).proportion_ci(method="wilson")
    assert (rate.value, rate.low, rate.high) == pytest.approx((count / n, expected.low, expected.high))


def test_wilson_of_nothing_is_undefined() -> None:
    assert statistics.wilson(0, 0).value is None


@pytest.mark.parametrize(("only_dense", "only_pruned", "p"), [(0, 0, 1.0), (5, 0, 0.0625), (8, 2, 0.109375), (4, 4, 1)])
def test_mcnemar_is_a_fair_coin_on_the_discordant_pairs(only_dense: int, only_pruned: int, p: float) -> None:
    assert statistics.mcnemar(only_dense, only_pruned).p_value == pytest.approx(p)


def test_clusters_stay_in_their_stratum_and_keep_its_weight() -> None:
    weights = statistics.cluster_weights(["a"] * 5 + ["b"] * 2, 200, seed=0)
    assert (weights[0] == 1).all()
    assert weights[:, :5].sum(axis=1) == pytest.approx(np.full(201, 5))
    assert weights[:, 5:].sum(axis=1) == pytest.approx(np.full(201, 2))


def test_single_clusters_are_resampled_together() -> None:
    weights = statistics.cluster_weights(["a", "b", "c", "c", "c"], 200, seed=0)
    assert weights[1:, 0].std() > 0
    assert weights[:, :2].sum(axis=1) == pytest.approx(np.full(201, 2))
    alone = statistics.cluster_weights(["a", "c", "c"], 200, seed=0)
    assert alone[1:, 0].std() > 0


def test_the_spread_of_a_mean_is_its_standard_error() -> None:
    values = np.random.default_rng(0).normal(size=8)
    means = statistics.resampled_means(values, 20_000, seed=1)
    assert means[0] == pytest.approx(values.mean())
    assert means[1:].std() == pytest.approx(values.std(ddof=1) / np.sqrt(8), rel=0.03)


def test_an_undefined_value_has_no_interval() -> None:
    assert statistics.estimate(np.array([np.nan, 1.0, 2.0])).low is None


@pytest.mark.parametrize(
    ("dense", "pruned", "h"),
    [
        (0.5, 0.5, 0),
        (0, 1, math.pi),
        (1, 0, -math.pi),
        (0.25, 0.75, math.pi / 3),  # 2 · (60° − 30°)
        (0, 0.25, math.pi / 3),
        (0.5, 0.0, -math.pi / 2),
        (0.5, 0.75, math.pi / 6),
    ],
)
def test_cohens_h_is_the_arcsines_difference(dense: float, pruned: float, h: float) -> None:
    assert statistics.cohens_h(dense, pruned) == pytest.approx(h)


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([0.0] * 5, 1.0),  # nothing changed
        ([0.3, 0.1, 0.2, 0.3, 0.4], 2 / 5),  # none of four beyond zero: 2 · (0 + 1) / (4 + 1)
        ([-0.3, -0.1, -0.2, -0.3, -0.4], 2 / 5),
        ([0.3, -0.1, 0.2, 0.3, 0.4, 0.1, 0.1, 0.1, 0.1, 0.1], 4 / 10),
        ([0.3, 0.0, 0.2, 0.3, 0.4, 0.1, 0.1, 0.1, 0.1, 0.1], 4 / 10),  # zero lies on both sides
        ([0.1, -0.1, 0.1, -0.1, 0.1], 1.0),
        ([0.1, np.nan, 0.1, 0.1, 0.1], 2 / 4),  # undefined replicates say nothing
        ([np.nan, 0.1, 0.1], None),
        ([0.1, np.nan], None),
    ],
)
def test_significance_is_twice_the_rarer_side_of_zero(differences: list[float], p: float | None) -> None:
    assert statistics.achieved_significance(np.array(differences)) == (p if p is None else pytest.approx(p))


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=60))
def test_significance_is_never_nil_and_the_same_from_both_sides(differences: list[float]) -> None:
    p = statistics.achieved_significance(np.array(differences))
    assert 0 < p <= 1
    assert statistics.achieved_significance(-np.array(differences)) == p


def test_a_difference_is_significant_where_its_interval_excludes_zero() -> None:
    rng = np.random.default_rng(0)
    centre = rng.normal(size=400) * 2.5
    draws = centre[:, None] + rng.normal(size=(400, 2001))
    for differences in draws:
        found, p = statistics.estimate(differences), statistics.achieved_significance(differences)
        if abs(p - 0.05) > 0.002:  # one replicate either way
            assert (p < 0.05) == (found.low > 0 or found.high < 0)


@pytest.mark.parametrize(
    ("p_values", "adjusted"),
    [
        # Four p-values in order: p · 4 / rank, then the smallest of it and all that follow.
        ([0.01, 0.02, 0.03, 0.04], [0.04, 0.04, 0.04, 0.04]),
        ([0.005, 0.02, 0.2, 0.8], [0.02, 0.04, 0.8 / 3, 0.8]),
        ([0.8, 0.005, 0.2, 0.02], [0.8, 0.02, 0.8 / 3, 0.04]),
        ([0.04, None, 0.01, None], [0.04, None, 0.02, None]),
        ([0.6, 0.5, 1.0], [0.9, 0.9, 1.0]),
        ([0.03], [0.03]),
        ([None, None], [None, None]),
        ([], []),
    ],
)
def test_benjamini_hochberg_by_hand(p_values: list[float | None], adjusted: list[float | None]) -> None:
    found = statistics.benjamini_hochberg(p_values)
    assert [p is None for p in found] == [p is None for p in adjusted]
    assert [p for p in found if p is not None] == pytest.approx([p for p in adjusted if p is not None])


@given(st.lists(st.floats(1e-9, 1), min_size=1, max_size=12))
def test_adjusting_keeps_the_order_and_lowers_nothing(p_values: list[float]) -> None:
    found = statistics.benjamini_hochberg(p_values)
    assert all(p <= adjusted + 1e-15 and adjusted <= 1 for p, adjusted in zip(p_values, found, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(np.array(found)[order]) >= -1e-15).all()
