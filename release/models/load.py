"""A checkpoint folder in memory, loaded without a network and without code from the checkpoint."""

import gc
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from transformers import AutoTokenizer, GenerationConfig
from transformers.utils import logging

from release.checkpoint.folder import open_checkpoint
from release.checkpoint.steady import steady
from release.errors import UnusableBase
from release.machine import BESIDE_WEIGHTS
from release.models.classes import auto_class, meta_model
from release.models.configuration import library_config
from release.models.device import let_go, memory_free
from release.outside import Unfit, foreign

STORED = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32, "F64": torch.float64}
"""safetensors' names of the types that weights are stored in."""
LOADING = {"local_files_only": True, "trust_remote_code": False, "output_loading_info": True}


def read_tokenizer(folder: Path) -> Any:
    """Return the tokenizer of a checkpoint folder.

    Raises:
        UnusableBase: There is none that transformers can read.
    """
    try:
        with foreign(f"{folder.name} has no usable tokenizer"):
            return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Unfit as why:
        raise UnusableBase(f"{why}.", "Fetch the tokenizer's files again, or complete the folder.") from None


def require_known(folder: Path, texts: Iterable[Sequence[int]]) -> None:
    """Refuse token ids that the model has no embedding for, before it is asked them.

    Args:
        folder: A checkpoint folder, for its config.json.
        texts: Token ids.

    Raises:
        UnusableBase: Names the largest id.
    """
    vocabulary = getattr(read_config(folder).get_text_config(), "vocab_size", None)
    largest = max((max(ids) for ids in texts if len(ids)), default=-1)
    if isinstance(vocabulary, int) and largest >= vocabulary:
        raise UnusableBase(
            f"The tokenizer of {folder.name} gives token {largest:,}; the model knows {vocabulary:,}, from 0 on.",
            "Tokenizer and config.json do not belong together; fetch the model again.",
        )


@contextmanager
def loaded(folder: Path, device: torch.device, dtype: torch.dtype | None, *, mapped: bool = False) -> Iterator[Any]:
    """Hold a model in memory.

    Args:
        folder: A checkpoint folder.
        device: Where the weights go.
        dtype: The arithmetic; None for `stored_type`. fp32 holds every stored weight exactly.
        mapped: Leave weights that need no other type in the pages of their files, which the system may drop. Where such
            a file is cut, the process is killed without a word (SIGBUS): only for a process whose end is looked at.

    Raises:
        UnusableBase: It does not fit, its files do not fill the architecture, or one was changed meanwhile.
    """
    _require_memory(folder, device, dtype)
    logging.disable_progress_bar()
    fill = _mapped if mapped else _filled
    try:
        with steady(open_checkpoint(folder).stamps), foreign(f"{folder.name} cannot be loaded"):
            model, info = fill(folder, stored_type(folder) if dtype is None else dtype)
    except Unfit as why:
        raise UnusableBase(f"{why}.", "Check its config.json.") from None
    if info["missing_keys"]:
        missing = ", ".join(sorted(info["missing_keys"])[:3])
        raise UnusableBase(f"{folder.name} lacks weights: {missing}.", "Complete the checkpoint.")
    try:
        yield model.to(device).eval()
    finally:
        del model
        gc.collect()
        let_go(device)


def _mapped(folder: Path, dtype: torch.dtype) -> tuple[Any, Any]:
    """Let transformers map the files; return the model, and what it says of the keys."""
    config = library_config(folder)
    model, info = auto_class(config).from_pretrained(
        folder, config=config, dtype=dtype, use_safetensors=True, **LOADING
    )
    return model, info


def _filled(folder: Path, dtype: torch.dtype) -> tuple[Any, Any]:
    """Have transformers fill the class with tensors that are read from the files one by one, and not mapped."""
    empty = meta_model(folder, dtype)
    with ExitStack() as held:
        stored: dict[str, Any] = {}
        for header in open_checkpoint(folder).headers:
            file = held.enter_context(safe_open(header.path, framework="pt", backend="pread"))
            stored |= {tensor.name: file.get_slice(tensor.name) for tensor in header.tensors}
        model, info = type(empty).from_pretrained(None, config=empty.config, state_dict=stored, dtype=dtype, **LOADING)
    model.generation_config = _generation(folder)
    return model, info


def _generation(folder: Path) -> GenerationConfig:
    """Return how a folder says that its model generates; older ones say it in config.json."""
    try:
        return GenerationConfig.from_pretrained(folder, local_files_only=True)
    except OSError:
        older = {"config_file_name": "config.json", "_from_model_config": True}  # as from_pretrained does
        return GenerationConfig.from_pretrained(folder, local_files_only=True, **older)


def stored_type(folder: Path) -> torch.dtype:
    """Return the type in which most of a checkpoint's weights are stored, whatever its config.json says.

    A config.json that named float32 beside bfloat16 files had them timed in float32 and called that the stored type.

    Raises:
        UnusableBase: Its files cannot be read.
    """
    sizes: Counter[str] = Counter()
    for tensor in open_checkpoint(folder).tensors():
        sizes[tensor.dtype] += tensor.numel
    known = [(count, STORED[name]) for name, count in sizes.items() if name in STORED]
    return max(known, key=itemgetter(0))[1] if known else torch.float32


def read_config(folder: Path) -> Any:
    """Return the configuration of a checkpoint folder.

    Raises:
        UnusableBase: transformers does not know it.
    """
    try:
        with foreign(f"{folder.name} has no usable config.json"):
            return library_config(folder)
    except Unfit as why:
        raise UnusableBase(f"{why}.", "Complete the folder.") from None


def context_window(config: Any) -> int | None:
    """Return the most tokens the model can read, or None where its config names no limit."""
    limit = getattr(config.get_text_config(), "max_position_embeddings", None)
    return limit if isinstance(limit, int) else None


def fits(folder: Path, device: torch.device, dtype: torch.dtype | None) -> bool:
    """Whether a model fits into what is free, in a type or (None) as stored; yes where this system does not say."""
    free = memory_free(device)
    return free is None or memory_needed(folder, dtype) <= free


def memory_needed(folder: Path, dtype: torch.dtype | None) -> int:
    """Return the bytes a model takes in memory, with room for its activations."""
    checkpoint = open_checkpoint(folder)
    weights = checkpoint.size if dtype is None else checkpoint.parameters * dtype.itemsize
    return int(weights * (1 + BESIDE_WEIGHTS))


def _require_memory(folder: Path, device: torch.device, dtype: torch.dtype | None) -> None:
    if not fits(folder, device, dtype):
        needed, free = memory_needed(folder, dtype), memory_free(device) or 0
        raise UnusableBase(
            f"{folder.name} needs {needed / 1e9:.1f} GB of memory on {device.type}; {free / 1e9:.1f} GB are free.",
            "Use a larger machine, or leave latency out: --latency off.",
        )
