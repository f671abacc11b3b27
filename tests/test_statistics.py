import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal, stats

from release.evals.engine import statistics
from release.values import Estimate


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


def test_an_interval_is_student_s() -> None:
    found = statistics.t_interval(0.4, 0.1, 9.0)
    reach = stats.t.ppf(0.975, 9) * 0.1
    assert (found.value, found.low, found.high, found.df) == pytest.approx((0.4, 0.4 - reach, 0.4 + reach, 9))


@pytest.mark.parametrize("scale", [statistics.PLAIN, statistics.LOG], ids=["plain", "log"])
@given(st.floats(0.05, 0.95), st.floats(0.001, 0.2), st.floats(3, 200), st.floats(0.05, 0.95))
def test_a_p_value_is_below_five_per_cent_exactly_where_the_interval_leaves_the_bound_out(
    scale: statistics.Scale, value: float, error: float, df: float, bound: float
) -> None:
    found = statistics.t_interval(scale.to(value), error, df)
    found = found if scale is statistics.PLAIN else statistics.exponential(found)
    p = statistics.p_against(found, bound, scale)
    if abs(p - 0.05) > 1e-6:
        assert (p < 0.05) == (not found.low <= bound <= found.high)


@pytest.mark.parametrize(("value", "error"), [(math.nan, 0.1), (0.5, math.nan)])
def test_where_too_little_is_known_there_is_no_interval(value: float, error: float) -> None:
    found = statistics.t_interval(value, error, 9.0)
    assert (found.value is None, found.low, found.high, found.df) == (math.isnan(value), None, None, None)
    assert statistics.p_against(found, 0.5) is None


def test_of_an_interval_that_is_a_point_nothing_is_inferred() -> None:
    assert statistics.p_against(Estimate(value=1, low=1, high=1), 1) is None


@pytest.mark.parametrize("effect", [0.5, 1.0, 2.5])
def test_a_clustered_share_is_wilson_s_for_the_sample_that_clusters_leave(effect: float) -> None:
    count, n = 30, 100
    error = math.sqrt(effect * 0.3 * 0.7 / n)
    found = statistics.clustered_wilson(count, n, error, n - 1, clusters=25)
    plain = stats.binomtest(round(count / effect), round(n / effect)).proportion_ci(method="wilson")
    assert found.design_effect == pytest.approx(effect)
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high))


def test_a_share_s_interval_is_wider_where_few_clusters_tell_its_spread() -> None:
    widths = []
    for df in (10, 24, 99):
        found = statistics.clustered_wilson(30, 100, 0.05, df, clusters=25)
        assert found.design_effect * 0.3 * 0.7 / 0.25 == pytest.approx(
            (stats.t.ppf(0.975, df) / stats.t.ppf(0.975, 99)) ** 2
        )
        widths.append(found.high - found.low)
    assert widths == sorted(widths, reverse=True)


def test_answers_that_are_all_the_same_count_once_a_cluster() -> None:
    found = statistics.clustered_wilson(300, 300, math.nan, 24, clusters=25)
    left = 25 * (stats.t.ppf(0.975, 299) / stats.t.ppf(0.975, 24)) ** 2
    assert found.low == pytest.approx(left / (left + stats.norm.ppf(0.975) ** 2))


@pytest.mark.parametrize(
    ("clusters", "df", "known"), [(12, 11, True), (11, 11, False), (25, 9.9, False), (0, math.nan, False)]
)
def test_a_share_has_an_interval_from_twelve_clusters_and_ten_degrees_of_freedom(
    clusters: int, df: float, known: bool
) -> None:
    found = statistics.clustered_wilson(30, 100, 0.05, df, clusters)
    assert (found.low is not None, found.value) == (known, 0.3)


@given(st.integers(0, 100), st.floats(1, 4), st.floats(10, 100), st.floats(0.05, 0.95))
def test_a_share_s_p_value_agrees_with_its_interval(count: int, effect: float, df: float, bound: float) -> None:
    error = math.sqrt(effect * (count / 100) * (1 - count / 100) / 100) or math.nan
    found = statistics.clustered_wilson(count, 100, error, df, clusters=25)
    p = statistics.p_of_share(found, bound)
    if abs(p - 0.05) > 1e-6:
        assert (p < 0.05) == (not found.low <= bound <= found.high)


# Series whose neighbours are alike


@pytest.mark.parametrize("echo", [0.0, 0.5])
@pytest.mark.parametrize("count", [32, 256])
def test_the_interval_of_a_drifting_mean_holds_the_truth(count: int, echo: float) -> None:
    """Values that follow their neighbours; taken for independent, intervals would cover 76 % of worlds at 0.5."""
    noise = np.random.default_rng(3).normal(size=(1500, count + 50))
    series = signal.lfilter([1.0], [1.0, -echo], noise)[:, 50:]
    found = [statistics.drifting_mean(row) for row in series]
    assert {each.df for each in found} == {int(0.4 * count ** (2 / 3))}
    assert 0.92 < np.mean([each.low <= 0 <= each.high for each in found]) < 0.97


@given(st.lists(st.floats(-5, 5), min_size=16, max_size=40), st.floats(-3, 3))
def test_a_drifting_mean_moves_with_its_series(values: list[float], shift: float) -> None:
    found, moved = (statistics.drifting_mean(np.array(values) + by) for by in (0, shift))
    assert found.value == pytest.approx(np.mean(values))
    if np.ptp(values) > 1e-3:
        assert (moved.low - found.low, moved.high - found.high) == pytest.approx((shift, shift), abs=1e-9)


def test_a_series_has_an_interval_from_sixteen_values_that_vary() -> None:
    values = np.random.default_rng(0).normal(size=16)
    assert statistics.drifting_mean(values).low is not None
    for short in (values[:15], values[:2], values[:1], np.ones(16)):
        found = statistics.drifting_mean(short)
        assert (found.value, found.low, found.df) == (pytest.approx(short.mean()), None, None)


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


@pytest.mark.quick_rows(1)
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
