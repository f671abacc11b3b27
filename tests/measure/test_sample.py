from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release.errors import BadOption
from release.measure.sample import allot, draw
from release.measurements import DataSource
from release.sources.bbq import Item

Bbq = tuple[tuple[Item, ...], DataSource]


@given(st.integers(0, 400), st.dictionaries(st.text(max_size=3), st.integers(1, 60), min_size=1, max_size=12))
def test_shares_are_equal_as_far_as_sizes_allow(total: int, sizes: dict[str, int]) -> None:
    shares = allot(total, sizes)
    assert sum(shares.values()) == min(total, sum(sizes.values()))
    assert all(0 <= shares[name] <= sizes[name] for name in sizes)
    top = max(shares.values())
    assert all(shares[name] >= top - 1 or shares[name] == sizes[name] for name in sizes)


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
