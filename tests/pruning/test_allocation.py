"""Budgets that the weights decide: one cut through the model, and OWL."""

import itertools
from decimal import Decimal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from release.checkpoint.folder import open_checkpoint
from release.checkpoint.header import Tensor
from release.checkpoint.prunable import prunable as names_of
from release.errors import UnusableBase
from release.models.activations import ActivationStats
from release.pruning.budget import rounded_share
from release.pruning.global_threshold import global_budgets
from release.pruning.mask_rng import MaskRng
from release.pruning.method import PrunedTensor
from release.pruning.owl import OUTLIER, outlier_share, owl_budgets
from tests import checkpoints

DTYPES = {"BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sparsity", ["0.003", "0.1", "0.5", "0.97"])
def test_one_cut_gives_each_tensor_what_lies_below_it(dtype, sparsity, tmp_path, console):
    base = open_checkpoint(checkpoints.make(tmp_path / "base", dtype=DTYPES[dtype]))
    names = names_of(base)
    found = global_budgets(base, names, Decimal(sparsity), console, 2)
    values = checkpoints.tensors(base.folder)
    everything = torch.cat([values[name].abs().reshape(-1) for name in names]).double().sort().values
    due = rounded_share(Decimal(sparsity), len(everything))
    assert found.total == due
    cut = everything[due - 1]
    for name in names:
        below = int((values[name].abs().double() < cut).sum())
        tied = int((values[name].abs().double() == cut).sum())
        assert below <= found.zeros[name] <= below + tied


def test_ties_at_the_cut_are_shared_out_in_proportion(llama, console):
    values = {name: torch.ones_like(t) for name, t in checkpoints.tensors(llama).items()}
    for shard in llama.glob("*.safetensors*"):
        shard.unlink()
    checkpoints.write(llama, values)
    base = open_checkpoint(llama)
    names = names_of(base)
    found = global_budgets(base, names, Decimal("0.25"), console, 2)
    assert found.total == rounded_share(Decimal("0.25"), checkpoints.PRUNABLE["llama"])
    assert all(abs(found.zeros[name] - values[name].numel() / 4) <= 1 for name in names)


def test_one_cut_through_different_types_is_refused(llama, console):
    values = checkpoints.tensors(llama)
    values["model.layers.0.mlp.up_proj.weight"] = values["model.layers.0.mlp.up_proj.weight"].float()
    for shard in llama.glob("*.safetensors*"):
        shard.unlink()
    checkpoints.write(llama, values)
    base = open_checkpoint(llama)
    with pytest.raises(UnusableBase, match="BF16 and F32"):
        global_budgets(base, names_of(base), Decimal("0.5"), console, 2)


@given(
    st.lists(st.tuples(st.integers(1, 10**6), st.floats(0, 1)), min_size=1, max_size=20),
    st.decimals(min_value="0.001", max_value="0.999", places=3),
)
def test_owl_keeps_the_total_exact_and_every_block_within_its_weights(blocks, sparsity):
    sizes = [{f"{i:03}.a": size, f"{i:03}.b": size // 2} for i, (size, _) in enumerate(blocks)]
    found = owl_budgets(sizes, [share for _, share in blocks], sparsity)
    assert found.total == rounded_share(sparsity, sum(sum(block.values()) for block in sizes))
    for block in sizes:
        for name, size in block.items():
            assert 0 <= found.zeros[name] <= size


def test_owl_prunes_blocks_with_more_outliers_less_within_the_papers_band():
    sizes = [{f"{i}": 100_000} for i in range(4)]
    found = owl_budgets(sizes, [0.01, 0.03, 0.02, 0.05], Decimal("0.7"))
    shares = [found.zeros[f"{i}"] / 100_000 for i in range(4)]
    assert shares[0] > shares[2] > shares[1] > shares[3]
    assert max(shares) - min(shares) == pytest.approx(0.16)
    # The paper's own arithmetic: ratios scaled to 2 λ, centred, added to the density.
    ratios = np.array([0.01, 0.03, 0.02, 0.05])
    scaled = (ratios - ratios.min()) / (ratios.max() - ratios.min()) * 0.16
    assert shares == pytest.approx(list(1 - (scaled - scaled.mean() + 0.3)), abs=1e-5)


def test_an_outlier_is_a_score_beyond_five_times_the_blocks_mean():
    generator = np.random.default_rng(0)
    subjects, everything = [], []
    for name, shape in (("up", (40, 30)), ("down", (30, 40))):
        values = generator.standard_t(3, shape).astype(np.float32)
        squares = generator.random((1, shape[1])) * 100
        tensor = Tensor(name, "F32", shape, 0, values.nbytes)
        inputs = ActivationStats(squares, np.array([9]), None)
        subjects.append(PrunedTensor(tensor, values.reshape(-1).view(np.uint32), MaskRng(1, "wanda", 1, name), inputs))
        everything.append((np.abs(values) * np.sqrt(squares)).reshape(-1))
    joined = np.concatenate(everything)
    assert outlier_share(subjects) == pytest.approx((joined > OUTLIER * joined.mean()).mean())


@given(st.lists(st.floats(0, 1), min_size=2, max_size=8))
def test_equal_outliers_mean_equal_shares(shares):
    even = owl_budgets([{"a": 1000}, {"b": 1000}], [shares[0], shares[0]], Decimal("0.3"))
    assert all(abs(one - other) <= 1 for one, other in itertools.pairwise(even.zeros.values()))
