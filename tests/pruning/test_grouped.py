"""Exact selection inside rows and inside groups, for any scores, zeros and ties."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from release.checkpoint.header import Tensor
from release.pruning.grouped import zero_in_groups, zero_in_rows
from release.pruning.mask_rng import MaskRng
from release.pruning.method import PrunedTensor

DTYPES = {"BF16": np.uint16, "F32": np.uint32, "F64": np.uint64}
few = st.sampled_from([0, 0x8000, 1, 2, 3, 0x3C00, 0xBC00])
"""Bit patterns with many ties and both zeros (read as BF16)."""


def subject_of(bits, dtype="BF16"):
    tensor = Tensor("model.layers.0.mlp.up_proj.weight", dtype, bits.shape, 0, bits.nbytes)
    return PrunedTensor(tensor, np.ascontiguousarray(bits).reshape(-1), MaskRng(42, "magnitude", 1, tensor.name))


def magnitude(subject):
    return lambda start, stop: subject.tensor.magnitude(subject.bits[start:stop])


@st.composite
def rows_and_budgets(draw):
    bits = draw(arrays(np.uint16, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=few))
    due = draw(arrays(np.int64, bits.shape[0], elements=st.integers(0, bits.shape[1])))
    return bits, due


@settings(deadline=None)
@given(rows_and_budgets())
def test_rows_hold_their_budgets_and_the_total_stands_where_a_row_had_more_zeros(case):
    bits, due = case
    subject = subject_of(bits)
    present = np.count_nonzero(bits << 1 == 0, axis=1)
    out = np.empty_like(subject.bits)
    zero_in_rows(subject, magnitude(subject), due, out)
    pruned = out.reshape(bits.shape)
    zeros = np.count_nonzero(pruned == 0, axis=1)
    assert zeros.sum() == max(due.sum(), np.maximum(present, np.minimum(due, present)).sum())
    assert (zeros >= present).all()
    if (present <= due).all():
        assert (zeros == due).all()
    assert np.array_equal(pruned[pruned != 0], bits[pruned != 0])
    for before, after in zip(bits << 1, pruned, strict=True):
        gone, kept = before[after == 0], before[after != 0]
        assert not kept.size or not gone.size or gone.max() <= kept.min()


@settings(deadline=None)
@given(arrays(np.uint16, st.tuples(st.integers(1, 6), st.sampled_from([8, 16, 24])), elements=few), st.data())
def test_every_group_of_m_keeps_n_unless_more_were_zero(bits, data):
    m = data.draw(st.sampled_from([2, 4, 8]))
    n = data.draw(st.integers(1, m - 1))
    subject = subject_of(bits)
    out = np.empty_like(subject.bits)
    zero_in_groups(subject, magnitude(subject), (n, m), out)
    zeros = np.count_nonzero(out.reshape(-1, m) == 0, axis=1)
    present = np.count_nonzero(subject.bits.reshape(-1, m) << 1 == 0, axis=1)
    assert np.array_equal(zeros, np.maximum(present, m - n))
    for before, after in zip(subject.bits.reshape(-1, m) << 1, out.reshape(-1, m), strict=True):
        gone, kept = before[after == 0], before[after != 0]
        assert not kept.size or not gone.size or gone.max() <= kept.min()


def test_writing_in_place_gives_the_same_bits():
    bits = np.random.default_rng(0).integers(1, 500, (64, 32)).astype(np.uint16)
    for work in (
        lambda s, out: zero_in_rows(s, magnitude(s), np.full(64, 13), out),
        lambda s, out: zero_in_groups(s, magnitude(s), (2, 4), out),
    ):
        apart = subject_of(bits)
        out = np.empty_like(apart.bits)
        work(apart, out)
        inside = subject_of(bits.copy())
        work(inside, inside.bits)
        assert np.array_equal(out, inside.bits)


def test_wide_types_are_grouped_and_ranked_alike():
    values = np.random.default_rng(1).permutation(4096).astype(np.float64).reshape(32, 128) + 1
    results = []
    for dtype, kind in (("F32", np.float32), ("F64", np.float64)):
        subject = subject_of(values.astype(kind).view(DTYPES[dtype]), dtype)
        for work in (
            lambda s, out: zero_in_rows(s, magnitude(s), np.full(32, 50), out),
            lambda s, out: zero_in_groups(s, magnitude(s), (3, 8), out),
        ):
            out = np.empty_like(subject.bits)
            work(subject, out)
            results.append(out == 0)
    assert np.array_equal(results[0], results[2])
    assert np.array_equal(results[1], results[3])


def test_ties_inside_rows_and_groups_favour_no_place():
    bits = np.ones((4000, 8), dtype=np.uint16)
    for work in (
        lambda s, out: zero_in_rows(s, magnitude(s), np.full(4000, 2), out),
        lambda s, out: zero_in_groups(s, magnitude(s), (6, 8), out),
    ):
        subject = subject_of(bits)
        out = np.empty_like(subject.bits)
        work(subject, out)
        per_column = np.count_nonzero(out.reshape(4000, 8) == 0, axis=0)
        assert abs(per_column - 1000).max() < 150  # five standard deviations
