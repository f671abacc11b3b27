"""Exact selection over a tensor: counts, order, ties, zeros, determinism and nesting."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from release.checkpoint.header import Tensor
from release.errors import UnusableBase
from release.pruning import selection
from release.pruning.mask_rng import STEPS, MaskRng, mixed
from release.pruning.method import PrunedTensor
from release.pruning.registry import METHODS
from release.pruning.selection import CHUNK, find_cut, lowest, zero_smallest

TYPES = {"BF16": np.uint16, "F16": np.uint16, "F32": np.uint32, "F64": np.uint64}
METHODS_ALONE = [key for key, row in METHODS.items() if row.scorer and not row.calibrated]
NAME = "model.layers.0.mlp.up_proj.weight"
DRAWS = MaskRng(seed=1, method="test", version=1, tensor=NAME)


def subject_of(bits, dtype="BF16", shape=None, draws=DRAWS):
    return PrunedTensor(Tensor(NAME, dtype, shape or bits.shape, 0, bits.nbytes), bits, draws)


def pruned(subject, method, budget, allow_nonfinite=True):
    out = np.empty_like(subject.bits)
    row = METHODS[method]
    zero_smallest(subject, row.scorer(subject), budget, out, allow_nonfinite, row.uniform)
    return out


def is_zero(subject):
    return subject.tensor.magnitude(subject.bits) == 0


@st.composite
def weights_and_budget(draw):
    """Few different values, so that ties, zeros of both signs and non-finite numbers are common."""
    dtype = draw(st.sampled_from(sorted(TYPES)))
    kind = np.dtype(TYPES[dtype])
    sign = 1 << (8 * kind.itemsize - 1)
    values = st.sampled_from([0, sign, 1, sign + 1, 2, 300, sign // 2, sign - 1, 2 * sign - 1])
    bits = draw(arrays(kind, st.integers(1, 300), elements=values))
    return subject_of(bits, dtype), draw(st.integers(0, bits.size))


@settings(deadline=None)
@given(weights_and_budget(), st.sampled_from(METHODS_ALONE))
def test_exactly_the_budget_is_zero_the_smallest_scores_go_and_the_rest_is_kept_bit_for_bit(case, method):
    subject, budget = case
    out = pruned(subject, method, budget)
    gone, kept = out == 0, out != 0
    zero = is_zero(subject)
    assert np.count_nonzero(gone) == max(budget, np.count_nonzero(zero))
    assert not np.any(zero & kept)
    assert np.array_equal(out[kept], subject.bits[kept])
    scores = METHODS[method].scorer(subject)(0, subject.bits.size)
    chosen = gone & ~zero
    if chosen.any() and kept.any():
        assert scores[chosen].max() <= scores[kept].min()


@settings(deadline=None)
@given(weights_and_budget(), st.sampled_from(METHODS_ALONE), st.data())
def test_fewer_are_a_subset_of_more(case, method, data):
    subject, more = case
    fewer = data.draw(st.integers(0, more))
    small, large = pruned(subject, method, fewer) == 0, pruned(subject, method, more) == 0
    assert not np.any(small & ~large)


@pytest.mark.parametrize("method", METHODS_ALONE)
def test_in_place_gives_what_a_second_tensor_gives(method):
    bits = np.random.default_rng(0).integers(0, 0x7F00, 3 * CHUNK + 17).astype(np.uint16)
    apart = pruned(subject_of(bits), method, bits.size // 3)
    subject = subject_of(bits.copy())
    zero_smallest(subject, METHODS[method].scorer(subject), bits.size // 3, subject.bits)
    assert np.array_equal(apart, subject.bits)


@pytest.mark.parametrize("dtype", TYPES)
def test_large_tensors_lose_what_sorting_finds(dtype):
    rng = np.random.default_rng(0)
    rows = 2 * CHUNK // 512 + 3
    values = rng.standard_normal((rows, 512)) * np.exp(rng.standard_normal((rows, 1)))  # rows of their own scale
    values[rng.random(values.shape) < 0.01] = -0.0
    wide = values.astype(np.float32).view(np.uint32)
    bits = (wide >> 16).astype(np.uint16) if dtype == "BF16" else values.astype(f"f{np.dtype(TYPES[dtype]).itemsize}")
    subject = subject_of(bits.view(TYPES[dtype]).reshape(-1), dtype, values.shape)
    for budget in (1, 5_000, bits.size // 2, bits.size - 1):
        gone = pruned(subject, "magnitude", budget) == 0
        order = np.sort(subject.tensor.magnitude(subject.bits))
        assert np.array_equal(np.sort(subject.tensor.magnitude(subject.bits)[gone]), order[: np.count_nonzero(gone)])


@pytest.mark.timeout(20)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64])
@pytest.mark.parametrize("count", [1, 6_600, 15_000, 39_999, 40_000])
def test_the_cut_is_found_where_the_sample_misleads(count, dtype, monkeypatch):
    runs, length, size = 16, 64, 40_000
    monkeypatch.setattr(selection, "RUNS", runs)
    monkeypatch.setattr(selection, "LENGTH", length)
    scores = np.random.default_rng(0).integers(30, 250, size).astype(dtype)
    for run in range(runs):  # all that the sample sees is the same
        start = run * (size - length) // (runs - 1)
        scores[start : start + length] = 7
    cut = find_cut(lambda start, stop: scores[start:stop], size, count)
    ordered = np.sort(scores)
    assert cut.score == ordered[count - 1]
    assert cut.missing == count - np.searchsorted(ordered, cut.score)
    assert np.array_equal(cut.tied, np.flatnonzero(scores == cut.score))


ZEROS = {
    "none": lambda bits: np.zeros(bits.size, np.bool_),
    "few, spread": lambda bits: np.arange(bits.size) % 997 == 0,
    "those that the same seed chose before": lambda bits: pruned(subject_of(bits), "random", bits.size // 4) == 0,
    "half of all": lambda bits: np.arange(bits.size) % 2 == 0,
}


@pytest.mark.parametrize("zeros", ZEROS)
@pytest.mark.parametrize("share", [0.001, 0.3, 0.5, 0.77, 0.999])
def test_one_pass_over_uniform_scores_gives_what_looking_for_the_cut_first_gives(share, zeros):
    bits = np.random.default_rng(0).integers(1, 0x7F00, CHUNK + CHUNK // 2 + 17).astype(np.uint16)
    bits[ZEROS[zeros](bits)] = 0x8000
    subject, budget = subject_of(bits.copy()), round(share * bits.size)
    first = np.empty_like(bits)
    zero_smallest(subject, METHODS["random"].scorer(subject), budget, first, uniform=False)
    zero_smallest(subject, METHODS["random"].scorer(subject), budget, subject.bits, uniform=True)
    assert np.array_equal(subject.bits, first)


def test_one_pass_is_taken_where_few_weights_are_zero_and_scores_that_are_not_uniform_are_no_wrong_mask(monkeypatch):
    subject = subject_of(np.ones(CHUNK, np.uint16))
    monkeypatch.delattr(selection, "find_cut")
    zero_smallest(subject, METHODS["random"].scorer(subject), CHUNK // 2, subject.bits, uniform=True)
    assert np.count_nonzero(subject.bits == 0) == CHUNK // 2
    with pytest.raises(ValueError, match=r"up_proj\.weight are not uniform"):
        zero_smallest(
            subject_of(np.ones(CHUNK, np.uint16)),
            lambda a, b: np.zeros(b - a, np.uint8),
            CHUNK // 2,
            subject.bits,
            uniform=True,
        )


def test_zeros_go_before_other_weights_that_score_as_low():
    bits = np.array([5, 0, 6, 0x8000, 7, 0, 8], dtype=np.uint16)
    out = np.empty_like(bits)
    zero_smallest(subject_of(bits), lambda start, stop: np.zeros(stop - start, np.uint8), 4, out)
    assert not out[[1, 3, 5]].any()
    assert np.count_nonzero(out == 0) == 4


def test_ties_are_spread_evenly_over_the_tensor():
    gone = pruned(subject_of(np.ones(100_000, dtype=np.uint16)), "magnitude", 50_000) == 0
    # Hypergeometric: the standard deviation of one half is about 79.
    assert abs(int(gone[:50_000].sum()) - 25_000) < 5 * 79


@given(arrays(np.uint64, st.integers(1, 50), elements=st.integers(0, 5)), st.data())
def test_of_equal_ranks_the_first_are_lowest(ranks, data):
    count = data.draw(st.integers(1, ranks.size))
    expected = np.zeros(ranks.size, dtype=np.bool_)
    expected[np.argsort(ranks, kind="stable")[:count]] = True
    assert np.array_equal(lowest(ranks, count), expected)


@pytest.mark.long
def test_random_chooses_every_subset_equally_often():
    bits = np.ones(6, dtype=np.uint16)
    counts = dict.fromkeys(combinations(range(6), 3), 0)
    for seed in range(4000):
        out = pruned(subject_of(bits, draws=MaskRng(seed, "random", 2, NAME)), "random", 3)
        counts[tuple(np.flatnonzero(out == 0))] += 1
    expected = 4000 / len(counts)
    assert sum((n - expected) ** 2 / expected for n in counts.values()) < 60  # chi-square, 19 degrees: p < 1e-5


@pytest.mark.parametrize("value", [0x7F80, 0xFF80, 0x7FC0, 0xFFC1])
@pytest.mark.parametrize("method", METHODS_ALONE)
def test_nan_and_infinity_are_named_and_let_pass_only_on_request(method, value):
    bits = np.full(2 * CHUNK, 0x3F80, dtype=np.uint16)
    bits[CHUNK + 7] = value
    subject = subject_of(bits, shape=(2, CHUNK))
    with pytest.raises(UnusableBase, match=r"up_proj\.weight\[1, 7\] is NaN or infinite") as caught:
        pruned(subject, method, 100, allow_nonfinite=False)
    assert "--allow-nonfinite" in caught.value.remedy
    assert np.count_nonzero(pruned(subject, method, 100) == 0) == 100


def test_magnitude_prunes_nan_last():
    bits = np.array([0x7FC0, 0x3F80, 0x7F80, 0xFFFF, 0xBF80], dtype=np.uint16)
    assert pruned(subject_of(bits), "magnitude", 3).tolist() == [0x7FC0, 0, 0, 0xFFFF, 0]


def test_draws_depend_on_each_part_of_the_key():
    keys = {
        MaskRng(seed, method, version, tensor).keys(0, 16).tobytes()
        for seed in (1, 2)
        for method in ("a", "b")
        for version in (1, 2)
        for tensor in ("t", "u")
    }
    assert len(keys) == 16


@given(st.integers(0, 9 * STEPS.size), st.integers(0, 9 * STEPS.size))
def test_any_part_of_the_keys_is_that_part_of_them_all(one, other):
    start, stop = sorted((one, other))
    assert np.array_equal(DRAWS.keys(start, stop), DRAWS.keys(0, 9 * STEPS.size)[start:stop])


def test_the_generator_gives_the_published_numbers():
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert mixed(1234567, 0, 4).tolist() == expected


def test_draws_are_the_same_on_every_machine():
    draws = MaskRng(42, "random", 2, "model.layers.0.mlp.up_proj.weight")
    assert draws.keys(0, 8).tolist() == [117, 105, 240, 238, 59, 17, 39, 66]
    assert draws.ranks(2).tolist() == [6122384488060696029, 9194829815762036175]


def test_keys_are_uniform():
    counts = np.bincount(DRAWS.keys(0, 1 << 20), minlength=256)
    expected = (1 << 20) / 256
    assert ((counts - expected) ** 2 / expected).sum() < 380  # chi-square, 255 degrees of freedom: p < 1e-6
