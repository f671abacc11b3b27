"""The spread of ratios over clusters, beside what drawing them shows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from release.evals.engine.clustered import Strata, degrees, mean_of_ratios, ratio_of_sums, spread

SIZES = {
    "equal": [[4] * 20],
    "unequal": [[1, 2, 3, 4, 5, 30], [2, 2, 40]],
    "pairs": [[2, 2]] * 8,
    "one alone": [[2, 2, 2], [3, 3], [5]],
}


def strata_of(sizes: list[list[int]]) -> Strata:
    names = [str(stratum) for stratum, clusters in enumerate(sizes) for _ in clusters]
    return Strata.named(names, sorted(set(names)))


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("over", ["mean", "sums"])
def test_the_squared_error_is_on_average_the_variance_that_drawing_shows(name: str, over: str) -> None:
    """Clusters with values of their own of one variance, whatever their sizes: CR2 has no bias."""
    strata = strata_of(SIZES[name])
    whole = np.array([size for clusters in SIZES[name] for size in clusters], dtype=float)
    own = np.random.default_rng(0).normal(0.5, 0.2, size=(40_000, len(whole)))
    counted = np.ones((len(own), strata.member.shape[1]), dtype=bool)
    wholes = np.broadcast_to(whole, own.shape)
    found = (
        mean_of_ratios(own * whole, wholes, strata, counted)
        if over == "mean"
        else ratio_of_sums(own * whole, wholes, strata, np.ones(strata.member.shape[1]))
    )
    assert (spread(found, strata).error ** 2).mean() == pytest.approx(found.value.var(), rel=0.03)


@pytest.mark.parametrize(
    ("sizes", "weight", "df"),
    [
        ([[3] * 12], [1.0], 11),
        ([[1, 1, 2]], [1.0], 16 / 6 - 1),
        ([[2, 2], [2, 2, 2]], [0.5, 0.5], (1 / 2 + 1 / 3) ** 2 / (1 / 4 + 1 / 9 / 2)),
        ([[2, 2], [2, 2, 2]], [0.0, 1.0], 2),
        # A third of the variance is that of the one alone, which nothing measures.
        ([[2, 2], [2, 2], [1]], [0.25, 0.25, 0.5], (2 / 32) ** 2 / (2 / 32**2) * (2 / 32) / (2 / 32 + 1 / 4)),
    ],
)
def test_degrees_of_freedom_by_hand(sizes: list[list[int]], weight: list[float], df: float) -> None:
    size = np.array([each for clusters in sizes for each in clusters], dtype=float)
    assert float(degrees(size, np.array(weight), strata_of(sizes))) == pytest.approx(df)


def test_clusters_that_are_all_alone_have_no_degrees_of_freedom() -> None:
    assert np.isnan(degrees(np.ones(3), np.ones(3) / 3, strata_of([[1], [1], [1]])))


@given(st.lists(st.integers(1, 9), min_size=4, max_size=12), st.data())
def test_what_a_value_gains_by_a_little_more_of_a_cluster_is_its_z(sizes: list[int], data: st.DataObject) -> None:
    """The linearisation against a difference quotient: a cluster's counts grow by a millionth."""
    whole = np.array(sizes, dtype=float)
    part = np.array([data.draw(st.integers(0, size)) for size in sizes], dtype=float)
    strata, counted = strata_of([sizes[::2], sizes[1::2]]), np.array([True, True])
    order = np.argsort(np.arange(len(sizes)) % 2, kind="stable")
    part, whole = part[order], whole[order]
    found = mean_of_ratios(part, whole, strata, counted)
    for place in range(len(sizes)):
        more = np.ones(len(sizes))
        more[place] += 1e-6
        grown = mean_of_ratios(part * more, whole * more, strata, counted)
        assert (grown.value - found.value) / 1e-6 == pytest.approx(found.z[place], abs=1e-4)
    assert found.z @ strata.member == pytest.approx(np.zeros(2), abs=1e-12)


def test_the_change_between_two_equal_models_has_no_error() -> None:
    strata = Strata.one(14)
    found = ratio_of_sums(np.arange(14.0), np.full(14, 20.0), strata, np.ones(1))
    change = spread(found.minus(found), strata)
    assert np.isnan(change.error)
    assert (int(change.clusters), int(change.varying), float(change.df)) == (14, 0, 13)


@pytest.mark.parametrize(("share", "shown"), [((1.0, 1.0), True), ((1.0, 2.0), False)])
def test_strata_of_unequal_weight_ask_for_more_degrees_of_freedom(share: tuple[float, float], shown: bool) -> None:
    """24 clusters in two strata: with weights of 1 and 2, 16 degrees of freedom are left, too few for an interval."""
    strata = strata_of([[1] * 12, [1] * 12])
    found = ratio_of_sums(np.arange(24.0) % 5, np.full(24, 5.0), strata, np.array(share))
    known = spread(found, strata)
    assert known.df > 10, "known, but for the weights"
    assert bool(np.isfinite(known.shown)) is shown
