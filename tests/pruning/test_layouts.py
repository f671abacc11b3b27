"""Architectures whose blocks, layers or experts are named or stored otherwise than Llama's are pruned whole."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from transformers import (
    AutoModelForCausalLM,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    LlavaConfig,
    LlavaForConditionalGeneration,
)
from transformers.pytorch_utils import Conv1D

from release.__main__ import run
from release.schema.record import Record
from tests import checkpoints

MATRICES = {
    # Two blocks each: query, key, value and output, then the MLP or the experts, by the sizes in `checkpoints.SMALL`.
    "gpt2": 2 * (32 * 96 + 32 * 32 + 2 * 32 * 128),
    "gptj": 2 * (4 * 32 * 32 + 2 * 32 * 128),
    "gpt_neo": 2 * (4 * 32 * 32 + 2 * 32 * 48),
    "gpt_neox": 2 * (32 * 96 + 32 * 32 + 2 * 32 * 48),
    "gpt_bigcode": 2 * (32 * 48 + 32 * 32 + 2 * 32 * 128),
    "bloom": 2 * (32 * 96 + 32 * 32 + 2 * 32 * 128),
    "falcon": 2 * (32 * 48 + 32 * 32 + 2 * 32 * 128),
    "mpt": 2 * (32 * 96 + 32 * 32 + 2 * 32 * 128),
    "opt": 2 * (4 * 32 * 32 + 2 * 32 * 48),
    "dbrx": 2 * (32 * 64 + 32 * 32 + 4 * 3 * 32 * 48),
    "jetmoe": 2 * (32 * 32 + 2 * 4 * 32 * 16 + 4 * 3 * 32 * 48),
    "granitemoe": 2 * (2 * 32 * 32 + 2 * 32 * 16 + 4 * 3 * 32 * 48),
    "openai-gpt": 2 * (32 * 96 + 32 * 32 + 2 * 32 * 128),
}


def prune(base: Path, out: Path, method: str, *more: str) -> int:
    words = ["prune", str(base), "--method", method, "--sparsity", "0.5", "--out", str(out), "--json", *more]
    return run([*words, *(checkpoints.CALIBRATION if method != "random" else ())])


@pytest.mark.quick_rows(5)
@pytest.mark.parametrize("architecture", checkpoints.LAYOUTS)
def test_half_of_every_matrix_goes_and_nothing_else(
    architecture: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = checkpoints.make(tmp_path / "base", architecture)
    assert prune(base, tmp_path / "out", "random") == 0
    before, after = checkpoints.tensors(base), checkpoints.tensors(tmp_path / "out")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert sum(before[name].numel() for name in changed) == MATRICES[architecture]
    assert sum(int((after[name] == 0).sum()) for name in changed) == MATRICES[architecture] // 2
    assert run(["verify", str(tmp_path / "out"), "--base", str(base), "--rebuild"]) == 0
    capsys.readouterr()


@pytest.mark.long
@pytest.mark.parametrize("architecture", [name for name in checkpoints.LAYOUTS if name != "dbrx"])
@pytest.mark.parametrize("method", ["wanda", "sparsegpt"])
def test_calibrated_methods_prune_them_and_verification_calibrates_again(
    architecture: str, method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = checkpoints.make(tmp_path / "base", architecture)
    assert prune(base, tmp_path / "out", method) == 0
    words = ["verify", str(tmp_path / "out"), "--base", str(base), "--rebuild", *checkpoints.CALIBRATION[:2]]
    assert run(words) == 0
    capsys.readouterr()


def test_wanda_compares_the_inputs_of_one_output_where_a_layer_is_stored_inputs_first(tmp_path: Path) -> None:
    base = checkpoints.make(tmp_path / "base", "gpt2")
    assert prune(base, tmp_path / "out", "wanda") == 0
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, Conv1D)}
    pruned = checkpoints.tensors(tmp_path / "out")
    for name, layer in layers.items():
        zeros = (pruned[f"{name}.weight"] == 0).sum(dim=0)
        assert len(zeros) == layer.nf
        assert np.all(np.abs(zeros.numpy() - layer.nx / 2) <= 0.5)


def test_experts_stacked_in_one_matrix_are_not_calibrated_as_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = checkpoints.make(tmp_path / "base", "dbrx")
    assert prune(base, tmp_path / "out", "wanda") == 2
    assert "several matrices in one" in capsys.readouterr().err


@pytest.mark.parametrize("architecture", ["gpt2", "gpt_oss"])
def test_rows_and_patterns_are_refused_where_matrices_are_stored_inputs_first(
    architecture: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = checkpoints.make(tmp_path / "base", architecture)
    words = ["prune", str(base), "--method", "magnitude", "--pattern", "2:4", "--out", str(tmp_path / "out")]
    assert run(words) == 2
    assert "inputs first" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


# What lies beside the text decoder


def with_a_tower(folder: Path) -> Path:
    """Gemma-3 with a vision tower whose blocks have the language model's own shapes."""
    text = checkpoints.SMALL | {"head_dim": 8, "sliding_window": 16, "num_key_value_heads": 4}
    text["max_position_embeddings"] = 2048
    vision = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = Gemma3Config(
        text_config=text,
        vision_config=vision | {"image_size": 28, "patch_size": 14},
        mm_tokens_per_image=4,
        image_token_index=253,
        boi_token_index=254,
        eoi_token_index=255,
    )
    torch.manual_seed(0)
    Gemma3ForConditionalGeneration(config).to(torch.bfloat16).save_pretrained(folder)
    checkpoints.tokenizer().save_pretrained(folder)
    return folder


def with_another_block(folder: Path, rename: Callable[[str], str]) -> Path:
    """A Qwen3 whose files hold a further block, as those of models that predict several tokens do."""
    checkpoints.make(folder, "qwen3")
    tensors = checkpoints.tensors(folder)
    extra = {rename(name): tensor.clone() for name, tensor in tensors.items() if ".layers.1." in name}
    checkpoints.write(folder, tensors | extra)
    return folder


def with_one_more(folder: Path) -> Path:
    return with_another_block(folder, lambda name: name.replace("layers.1.", "layers.2."))


def with_further_tokens(folder: Path) -> Path:
    return with_another_block(folder, lambda name: "mtp.layers.0." + name.removeprefix("model.layers.1."))


@pytest.mark.quick_rows(1)
@pytest.mark.parametrize(
    ("make", "left"),
    [
        (with_a_tower, "vision_tower.encoder.layers"),
        (with_one_more, "model.layers.2"),
        (with_further_tokens, "mtp.layers"),
    ],
)
def test_blocks_that_are_not_the_language_models_are_left_dense_and_listed(
    make: Callable[[Path], Path], left: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = make(tmp_path / "base")
    asked = [
        "--method",
        "random",
        "--sparsity",
        "0.3",
        "--bbq",
        "off",
        "--perplexity",
        "off",
        "--latency",
        "off",
        "--local",
        "--dry-run",
        "--json",
    ]
    assert run(["publish", str(base), *asked]) == 0
    foretold = json.loads(capsys.readouterr().out)
    assert [each["blocks"] for each in foretold["left_dense"]] == [left]
    assert prune(base, tmp_path / "out", "random") == 0
    before, after = checkpoints.tensors(base), checkpoints.tensors(tmp_path / "out")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert len(changed) == 14
    assert not [name for name in changed if name.startswith(f"{left}.")]
    record = Record.read(tmp_path / "out")
    assert [each.blocks for each in record.audit.left_dense] == [left]
    assert (
        f"| Left dense | blocks that are not the language model's: `{left}`" in (tmp_path / "out/README.md").read_text()
    )
    assert run(["verify", str(tmp_path / "out"), "--base", str(base), "--rebuild"]) == 0
    capsys.readouterr()


def with_llavas_tower(folder: Path) -> Path:
    text = checkpoints.SMALL | {"model_type": "llama", "max_position_embeddings": 2048}
    vision = {"model_type": "clip_vision_model", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    vision |= {"num_attention_heads": 4, "image_size": 28, "patch_size": 14}
    config = LlavaConfig(text_config=text, vision_config=vision, image_token_index=253)
    torch.manual_seed(0)
    LlavaForConditionalGeneration(config).to(torch.bfloat16).save_pretrained(folder)
    checkpoints.tokenizer().save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("make", "loader"),
    [(with_a_tower, "AutoModelForCausalLM"), (with_llavas_tower, "AutoModelForImageTextToText")],
)
def test_the_card_loads_a_model_by_the_class_that_knows_it(
    make: Callable[[Path], Path], loader: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prune(make(tmp_path / "base"), tmp_path / "out", "random") == 0
    assert Record.read(tmp_path / "out").base.loader == loader
    card = (tmp_path / "out/README.md").read_text()
    assert f"model = {loader}.from_pretrained(path)" in card
    kind = getattr(transformers, loader)
    _, info = kind.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not info["missing_keys"]
    capsys.readouterr()


@pytest.mark.long
@pytest.mark.parametrize("make", [with_a_tower, with_llavas_tower])
def test_a_model_with_a_vision_tower_is_measured_on_text(
    make: Callable[[Path], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["publish", str(make(tmp_path / "base")), "--method", "wanda", "--sparsity", "0.3", "--local"]
    words += ["--out", str(tmp_path / "out"), "--bbq", "8", "--perplexity", "2", "--latency", "2", "--device", "cpu"]
    assert run([*words, *checkpoints.CALIBRATION]) == 0
    [folder] = (tmp_path / "out").iterdir()
    found = Record.read(folder / "model").measurements
    assert (found.bbq is None, found.perplexity is None, found.latency is None) == (False, False, False)
    capsys.readouterr()
