"""Tiny real checkpoints of real architectures, made from configs in a second."""

import json
import shutil
from pathlib import Path

import numpy as np
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
ATTENTION = 32 * 32 + 2 * 32 * 16 + 32 * 32
MLP = 3 * 32 * 48
PRUNABLE = {name: 2 * (ATTENTION + MLP * (4 if name == "mixtral" else 1)) for name in ARCHITECTURES}
"""Worked out from the shapes above: q, k, v, o and three MLP matrices (four times that with experts), two blocks."""

TEMPLATE = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}\n{% endfor %}<assistant>"


def make(
    folder: Path,
    architecture: str = "llama",
    dtype: torch.dtype = torch.bfloat16,
    shard: str = "5GB",
    **sizes: int,
) -> Path:
    """Write a checkpoint of random weights with a byte-level tokenizer and a chat template."""
    settings = ARCHITECTURES[architecture] | sizes
    torch.manual_seed(0)
    config = AutoConfig.for_model(settings.pop("model_type"), **(SMALL | settings))
    AutoModelForCausalLM.from_config(config, dtype=dtype).save_pretrained(folder, max_shard_size=shard)
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


def as_bits(values: torch.Tensor) -> np.ndarray:
    width = {2: torch.int16, 4: torch.int32, 8: torch.int64}[values.element_size()]
    return values.contiguous().view(width).numpy()
