"""Exact selection: counts, order, ties, determinism and nesting."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from release.pruning.draws import BLOCK, Draws
from release.pruning.selection import SAMPLE, find_cut, smallest

WIDTHS = (np.uint16, np.uint32, np.uint64)
DRAWS = Draws(seed=1, method="test", version=1, tensor="t")


@st.composite
def scores_and_count(draw):
    dtype = np.dtype(draw(st.sampled_from(WIDTHS)))
    top = draw(st.sampled_from([3, 300, 70_000, 2**40]))
    elements = st.integers(0, min(top, np.iinfo(dtype).max))
    scores = draw(arrays(dtype, st.integers(1, 200), elements=elements))
    return scores, draw(st.integers(0, scores.size))


@given(scores_and_count())
def test_exactly_count_are_chosen_and_none_above_one_left_out(case):
    scores, count = case
    mask = smallest(scores, count, DRAWS)
    assert np.count_nonzero(mask) == count
    if 0 < count < scores.size:
        assert scores[mask].max() <= scores[~mask].min()


@given(scores_and_count())
def test_the_cut_is_the_one_that_sorting_finds(case):
    scores, count = case
    if count:
        cut, below = find_cut(scores, count)
        assert cut == np.sort(scores)[count - 1]
        assert below == np.count_nonzero(scores < cut)


@pytest.mark.parametrize("dtype", WIDTHS)
@pytest.mark.parametrize("count", [1, 66_000, 150_000, 199_999, 200_000])
def test_the_cut_is_found_where_the_sample_misleads(count, dtype):
    scores = np.random.default_rng(0).integers(1000, 60_000, 200_000).astype(dtype)
    scores[:: max(1, scores.size // SAMPLE) | 1] = 7  # all that a sample sees
    cut, below = find_cut(scores, count)
    assert cut == np.sort(scores)[count - 1]
    assert below == np.count_nonzero(scores < cut)


@given(scores_and_count(), st.data())
def test_what_is_taken_is_never_chosen(case, data):
    scores, _ = case
    taken = data.draw(arrays(np.bool_, scores.size))
    count = data.draw(st.integers(0, int(np.count_nonzero(~taken))))
    mask = smallest(scores.copy(), count, DRAWS, taken)
    assert np.count_nonzero(mask) == count
    assert not np.any(mask & taken)
    left = scores[~taken]
    if 0 < count < left.size:
        assert scores[mask].max() <= left[~mask[~taken]].min()


def test_ties_are_spread_evenly_over_the_tensor():
    mask = smallest(np.zeros(100_000, dtype=np.uint16), 50_000, DRAWS)
    halves = mask[:50_000].sum(), mask[50_000:].sum()
    # Hypergeometric: the standard deviation of one half is about 79.
    assert abs(int(halves[0]) - 25_000) < 5 * 79


@given(st.lists(st.integers(0, 40), min_size=1, max_size=300), st.data())
def test_fewer_are_a_subset_of_more(values, data):
    scores = np.array(values, dtype=np.uint16)
    more = data.draw(st.integers(0, scores.size))
    fewer = data.draw(st.integers(0, more))
    small, large = smallest(scores, fewer, DRAWS), smallest(scores, more, DRAWS)
    assert not np.any(small & ~large)


def test_draws_depend_on_each_part_of_the_key():
    keys = {
        Draws(seed, method, version, tensor).keys(16).tobytes()
        for seed in (1, 2)
        for method in ("a", "b")
        for version in (1, 2)
        for tensor in ("t", "u")
    }
    assert len(keys) == 16


def test_draws_of_a_longer_tensor_begin_with_those_of_a_shorter_one():
    long = DRAWS.keys(BLOCK + 5)
    assert np.array_equal(long[:100], DRAWS.keys(100))
    assert np.array_equal(long[:BLOCK], DRAWS.keys(BLOCK))


def test_draws_are_the_same_on_every_machine():
    assert Draws(42, "random", 1, "model.layers.0.mlp.up_proj.weight").keys(4).tolist() == [22356, 44446, 62100, 44313]


def test_keys_are_uniform():
    counts = np.bincount(DRAWS.keys(1 << 20) >> 12, minlength=16)
    expected = (1 << 20) / 16
    assert ((counts - expected) ** 2 / expected).sum() < 60  # chi-square, 15 degrees of freedom: p < 1e-6
