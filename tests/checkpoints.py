"""Tiny real checkpoints of real architectures, made from configs in a second."""

import json
import shutil
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

SMALL = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 256,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
ARCHITECTURES = {
    "llama": {"model_type": "llama", "tie_word_embeddings": True},
    "mistral": {"model_type": "mistral"},
    "phi3": {"model_type": "phi3"},
    "gemma2": {"model_type": "gemma2", "head_dim": 8},
    "qwen2": {"model_type": "qwen2"},
    "qwen3": {"model_type": "qwen3", "head_dim": 8},
    "mixtral": {"model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 2},
}
EXTRA = {
    "qwen2_moe": {
        "model_type": "qwen2_moe",
        "num_experts": 12,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 24,
        "shared_expert_intermediate_size": 40,
    },
    "gpt_oss": {
        "model_type": "gpt_oss",
        "head_dim": 8,
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "sliding_window": 16,
    },
    "llama4": {
        "model_type": "llama4_text",
        "head_dim": 8,
        "intermediate_size_mlp": 40,
        "num_local_experts": 4,
        "num_experts_per_tok": 1,
        "attention_chunk_size": 16,
    },
    "gemma4": {"model_type": "gemma4_text", "head_dim": 8, "global_head_dim": 8, "hidden_size_per_layer_input": 0},
    "falcon_h1": {
        "model_type": "falcon_h1",
        "head_dim": 8,
        "mamba_d_ssm": 32,
        "mamba_n_heads": 4,
        "mamba_d_head": 8,
        "mamba_d_state": 8,
        "mamba_chunk_size": 16,
    },
}
"""Architectures that differ in how they hold experts or blocks; not all of their linear layers are plain."""
LAYOUTS = {
    "gpt2": {"model_type": "gpt2"},
    "gptj": {"model_type": "gptj", "rotary_dim": 8},
    "gpt_neo": {"model_type": "gpt_neo", "attention_types": [[["global", "local"], 1]], "window_size": 16},
    "gpt_neox": {"model_type": "gpt_neox"},
    "gpt_bigcode": {"model_type": "gpt_bigcode"},
    "bloom": {"model_type": "bloom"},
    "falcon": {"model_type": "falcon", "new_decoder_architecture": False},
    "mpt": {"model_type": "mpt"},
    "opt": {"model_type": "opt", "word_embed_proj_dim": 32, "ffn_dim": 48},
    "dbrx": {
        "model_type": "dbrx",
        "d_model": 32,
        "n_heads": 4,
        "n_layers": 2,
        "max_seq_len": 512,
        "attn_config": {"kv_n_heads": 2, "rope_theta": 10000.0, "clip_qkv": 8.0},
        "ffn_config": {"ffn_hidden_size": 48, "moe_num_experts": 4, "moe_top_k": 2},
    },
    "jetmoe": {"model_type": "jetmoe", "num_local_experts": 4, "num_experts_per_tok": 2, "kv_channels": 8},
    "granitemoe": {"model_type": "granitemoe", "num_local_experts": 4, "num_experts_per_tok": 2},
    "openai-gpt": {"model_type": "openai-gpt"},
}
"""Architectures whose blocks, linear layers or experts are named or stored otherwise than Llama's."""
ATTENTION = 32 * 32 + 2 * 32 * 16 + 32 * 32
MLP = 3 * 32 * 48
PRUNABLE = {name: 2 * (ATTENTION + MLP * (4 if name == "mixtral" else 1)) for name in ARCHITECTURES}
"""Worked out from the shapes above: q, k, v, o and three MLP matrices (four times that with experts), two blocks."""

PROSE = Path(__file__).parent.parent / "docs" / "statistics.md"
CALIBRATION = ["--calibration", str(PROSE), "--calibration-samples", "8", "--calibration-length", "64"]
"""Options that keep calibration short; methods without it take no notice."""

TEMPLATE = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}\n{% endfor %}<assistant>"


def make(
    folder: Path,
    architecture: str = "llama",
    dtype: torch.dtype = torch.bfloat16,
    shard: str = "5GB",
    as_stored: bool = True,
    **sizes: float,
) -> Path:
    """Write a checkpoint of random weights with a byte-level tokenizer and a chat template.

    Args:
        as_stored: Whether experts are written one by one, as the Hub holds them, or fused as the class does.
    """
    settings = (ARCHITECTURES | EXTRA | LAYOUTS)[architecture] | sizes
    torch.manual_seed(0)
    config = AutoConfig.for_model(settings.pop("model_type"), **(SMALL | settings))
    model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    model.save_pretrained(folder, max_shard_size=shard, save_original_format=as_stored)
    tokenizer().save_pretrained(folder)
    return folder


def tokenizer() -> PreTrainedTokenizerFast:
    """Every byte is a token; three special tokens take the places of control characters."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<pad>": 0, "<s>": 1, "</s>": 2} | {letter: i + 3 for i, letter in enumerate(alphabet[:253])}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<pad>"))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", bos_token="<s>", eos_token="</s>")
    made.chat_template = TEMPLATE
    return made


def copy(source: Path, target: Path) -> Path:
    """Copy a checkpoint, so that a test can spoil it."""
    return Path(shutil.copytree(source, target))


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    """Load all tensors of a checkpoint folder, by the library's own reader."""
    return {name: t for file in sorted(folder.glob("*.safetensors")) for name, t in load_file(file).items()}


def write(folder: Path, values: dict[str, torch.Tensor], file: str = "model.safetensors") -> None:
    """Replace one weight file."""
    save_file(values, folder / file, metadata={"format": "pt"})


def broken(source: Path, target: Path) -> Path:
    """Copy a checkpoint and let its last norm give NaN."""
    copy(source, target)
    for file in target.glob("*.safetensors"):
        values = load_file(file)
        if "model.norm.weight" in values:
            values["model.norm.weight"] = values["model.norm.weight"] * float("nan")
            write(target, values, file.name)
    return target


def as_bits(values: torch.Tensor) -> np.ndarray:
    width = {2: torch.int16, 4: torch.int32, 8: torch.int64}[values.element_size()]
    return values.contiguous().view(width).numpy()


def crossed(rows: Iterable[Any], *everywhere: Any) -> list[Any]:
    """Parameters: every row with every architecture; the quick suite has some rows everywhere, and all of the Llama."""
    return [
        pytest.param(row, name, marks=() if name == "llama" or row in everywhere else pytest.mark.long)
        for row, name in product(rows, ARCHITECTURES)
    ]
