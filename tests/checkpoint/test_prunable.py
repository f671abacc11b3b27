"""Which tensors are prunable: counts per architecture, and refusals by name."""

import json
from decimal import Decimal

import pytest

from release.checkpoint.folder import open_checkpoint
from release.checkpoint.prunable import class_shapes, cross_check, from_shapes, module_of, require_prunable
from release.errors import UnusableBase
from tests import checkpoints

NEVER = ("embed_tokens", "lm_head", "norm", "bias", "block_sparse_moe.gate.weight", "mlp.gate.weight")


def prunable_shapes(folder):
    shapes = open_checkpoint(folder).shapes
    return {name: shapes[name] for name in from_shapes(shapes)}


@pytest.mark.parametrize("architecture", checkpoints.ARCHITECTURES)
def test_the_prunable_set_is_the_linear_layers_of_the_blocks(architecture, base_folders):
    shapes = prunable_shapes(base_folders[architecture])
    assert sum(a * b for a, b in shapes.values()) == checkpoints.PRUNABLE[architecture]
    assert not [name for name in shapes if any(part in name for part in NEVER)]
    cross_check(shapes, class_shapes(base_folders[architecture]))


def test_fused_projections_count_as_one_module(base_folders):
    modules = {module_of(name) for name in prunable_shapes(base_folders["phi3"])}
    assert modules == {"self_attn.qkv_proj", "self_attn.o_proj", "mlp.gate_up_proj", "mlp.down_proj"}


def test_experts_stored_one_by_one_are_all_found(base_folders):
    modules = {module_of(name) for name in prunable_shapes(base_folders["mixtral"])}
    attention = {f"self_attn.{letter}_proj" for letter in "qkvo"}
    assert modules == attention | {f"block_sparse_moe.experts.w{i}" for i in (1, 2, 3)}


def test_experts_fused_in_one_tensor_are_found():
    shapes = {"model.layers.0.mlp.experts.gate_up_proj": (4, 96, 32), "model.layers.0.mlp.gate.weight": (4, 32)}
    assert from_shapes(shapes) == ("model.layers.0.mlp.experts.gate_up_proj",)


@pytest.mark.parametrize("architecture", checkpoints.ARCHITECTURES)
def test_a_missing_layer_is_refused_by_name(architecture, base_folders):
    shapes = prunable_shapes(base_folders[architecture])
    expected = class_shapes(base_folders[architecture])
    for name in shapes:
        rest = {n: s for n, s in shapes.items() if n != name}
        place = r"experts of block \d" if ".experts." in name else name.split("model.")[-1]
        with pytest.raises(UnusableBase, match=place):
            cross_check(rest, expected)


def test_a_layer_the_class_does_not_have_is_refused_by_name(base_folders):
    shapes = prunable_shapes(base_folders["llama"]) | {"model.layers.1.mlp.extra.weight": (3, 3)}
    with pytest.raises(UnusableBase, match=r"mlp\.extra"):
        cross_check(shapes, class_shapes(base_folders["llama"]))


def test_a_layer_of_another_shape_is_refused_by_name(base_folders):
    shapes = prunable_shapes(base_folders["llama"]) | {"model.layers.1.mlp.up_proj.weight": (3, 3)}
    with pytest.raises(UnusableBase, match="up_proj"):
        cross_check(shapes, class_shapes(base_folders["llama"]))


@pytest.mark.parametrize("dtype", ["I8", "U8", "F8_E4M3", "I32"])
def test_packed_weights_are_refused_by_name(dtype, base_folders):
    shapes = prunable_shapes(base_folders["llama"])
    name = sorted(shapes)[3]
    found = {n: ("BF16" if n != name else dtype, s) for n, s in shapes.items()}
    with pytest.raises(UnusableBase, match=f"{name} is stored as {dtype}"):
        require_prunable(base_folders["llama"], found)


def test_a_checkpoint_without_blocks_is_refused():
    with pytest.raises(UnusableBase, match="No transformer block"):
        from_shapes({"encoder.weight": (3, 3)})


def test_an_architecture_unknown_to_transformers_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "nobody-knows", "auto_map": {"AutoConfig": "x.Y"}}))
    with pytest.raises(UnusableBase, match="transformers cannot build"):
        class_shapes(tmp_path)


def test_phi_3_5_mini_is_counted_from_its_config_alone(phi_config):
    shapes = class_shapes(phi_config)
    total = sum(a * b for a, b in shapes.values())
    assert total == 3_623_878_656
    assert Decimal(total) / 32 == 113_246_208
