import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from release import statistics
from release.measurements import Estimate


@pytest.mark.parametrize(("count", "n"), [(0, 10), (3, 10), (10, 10), (81, 263), (1, 1)])
def test_wilson_is_scipys(count: int, n: int) -> None:
    rate = statistics.wilson(count, n)
    expected = stats.binomtest(count, n).proportion_ci(method="wilson")
    assert (rate.value, rate.low, rate.high) == pytest.approx((count / n, expected.low, expected.high))


def test_wilson_of_nothing_is_undefined() -> None:
    assert statistics.wilson(0, 0).value is None


@pytest.mark.parametrize(("only_dense", "only_pruned", "p"), [(0, 0, 1.0), (5, 0, 0.0625), (8, 2, 0.109375), (4, 4, 1)])
def test_mcnemar_is_a_fair_coin_on_the_discordant_pairs(only_dense: int, only_pruned: int, p: float) -> None:
    assert statistics.mcnemar(only_dense, only_pruned) == pytest.approx(p)


SCALES = [statistics.PLAIN, statistics.LOG, statistics.SHARE, statistics.Scale("bounded", -1, 1)]


@pytest.mark.parametrize("scale", SCALES, ids=["plain", "log", "share", "signed"])
@pytest.mark.parametrize("value", [0.02, 0.4, 0.97])
def test_an_interval_is_made_on_its_scale_and_stays_in_its_range(scale: statistics.Scale, value: float) -> None:
    assert scale.back(scale.to(value)) == pytest.approx(value)
    step = 1e-6
    assert scale.slope(value) == pytest.approx((scale.to(value + step) - scale.to(value)) / step, rel=1e-3)
    found = statistics.t_interval(value, 0.1, 9.0, scale)
    assert found.low < value < found.high
    reach = stats.t.ppf(0.975, 9) * 0.1 * scale.slope(value)
    assert scale.to(found.high) - scale.to(value) == pytest.approx(reach)
    assert scale is statistics.PLAIN or found.low > (-1 if scale.low == -1 else 0)


@pytest.mark.parametrize("scale", SCALES, ids=["plain", "log", "share", "signed"])
@given(st.floats(0.05, 0.95), st.floats(0.001, 0.2), st.floats(3, 200), st.floats(0.05, 0.95))
def test_a_p_value_is_below_five_per_cent_exactly_where_the_interval_leaves_the_bound_out(
    scale: statistics.Scale, value: float, error: float, df: float, bound: float
) -> None:
    found = statistics.t_interval(value, error, df, scale)
    p = statistics.p_beside(found, bound, scale)
    if abs(p - 0.05) > 1e-6:
        assert (p < 0.05) == (not found.low <= bound <= found.high)


@pytest.mark.parametrize(("value", "error"), [(math.nan, 0.1), (0.5, math.nan), (0.0, 0.1), (1.0, 0.1)])
def test_where_too_little_is_known_or_a_share_is_at_its_end_there_is_no_interval(value: float, error: float) -> None:
    found = statistics.t_interval(value, error, 9.0, statistics.SHARE)
    assert (found.value is None, found.low, found.high, found.df) == (math.isnan(value), None, None, None)
    assert statistics.p_beside(found, 0.5, statistics.SHARE) is None


def test_of_an_interval_that_is_a_point_nothing_is_inferred() -> None:
    assert statistics.p_beside(Estimate(value=1, low=1, high=1), 1) is None


@pytest.mark.parametrize("effect", [1.0, 2.5])
def test_a_clustered_share_is_wilson_s_for_the_sample_that_clusters_leave(effect: float) -> None:
    count, n = 30, 100
    error = math.sqrt(effect * 0.3 * 0.7 / n)
    found = statistics.clustered_wilson(count, n, error, 1e9, clusters=25)
    plain = stats.binomtest(round(count * 2 / (2 * effect)), round(n / effect)).proportion_ci(method="wilson")
    assert found.design_effect == pytest.approx(effect)
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high))


def test_answers_that_are_all_the_same_count_once_a_cluster() -> None:
    found = statistics.clustered_wilson(300, 300, math.nan, math.nan, clusters=25)
    assert (found.design_effect, found.df) == (12, 24)
    assert found.low == pytest.approx(25 / (25 + stats.t.ppf(0.975, 24) ** 2))
    assert statistics.clustered_wilson(44, 44, math.nan, math.nan, clusters=11).low is None


@given(st.integers(0, 100), st.floats(1, 4), st.floats(2, 100), st.floats(0.05, 0.95))
def test_a_share_s_p_value_agrees_with_its_interval(count: int, effect: float, df: float, bound: float) -> None:
    error = math.sqrt(effect * (count / 100) * (1 - count / 100) / 100) or math.nan
    found = statistics.clustered_wilson(count, 100, error, df, clusters=25)
    p = statistics.p_of_share(found, bound)
    if abs(p - 0.05) > 1e-6:
        assert (p < 0.05) == (not found.low <= bound <= found.high)


# The sign-flip test


def flipped(dense: list[float], pruned: list[float], each: float = 4.0) -> float | None:
    return statistics.sign_flip(np.array([dense, pruned]), np.full((2, len(dense)), each), seed=0)


def test_a_change_everywhere_has_the_smallest_p_there_is() -> None:
    assert flipped([0.0] * 12, [1.0] * 12) == 2 / 2**12
    assert flipped([0.0] * 25, [1.0] * 25) == 1 / 10_000


def test_the_exact_test_counts_every_pattern() -> None:
    """Of twelve templates three changed, by 1, 1 and 2: of the eight patterns of signs two reach a sum of 4."""
    pruned = [1.0, 1.0, 2.0] + [0.0] * 9
    assert flipped([0.0] * 12, pruned) == 2 / 8
    assert flipped([0.0] * 12, [1.0, 1.0, -2.0 + 2, 0.0] + [0.0] * 8) == 2 / 4


@pytest.mark.parametrize(
    ("dense", "pruned"), [([0.0] * 11, [1.0] * 11), ([1.0] * 12, [1.0] * 12), ([0, 1.0] * 10, [0, 1.0] * 10)]
)
def test_no_p_from_few_clusters_nor_where_nothing_changed(dense: list[float], pruned: list[float]) -> None:
    assert flipped(dense, pruned) is None


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=12, max_size=30))
def test_the_test_is_the_same_with_the_models_exchanged(pairs: list[tuple[int, int]]) -> None:
    dense, pruned = ([float(pair[side]) for pair in pairs] for side in (0, 1))
    p = flipped(dense, pruned)
    assert p is None or 0 < p <= 1
    exchanged = flipped(pruned, dense)
    assert (p is None) == (exchanged is None)
    assert p is None or p == pytest.approx(exchanged, abs=0.02)  # drawn patterns, where there are many


@pytest.mark.parametrize("templates", [12, 25])
def test_where_nothing_changes_on_average_the_test_seldom_says_so(templates: int) -> None:
    rng, worlds = np.random.default_rng(4), 400
    shares = rng.beta(1, 3, size=(worlds, templates))
    drawn = rng.binomial(4, np.stack([shares, shares])).astype(float)
    whole = np.full((2, templates), 4.0)
    found = [statistics.sign_flip(drawn[:, world], whole, seed=0) for world in range(worlds)]
    p_values = np.array([1.0 if p is None else p for p in found])
    assert (p_values < 0.05).mean() < 0.08
    assert (p_values < 0.01).mean() < 0.025


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


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_benjamini_hochberg_is_scipys(p_values: list[float]) -> None:
    assert statistics.benjamini_hochberg(p_values) == pytest.approx(stats.false_discovery_control(p_values).tolist())


@given(st.integers(0, 500), st.integers(0, 500))
def test_mcnemar_is_scipys(only_dense: int, only_pruned: int) -> None:
    if only_dense + only_pruned:
        expected = stats.binomtest(only_dense, only_dense + only_pruned, 0.5).pvalue
        assert statistics.mcnemar(only_dense, only_pruned) == pytest.approx(expected, rel=1e-9)


@given(st.lists(st.floats(1e-9, 1), min_size=1, max_size=12))
def test_adjusting_keeps_the_order_and_lowers_nothing(p_values: list[float]) -> None:
    found = statistics.benjamini_hochberg(p_values)
    assert all(p <= adjusted + 1e-15 and adjusted <= 1 for p, adjusted in zip(p_values, found, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(np.array(found)[order]) >= -1e-15).all()


@pytest.mark.parametrize(
    ("p_values", "adjusted"),
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.01, 0.01], [0.02, 0.02]),
        ([0.6, 0.5], [1.0, 1.0]),
        ([0.03], [0.03]),
        ([], []),
    ],
)
def test_holm_by_hand(p_values: list[float], adjusted: list[float]) -> None:
    assert statistics.holm(p_values) == pytest.approx(adjusted)
