import numpy as np
import pytest
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
