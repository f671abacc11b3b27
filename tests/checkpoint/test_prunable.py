"""Which tensors are prunable by names and shapes: counts per architecture, and what is left dense."""

import pytest

from release.checkpoint.decoder import decoder_blocks, place_of
from release.checkpoint.folder import open_checkpoint
from release.checkpoint.prunable import from_shapes, left_dense, module_of, prunable
from release.errors import UnusableBase
from tests import checkpoints

NEVER = ("embed_tokens", "lm_head", "norm", "bias", "block_sparse_moe.gate.weight", "mlp.gate.weight")
CONFIG = {"num_hidden_layers": 2, "vocab_size": 300}


def prunable_shapes(folder):
    checkpoint = open_checkpoint(folder)
    return {name: checkpoint.shapes[name] for name in prunable(checkpoint)}


def blocks(name, count=2, linear="mlp.up_proj.weight", shape=(48, 32)):
    return {f"{name}.{index}.{linear}": shape for index in range(count)}


def embedding(name="model.embed_tokens.weight"):
    return {name: (300, 32), "lm_head.weight": (300, 32)}


@pytest.mark.parametrize("architecture", checkpoints.ARCHITECTURES)
def test_the_prunable_set_is_the_linear_layers_of_the_blocks(architecture, base_folders):
    shapes = prunable_shapes(base_folders[architecture])
    assert sum(a * b for a, b in shapes.values()) == checkpoints.PRUNABLE[architecture]
    assert not [name for name in shapes if any(part in name for part in NEVER)]


def test_fused_projections_count_as_one_module(base_folders):
    modules = {module_of(name) for name in prunable_shapes(base_folders["phi3"])}
    assert modules == {"self_attn.qkv_proj", "self_attn.o_proj", "mlp.gate_up_proj", "mlp.down_proj"}


def test_experts_stored_one_by_one_are_all_found(base_folders):
    modules = {module_of(name) for name in prunable_shapes(base_folders["mixtral"])}
    attention = {f"self_attn.{letter}_proj" for letter in "qkvo"}
    assert modules == attention | {f"block_sparse_moe.experts.w{i}" for i in (1, 2, 3)}


@pytest.mark.parametrize(
    ("inside", "shape", "found"),
    [
        ("mlp.experts.gate_up_proj", (4, 96, 32), True),
        ("mlp.experts.gate_up_proj_bias", (4, 96), False),
        ("mlp.input_linear.weight", (4, 96, 32), True),
        ("ffn.experts.mlp.w1", (192, 32), True),
        ("mlp.experts.0.w1.weight", (48, 32), True),
        ("attn.c_attn.weight", (32, 96), True),
        ("mlp.gate_proj.weight", (48, 32), True),
        ("mlp.gate.weight", (4, 32), False),
        ("mlp.router.layer.weight", (4, 32), False),
        ("mlp.shared_expert_gate.weight", (1, 32), False),
        ("mlp.shared_expert.up_proj.weight", (48, 32), True),
        ("self_attn.q_norm.weight", (4, 8), False),
        ("norm_attn_norm.attn.Wqkv.weight", (64, 32), True),
        ("input_layernorm.W_down.weight", (16, 32), False),
        ("mixer.conv1d.weight", (64, 1, 4), False),
        ("conv.in_proj.weight", (96, 32), True),
        ("mixer.A_log", (64, 16), False),
        ("attn.bias", (1, 1, 64, 64), False),
        ("input_layernorm.weight", (32,), False),
    ],
)
def test_what_a_matrix_in_a_block_is_is_told_by_its_name_and_shape(inside, shape, found):
    shapes = blocks("model.layers") | embedding() | {f"model.layers.1.{inside}": shape}
    assert (f"model.layers.1.{inside}" in from_shapes(shapes, CONFIG)) == found


@pytest.mark.parametrize(
    ("named", "token"),
    [
        ("model.layers", "model.embed_tokens.weight"),
        ("transformer.h", "transformer.wte.weight"),
        ("h", "wte.weight"),
        ("transformer.blocks", "transformer.wte.weight"),
        ("gpt_neox.layers", "gpt_neox.embed_in.weight"),
        ("model.decoder.layers", "model.decoder.embed_tokens.weight"),
        ("backbone.layers", "backbone.embeddings.weight"),
        ("bert.encoder.layer", "bert.embeddings.word_embeddings.weight"),
        ("model.language_model.layers", "model.language_model.embed_tokens.weight"),
    ],
)
@pytest.mark.parametrize(
    "other",
    [
        "vision_tower.vision_model.encoder.layers",
        "model.visual.blocks",
        "model.audio_tower.layers",
        "mtp.layers",
        "encoder.layers",
        "model.mtp.layers",
    ],
)
def test_of_several_lists_of_blocks_the_decoders_is_the_one_beside_the_embedding(named, token, other):
    shapes = blocks(named) | blocks(other, 3) | embedding(token)
    assert decoder_blocks(shapes, CONFIG) == (named, 2)
    assert from_shapes(shapes, CONFIG) == tuple(blocks(named))
    [left] = left_dense(shapes, CONFIG)
    assert (left.blocks, left.tensors, left.parameters) == (other, 3, 3 * 48 * 32)


def test_a_block_beyond_the_models_own_is_left_dense_by_its_number():
    shapes = blocks("model.layers", 3) | embedding()
    assert from_shapes(shapes, CONFIG) == tuple(blocks("model.layers"))
    assert [each.blocks for each in left_dense(shapes, CONFIG)] == ["model.layers.2"]


def test_the_counts_of_a_larger_models_text_part_are_read():
    shapes = blocks("model.language_model.layers") | embedding("model.language_model.embed_tokens.weight")
    config = {"text_config": CONFIG, "vision_config": {"num_hidden_layers": 9}}
    assert len(from_shapes(shapes | blocks("model.visual.blocks", 9), config)) == 2


def test_two_lists_that_may_both_be_the_decoders_are_refused_by_name():
    shapes = blocks("transformer.attentions") | blocks("transformer.ffns") | embedding("transformer.embeddings.weight")
    with pytest.raises(UnusableBase, match=r"transformer\.attentions or transformer\.ffns"):
        from_shapes(shapes, CONFIG)


@pytest.mark.parametrize("count", [3, 1_000_000_000])
def test_fewer_blocks_than_config_json_counts_are_refused(count):
    with pytest.raises(UnusableBase, match=rf"num_hidden_layers is {count:,}; the files hold no model\.layers\.2"):
        from_shapes(blocks("model.layers") | embedding(), CONFIG | {"num_hidden_layers": count})


def test_a_checkpoint_without_blocks_is_refused():
    with pytest.raises(UnusableBase, match="No transformer block"):
        from_shapes({"encoder.weight": (3, 3)}, {})


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("model.layers.3.mlp.experts.7.w1.weight", ("model.layers", 3, "mlp.experts.7.w1.weight")),
        ("h.0.attn.c_attn.weight", ("h", 0, "attn.c_attn.weight")),
        ("model.embed_tokens.weight", None),
        ("layers.99999999.weight", None),
        ("0.weight", None),
    ],
)
def test_a_name_is_split_at_its_first_number(name, place):
    found = place_of(name)
    assert (found and (found.blocks, found.number, found.rest)) == place
