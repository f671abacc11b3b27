"""Calibrated methods against plain in-memory references written from the papers' formulas."""

from decimal import Decimal

import pytest
import torch
from transformers import AutoModelForCausalLM

from release.checkpoint.folder import open_checkpoint
from release.checkpoint.prunable import block_of
from release.checkpoint.prunable import prunable as names_of
from release.progress import Console
from release.pruning.prune import Job, prune
from release.pruning.recipe import Recipe
from tests import checkpoints
from tests.pruning.calibration import calibrating


def run(base, target, recipe, console, using=None):
    target.mkdir(parents=True, exist_ok=True)
    job = Job(recipe, target, target.with_name(target.name + ".work"))
    [pruned] = prune(open_checkpoint(base), [job], console, using or calibrating())
    return pruned


def plain_wanda(base, ids, sparsity, sequential=True):
    """The whole model in memory, hooks on every linear layer, rows sorted: nothing shared with the product."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    layers = model.model.layers
    masks = {}
    with torch.no_grad():
        for index, layer in enumerate(layers):
            squares = {}

            def hook(module, args, _output, squares=squares):
                x = args[0].reshape(-1, args[0].shape[-1]).double()
                squares[module] = squares.get(module, 0) + x.square().sum(0)

            linears = {n: m for n, m in layer.named_modules() if isinstance(m, torch.nn.Linear)}
            handles = [m.register_forward_hook(hook) for m in linears.values()]
            model.model(torch.from_numpy(ids).long())
            for handle in handles:
                handle.remove()
            for name, module in linears.items():
                score = module.weight.double().abs() * squares[module].sqrt()
                order = score.sort(dim=1).indices[:, : round(sparsity * score.shape[1])]
                mask = torch.zeros_like(score, dtype=torch.bool).scatter_(1, order, True)
                if sequential:
                    module.weight[mask] = 0
                masks[f"model.layers.{index}.{name}.weight"] = mask
    return masks


def test_outliers_are_looked_for_once_for_all_sparsities_and_methods_and_change_no_byte(
    base_folders, tmp_path, monkeypatch
):
    console, looked = Console(quiet=True), []
    step = console.step
    monkeypatch.setattr(console, "step", lambda text, *rest: (looked.append(text), step(text, *rest))[1])
    first, second = (
        Recipe.of(*each, 42, allocation="owl") for each in (("wanda", Decimal("0.3")), ("ria", Decimal("0.6")))
    )
    using, base = calibrating(), base_folders["llama"]
    run(base, tmp_path / "first", first, console, using)
    run(base, tmp_path / "second", second, console, using)
    assert looked.count("Look for outliers") == 1
    run(base, tmp_path / "alone", second, console)
    assert looked.count("Look for outliers") == 2
    made = [
        [path.read_bytes() for path in sorted((tmp_path / how).glob("*.safetensors"))] for how in ("second", "alone")
    ]
    assert made[0]
    assert made[0] == made[1]


@pytest.mark.parametrize("architecture", ["llama", "phi3", "gemma2", "qwen3"])
def test_wanda_is_the_plain_in_memory_method(architecture, base_folders, tmp_path, console):
    base = base_folders[architecture]
    using = calibrating()
    run(base, tmp_path / "out", Recipe.of("wanda", Decimal("0.5"), 42), console, using)
    expected = plain_wanda(base, using.calibrating.text.ids, 0.5)
    pruned = checkpoints.tensors(tmp_path / "out")
    agreeing = total = 0
    for name, mask in expected.items():
        agreeing += int(((pruned[name] == 0) == mask).sum())
        total += mask.numel()
        assert ((pruned[name] == 0).sum(1) == mask.sum(1)).all(), name
    assert total == checkpoints.PRUNABLE[architecture]
    assert agreeing >= 0.999 * total


def test_later_blocks_see_what_the_pruned_earlier_ones_give(base_folders, tmp_path, console):
    """Were the second block judged on the dense first one, other weights would go."""
    base = base_folders["llama"]
    using = calibrating()
    run(base, tmp_path / "out", Recipe.of("wanda", Decimal("0.75"), 42), console, using)
    sequential = plain_wanda(base, using.calibrating.text.ids, 0.75)
    pruned = checkpoints.tensors(tmp_path / "out")
    dense = plain_wanda(base, using.calibrating.text.ids, 0.75, sequential=False)
    second = [name for name in names_of(open_checkpoint(base)) if block_of(name) == 1]
    agreeing = [float(((pruned[name] == 0) == sequential[name]).float().mean()) for name in second]
    assert min(agreeing) >= 0.999
    assert any(not torch.equal(pruned[name] == 0, dense[name]) for name in second)
