"""The half width foretold for a sample, beside what simulation and the templates show."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from release.evals.bbq.items import Item
from release.evals.bbq.sample import Sample, draw
from release.evals.bbq.scores import Comparison
from release.evals.bbq.width import TYPICAL, WORST, Cell, Plug, design_of, forecast, half_width
from release.values import DataSource
from tests.evals.items import item_of, sample_of

Bbq = tuple[tuple[Item, ...], DataSource]


@pytest.mark.parametrize("plug", [Plug(0.2, 0.0), Plug(0.5, 0.3), Plug(0.04, 1.0)])
@pytest.mark.parametrize("sizes", [[4] * 12, [2] * 14 + [6], [1, 2, 3, 4] * 5])
def test_the_formula_is_the_spread_of_a_mean_of_clustered_items(plug: Plug, sizes: list[int]) -> None:
    rng, worlds = np.random.default_rng(0), 20_000
    shared = rng.normal(0, np.sqrt(plug.variance * plug.correlation), (worlds, len(sizes)))
    sums = shared * sizes + rng.normal(
        0, np.sqrt(plug.variance * (1 - plug.correlation) * np.array(sizes)), shared.shape
    )
    items = [item_of("a", template, index) for template, size in enumerate(sizes) for index in range(size)]
    foretold = half_width(design_of(sample_of(items)), plug)
    reach = stats.t.ppf(0.975, sum(sizes) ** 2 / sum(size**2 for size in sizes) - 1)
    assert foretold == pytest.approx(reach * (sums.sum(axis=1) / sum(sizes)).std(), rel=0.03)


def test_a_mean_over_categories_has_their_variances_over_their_number_squared() -> None:
    cell = Cell(items=50, templates=25.0, clusters=25)
    reach = stats.t.ppf(0.975, 24) / stats.t.ppf(0.975, 48)
    assert half_width({"a": cell, "b": cell}) == pytest.approx(half_width({"a": cell}) / np.sqrt(2) / reach)


@pytest.mark.parametrize(
    ("cell", "known"), [(Cell(44, 11.0, 11), False), (Cell(48, 12.0, 12), True), (Cell(90, 10.5, 20), False)]
)
def test_no_width_is_foretold_where_there_will_be_no_interval(cell: Cell, known: bool) -> None:
    assert (half_width({"a": cell}) is not None) is known


def test_larger_samples_tell_more_and_the_worst_pair_of_models_less(bbq: Bbq) -> None:
    found = [forecast(draw(bbq[0], str(amount), 1)) for amount in (100, 200, 400, 800, 1600, 6400)]
    assert all(large.typical < small.typical for small, large in pairwise(found))
    assert all(each.typical < each.most <= 1 for each in found)


def test_items_without_a_target_or_with_a_settled_context_tell_nothing() -> None:
    items = [item_of("a", 0, 0, condition="disambig"), item_of("a", 1, 1, target=None)]
    found = forecast(sample_of(items))
    assert (found.typical, found.most) == (None, None)
    assert str(found) == "2 items, of too few question templates for an interval of the change in SRS"


def changed(sample: Sample, share: float, seed: int) -> np.ndarray:
    """Answer at random as a reader who says the target in `share` of all items."""
    rng = np.random.default_rng(seed)
    picks = rng.random(len(sample.items)) < share
    target = np.array([0 if item.target is None else item.target for item in sample.items])
    return np.where(picks, target, [item.unknown for item in sample.items])[:, None]


@pytest.mark.parametrize("amount", ["200", "800"])
def test_for_independent_items_the_templates_show_the_width_foretold(bbq: Bbq, amount: str) -> None:
    sample = draw(bbq[0], amount, 0)
    widths = []
    for world in range(10):
        dense, pruned = changed(sample, 0.5, 2 * world), changed(sample, 0.3, 2 * world + 1)
        found = Comparison(sample, dense, pruned).score("srs", "macro").difference
        widths.append((found.high - found.low) / 2)
    variance = 0.5 * 0.5 + 0.3 * 0.7
    assert np.mean(widths) == pytest.approx(half_width(design_of(sample), Plug(variance, 0.0)), rel=0.1)


def test_models_of_which_whole_templates_turn_stay_below_the_worst(bbq: Bbq) -> None:
    sample = draw(bbq[0], "200", 0)
    names = sorted({(item.category, item.question_index) for item in sample.items})
    number = dict(zip(names, np.random.default_rng(0).integers(0, 2, len(names)), strict=True))
    target = np.array([0 if item.target is None else item.target for item in sample.items])
    unknown = np.array([item.unknown for item in sample.items])
    turned = np.array([number[item.category, item.question_index] for item in sample.items]) == 1
    dense, pruned = np.where(turned, target, unknown), np.where(turned, unknown, target)
    found = Comparison(sample, dense[:, None], pruned[:, None]).score("srs", "macro").difference
    half = (found.high - found.low) / 2
    assert half_width(design_of(sample), TYPICAL) < half < 1.1 * half_width(design_of(sample), WORST)
