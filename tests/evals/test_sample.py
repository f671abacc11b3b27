from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release.errors import BadOption
from release.evals.bbq.items import Item
from release.evals.bbq.sample import CELLS, draw, order
from release.values import DataSource
from tests.evals.items import item_of

Bbq = tuple[tuple[Item, ...], DataSource]
Shape = dict[str, list[int]]
"""Category → groups of each of its templates."""

SHAPES = st.dictionaries(
    st.text("abc", min_size=1, max_size=2), st.lists(st.integers(1, 7), min_size=1, max_size=6), min_size=1, max_size=6
)


def invented(shape: Shape) -> list[Item]:
    """Make groups of four items, template after template."""
    items = []
    for category, templates in shape.items():
        owners = [template for template, groups in enumerate(templates) for _ in range(groups)]
        items += [item_of(category, owner, 4 * group + cell) for group, owner in enumerate(owners) for cell in range(4)]
    return items


def groups_of(items: list[Item]) -> dict[str, list[str]]:
    """Return the template of every whole group, by category, in order."""
    found: dict[str, list[str]] = {}
    for item in items[::CELLS]:
        found.setdefault(item.category, []).append(item.question_index)
    return found


@given(SHAPES, st.integers(0, 9), st.data())
def test_every_beginning_shares_out_equally_and_reaches_as_many_templates_as_it_can(
    shape: Shape, seed: int, data: st.DataObject
) -> None:
    items = invented(shape)
    count = data.draw(st.integers(1, len(items) // CELLS))
    drawn = groups_of(order(items, seed)[: CELLS * count])
    shares = {category: len(drawn.get(category, [])) for category in shape}
    assert sum(shares.values()) == count
    top = max(shares.values())
    for category, templates in shape.items():
        assert shares[category] >= min(top - 1, sum(templates))
        assert len(set(drawn.get(category, []))) == min(shares[category], len(templates))


@given(SHAPES, st.integers(0, 9))
def test_the_order_holds_every_item_once_in_whole_groups_and_depends_on_its_seed_alone(shape: Shape, seed: int) -> None:
    items = invented(shape)
    ordered = order(items, seed)
    assert sorted(ordered) == sorted(items)
    assert order(items[::-1], seed) == ordered
    ids = [item.example_id for item in ordered]
    assert all(first % CELLS == 0 for first in ids[::CELLS])
    assert all(later == earlier + 1 for earlier, later in pairwise(ids) if later % CELLS)


def test_of_few_groups_large_templates_give_more_than_small_ones() -> None:
    """A mean over one template in four aims at the mean over all items only so."""
    items = invented({"a": [30] * 5 + [3] * 5})
    first = [order(items, seed)[0].question_index for seed in range(400)]
    share = sum(int(template) < 5 for template in first) / 400
    assert 0.85 < share < 0.96  # 150 of 165 groups are 0.91; 400 draws have a standard error of 0.014


@pytest.mark.parametrize("amount", [44, 200, 1000])
def test_a_smaller_sample_is_a_part_of_a_larger_one(bbq: Bbq, amount: int) -> None:
    smaller, larger = (set(draw(bbq[0], str(n), seed=3).items) for n in (amount, 2 * amount + 1))
    assert smaller < larger


def test_200_items_come_from_a_template_a_group(bbq: Bbq) -> None:
    items = draw(bbq[0], "200", seed=3).items
    assert len({(item.category, item.question_index) for item in items}) == 50


@pytest.mark.parametrize("amount", [1, 44, 199, 200, 1000])
def test_a_sample_has_the_size_asked_for_and_balanced_cells(bbq: Bbq, amount: int) -> None:
    items = draw(bbq[0], str(amount), seed=3).items
    assert len(items) == len({(i.category, i.example_id) for i in items}) == amount
    cells = Counter((i.category, i.condition, i.polarity) for i in items)
    if amount >= 44:
        assert len(cells) == 44
        assert max(cells.values()) - min(cells.values()) <= 1


def test_a_sample_depends_on_its_seed_alone(bbq: Bbq) -> None:
    first = draw(bbq[0], "200", seed=3)
    assert draw(tuple(reversed(bbq[0])), "200", seed=3).items == first.items
    assert draw(bbq[0], "200", seed=4).items != first.items


def test_the_study_asked_12148_ambiguous_items(bbq: Bbq) -> None:
    study = draw(bbq[0], "study", seed=0)
    assert Counter(item.category for item in study.items) == {
        "Age": 1840,
        "Gender_identity": 2836,
        "Race_ethnicity": 3440,
        "Religion": 600,
        "SES": 3432,
    }
    assert {item.condition for item in study.items} == {"ambig"}


@pytest.mark.parametrize("amount", ["full", "58492", "99999"])
def test_the_whole_set_needs_no_seed(bbq: Bbq, amount: str) -> None:
    sample = draw(bbq[0], amount, seed=0)
    assert sample.items == bbq[0]
    assert sample.seed is None


@pytest.mark.parametrize("amount", ["0", "-3", "half", "1.5"])
def test_other_amounts_are_refused(bbq: Bbq, amount: str) -> None:
    with pytest.raises(BadOption, match="--bbq"):
        draw(bbq[0], amount, seed=0)
