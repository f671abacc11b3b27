"""SparseGPT's elimination, against the paper's formulas written out plainly."""

import numpy as np
import pytest
import torch

from release.pruning.mask_rng import MaskRng
from release.pruning.obs import COLUMNS, DAMPING, pruned

ROWS, INPUTS, TOKENS = 24, 2 * COLUMNS + 32, 900


@pytest.fixture(scope="module")
def layer():
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(INPUTS, INPUTS, generator=generator) / INPUTS**0.5
    inputs = torch.randn(TOKENS, INPUTS, generator=generator) @ mixing
    return torch.randn(ROWS, INPUTS, generator=generator), inputs


def words():
    return MaskRng(42, "sparsegpt", 1, "layer").words("columns")


def plainly(weights, inputs, due, pattern=None):
    """Algorithm 1 of arXiv 2301.00774, one column at a time, in double precision."""
    w, x = weights.double().numpy().copy(), inputs.double().numpy()
    hessian = x.T @ x
    hessian += DAMPING * np.mean(np.diag(hessian)) * np.eye(len(hessian))
    factor = np.linalg.cholesky(np.linalg.inv(hessian)).T
    mask = np.zeros(w.shape, dtype=bool)
    for column in range(w.shape[1]):
        if pattern is None and column % COLUMNS == 0:
            stop = min(column + COLUMNS, w.shape[1])
            quota = round(due * stop / w.shape[1]) - round(due * column / w.shape[1])
            cost = (w[:, column:stop] / np.diag(factor)[column:stop]) ** 2
            order = np.argsort(cost, axis=None)[:quota]
            mask[:, column:stop][np.unravel_index(order, cost.shape)] = True
        if pattern is not None and column % pattern[1] == 0:
            stop = column + pattern[1]
            cost = (w[:, column:stop] / np.diag(factor)[column:stop]) ** 2
            for row in range(len(w)):
                mask[row, column + np.argsort(cost[row])[: pattern[1] - pattern[0]]] = True
        error = np.where(mask[:, column], w[:, column], 0) / factor[column, column]
        w[:, column:] -= np.outer(error, factor[column, column:])
    w[mask] = 0
    return w, mask


@pytest.mark.parametrize(("due", "pattern"), [(ROWS * INPUTS // 2, None), (ROWS * INPUTS // 10, None), (0, (2, 4))])
def test_masks_and_updates_are_the_papers(layer, due, pattern):
    weights, inputs = layer
    found, mask = pruned(weights.clone(), inputs.T @ inputs, due, pattern, words())
    expected, expected_mask = plainly(weights, inputs, due, pattern)
    assert (mask.numpy() == expected_mask).mean() >= 0.999
    same = (mask.numpy() == expected_mask).all(axis=1)
    assert np.abs(found.numpy() - expected)[same].max() < 1e-3


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_zeros_are_exactly_as_due_and_those_there_already_stay(layer, share):
    weights, inputs = layer
    weights = weights.clone()
    weights[:, ::7] = 0
    due = round(share * weights.numel())
    present = int((weights == 0).sum())
    found, mask = pruned(weights.clone(), inputs.T @ inputs, due, None, words())
    assert int(mask.sum()) == max(due, present)
    assert bool((found[mask] == 0).all())
    assert bool(mask[weights == 0].all())


def test_the_kept_weights_make_up_for_those_removed(layer):
    weights, inputs = layer
    found, mask = pruned(weights.clone(), inputs.T @ inputs, ROWS * INPUTS // 2, None, words())
    target = inputs @ weights.T
    left = (inputs @ found.T - target).square().sum()
    cut = (inputs @ weights.masked_fill(mask, 0).T - target).square().sum()
    assert left < 0.7 * cut


def test_a_layer_that_nothing_reached_is_pruned_by_magnitude_and_not_changed():
    weights = torch.randn(8, 64, generator=torch.Generator().manual_seed(1))
    found, mask = pruned(weights.clone(), torch.zeros(64, 64), 256, None, words())
    assert int(mask.sum()) == 256
    assert torch.equal(found, weights.masked_fill(mask, 0))
