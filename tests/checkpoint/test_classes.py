"""What the model class says is prunable, and that files which say otherwise are refused by name."""

import json
import re
from decimal import Decimal
from math import prod
from pathlib import Path

import pytest
import torch
import transformers
from packaging.version import Version
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText
from transformers.core_model_loading import revert_weight_conversion
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
)

from release.checkpoint.decoder import decoder_blocks, place_of
from release.checkpoint.folder import open_checkpoint, read_config
from release.checkpoint.prunable import from_shapes, prunable
from release.errors import UnusableBase
from release.models.classes import matrices, meta_model, require_agreement, require_causal, require_prunable
from tests import checkpoints


def check(folder, tensors):
    require_prunable(meta_model(folder), read_config(folder), tensors)


def stored(folder):
    return {t.name: (t.dtype, t.shape) for t in open_checkpoint(folder).tensors()}


@pytest.mark.parametrize("architecture", [*checkpoints.ARCHITECTURES, *checkpoints.EXTRA])
def test_class_and_files_agree(architecture, tmp_path):
    for as_stored in (True, False):
        folder = checkpoints.make(tmp_path / str(as_stored), architecture, as_stored=as_stored)
        check(folder, stored(folder))


@pytest.mark.parametrize("name", ["model.layers.1.mlp.extra.weight", "model.layers.0.self_attn.lora_A.weight"])
def test_a_layer_the_class_does_not_have_is_refused_by_name(name, base_folders):
    with pytest.raises(UnusableBase, match=name):
        check(base_folders["llama"], stored(base_folders["llama"]) | {name: ("BF16", (3, 3))})


@pytest.mark.parametrize("dtype", ["I8", "U8", "F8_E4M3", "I32"])
def test_packed_weights_are_refused_by_name(dtype, base_folders):
    tensors = stored(base_folders["llama"])
    name = prunable(open_checkpoint(base_folders["llama"]))[3]
    with pytest.raises(UnusableBase, match=f"{name} is stored as {dtype}"):
        check(base_folders["llama"], tensors | {name: (dtype, tensors[name][1])})


def test_an_architecture_unknown_to_transformers_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "nobody-knows", "auto_map": {"AutoConfig": "x.Y"}}))
    with pytest.raises(UnusableBase, match="transformers cannot build"):
        meta_model(tmp_path)


def test_phi_3_5_mini_is_counted_from_its_config_alone(phi_config):
    total = sum(p.numel() for p in matrices(meta_model(phi_config)).values())
    assert total == 3_623_878_656
    assert Decimal(total) / 32 == 113_246_208


# Every causal class of the installed transformers


LISTS = "has no list of blocks"
REFUSED = {
    "bart": LISTS,
    "bigbird_pegasus": LISTS,
    "blenderbot": LISTS,
    "blenderbot-small": LISTS,
    "blt": "may be the language model's blocks",
    "hrm_text": "may be the language model's blocks",
    "longcat_flash": LISTS,
    "marian": LISTS,
    "mbart": LISTS,
    "mvp": LISTS,
    "pegasus": LISTS,
    "plbart": LISTS,
    "prophetnet": "relative_pos_embeddings",
    "whisper": LISTS,
    "xlm": "may be the language model's blocks",
    "xlnet": "parameters of its own",
    "xlstm": LISTS,
    "zamba": "parameters of its own",
}
"""Model type → why it is not pruned."""
BOTH_WAYS = {
    *("bert", "big_bird", "camembert", "data2vec-text", "electra", "ernie", "megatron-bert", "reformer", "rembert"),
    *("roberta", "roberta-prelayernorm", "roc_bert", "roformer", "xlm-roberta", "xlm-roberta-xl", "xmod"),
}
"""Encoders; as decoders (`is_decoder`) they are causal."""
UNBUILT = {"cohere_compass_text", "gemma3n", "gemma4_assistant", "musicgen", "musicgen_melody"}
"""transformers builds none of them from its own defaults, or not without other packages."""
CHANGED = set()
"""Model types of whom another transformers than the pinned one thinks otherwise."""
if Version(transformers.__version__) < Version("5.24"):
    UNBUILT.add("gemma4_unified_assistant")
else:
    REFUSED["dory"] = "num_hidden_layers is"  # its config.json counts the two halves of a block one by one
    CHANGED.add("gemma4_unified_assistant")
UNSHORTENED = ("prophetnet", "gemma4_unified_assistant")
"""Classes whose parts must fit each other block by block."""
SETTINGS: dict[str, dict[str, object]] = {
    "dbrx": {"attn_config": {"rope_theta": 10000.0}},
    "dots1": {"n_routed_experts": 8, "n_shared_experts": 1},
    "gemma3n_text": {"num_kv_shared_layers": 0, "num_hidden_layers": 2, "layer_types": ["full_attention"] * 2},
    "hunyuan_v1_dense": {"head_dim": 64},
    "hunyuan_v1_moe": {"head_dim": 64},
    "lfm2_moe": {"layer_types": ["conv"] * 31 + ["full_attention"]},
    "ministral": {"head_dim": 128},
    "nemotron": {"num_key_value_heads": 8},
} | {kind: {"is_decoder": True} for kind in BOTH_WAYS}
"""What a class needs beside its defaults."""
OTHERWISE = r"norm[^.]*(\.[^.]+)?\.[^.]+$|conv[^.]*\.weight$|embed|gate(\.|$)|router|bias|classifier"


def shallow(kind):
    """A class's default configuration with two blocks where it can have them."""
    config = AutoConfig.for_model(kind, **SETTINGS.get(kind, {}))
    if kind in UNSHORTENED:
        return config
    for part in (config, *(getattr(config, name, None) for name in ("text_config", "vision_config", "audio_config"))):
        if part is not None and isinstance(getattr(part, "num_hidden_layers", None), int):
            part.num_hidden_layers = 2
            for name, value in vars(part).items():
                if "layer" in name and isinstance(value, list | tuple):
                    setattr(part, name, value[-2:] if kind == "lfm2_moe" else value[:2])
    return config


def on_disk(model):
    """Name → shape of what save_pretrained would write of a model on the meta device."""
    state = model.state_dict()
    kept = {name: value for name, value in state.items() if name not in (model.all_tied_weights_keys or {})}
    return {name: tuple(value.shape) for name, value in revert_weight_conversion(model, kept).items()}


CAUSAL = {*MODEL_FOR_CAUSAL_LM_MAPPING_NAMES}
SEEING = {*MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES} - CAUSAL
"""Model types that read pictures too, and that AutoModelForCausalLM does not know."""
SEEING_REFUSED = {
    "cosmos3_omni": "may be the language model's blocks",
    "idefics": "may be the language model's blocks",
    "pi0": LISTS,
    "qwen3_omni_moe_thinker": "may be the language model's blocks",
    "shieldgemma2": "which has no place for it",
}
WITH_ENCODERS = {"florence2", "pix2struct", "t5gemma2", "udop", "vision-encoder-decoder"}
"""Refused before, as encoder-decoders."""
SEEING_UNBUILT = {
    *("aya_vision", "chameleon", "cohere_compass", "deepseek_ocr2", "diffusion_gemma", "evolla", "fast_vlm"),
    *("granite4_vision", "hunyuan_vl", "perception_lm", "pp_formulanet"),
}
PRUNED = CAUSAL - {*REFUSED, *UNBUILT}
PRUNED_SEEING = SEEING - {*SEEING_REFUSED, *WITH_ENCODERS, *SEEING_UNBUILT}
PAGE, PINS = (Path(__file__).parents[2] / name for name in ("docs/models.md", "constraints.txt"))


def on_meta(kind):
    auto = AutoModelForCausalLM if kind in CAUSAL else AutoModelForImageTextToText
    with torch.device("meta"):
        return auto.from_config(shallow(kind))


def test_the_tables_speak_of_classes_that_exist():
    assert {*REFUSED, *BOTH_WAYS, *UNBUILT, *SETTINGS} <= CAUSAL
    assert {*SEEING_REFUSED, *WITH_ENCODERS, *SEEING_UNBUILT} <= SEEING


def test_the_page_of_models_lists_what_is_pruned_and_what_is_not():
    wanted = {
        "Pruned": PRUNED - BOTH_WAYS,
        "Pruned, with eyes": PRUNED_SEEING,
        "Pruned as decoders": BOTH_WAYS,
        "Refused": {*REFUSED, *SEEING_REFUSED, *WITH_ENCODERS},
        "Not tried": UNBUILT | SEEING_UNBUILT,
    }
    sections = dict(each.split("\n", 1) for each in PAGE.read_text(encoding="utf-8").split("\n## ")[1:])
    found = {title: set(re.findall(r"`([^`]+)`", sections[title].partition("\n\n---")[0])) for title in wanted}
    named, here = set().union(*found.values()) - CHANGED, set().union(*wanted.values())
    assert {title: names & here - CHANGED for title, names in found.items()} == {
        title: names & named for title, names in wanted.items()
    }
    assert named == here or f"transformers=={transformers.__version__}\n" not in PINS.read_text(encoding="utf-8")


@pytest.mark.long
@pytest.mark.parametrize("kind", sorted(PRUNED | PRUNED_SEEING))
def test_every_class_is_pruned_whole(kind):
    model = on_meta(kind)
    shapes, config = on_disk(model), model.config.to_dict()
    names = from_shapes(shapes, config)
    require_agreement(model, shapes, names)
    root, count = decoder_blocks(shapes, config)
    places = {name: place for name in shapes if (place := place_of(name)) and place.blocks == root}
    assert {place.number for place in places.values()} == set(range(count))
    others = [name for name in places if len(shapes[name]) > 1 and not re.search(OTHERWISE, places[name].rest)]
    assert sum(prod(shapes[name]) for name in names) >= 0.97 * sum(prod(shapes[name]) for name in others)


@pytest.mark.long
@pytest.mark.parametrize("kind", sorted({*REFUSED, *SEEING_REFUSED}))
def test_every_other_class_is_refused(kind):
    model = on_meta(kind)
    shapes = on_disk(model)
    with pytest.raises(UnusableBase, match=(REFUSED | SEEING_REFUSED)[kind]):
        require_agreement(model, shapes, from_shapes(shapes, model.config.to_dict()))


@pytest.mark.parametrize("kind", sorted(UNBUILT))
def test_a_class_that_cannot_be_built_is_refused(kind, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    with pytest.raises(UnusableBase, match="transformers cannot build"):
        meta_model(tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("kind", sorted(BOTH_WAYS - {"reformer"}))
def test_an_encoder_that_reads_both_ways_is_refused(kind):
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, num_hidden_layers=2))
    with pytest.raises(UnusableBase, match="reads its text from both sides"):
        require_causal(model)
