"""The models that are in memory, and how one gets there."""

import gc
import threading
from dataclasses import dataclass
from typing import Any

import gpu
import recipe
import torch
from copies import MAKER, CopyError
from lineup import Source
from memory import free_bytes, weight_bytes
from rebuild import rebuild
from safetensors import SafetensorError
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoTokenizer,
    GenerationConfig,
)
from trouble import UNREADABLE, LoadError


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory with its tokenizer; models with equal tokenizers share one."""

    tokenizer: Any
    model: Any


class Shelf:
    """The models in memory: all of them on ZeroGPU, elsewhere the two used last.

    A model that is not used again makes room before another one is loaded, so there are never three.
    """

    def __init__(self, room: int | None = None if gpu.ZERO_GPU else 2) -> None:
        self._room = room
        self._loaded: dict[Source, LoadedModel] = {}
        self._lock = threading.Lock()

    def __contains__(self, source: Source) -> bool:
        return source in self._loaded

    def get(self, source: Source) -> LoadedModel:
        """Return a model, loading it first where necessary.

        Raises:
            LoadError: It cannot be loaded.
        """
        with self._lock:
            loaded = self._loaded.pop(source, None)
            if loaded is None:
                self._make_room()
                loaded = self._sharing(load(source))
            self._loaded[source] = loaded
            return loaded

    def _sharing(self, loaded: LoadedModel) -> LoadedModel:
        known = (other.tokenizer for other in self._loaded.values())
        return LoadedModel(
            next((each for each in known if _alike(each, loaded.tokenizer)), loaded.tokenizer), loaded.model
        )

    def _make_room(self) -> None:
        while self._room is not None and len(self._loaded) >= self._room:
            del self._loaded[next(iter(self._loaded))]
            gc.collect()
            if (kind := device()) != "cpu":
                getattr(torch, kind).empty_cache()


def device() -> str:
    """Return where models lie: on a GPU where there is one, of NVIDIA's make or an Apple chip's (MPS)."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


SHELF = Shelf()


def _alike(one: Any, other: Any) -> bool:
    return all(_written(one, part) == _written(other, part) for part in ("backend_tokenizer", "chat_template"))


def _written(tokenizer: Any, part: str) -> Any:
    found = getattr(tokenizer, part, None)
    return found.to_str() if found is not None and hasattr(found, "to_str") else found or tokenizer.get_vocab()


def _require_memory(source: Source) -> None:
    need, free = weight_bytes(source.id, source.path), free_bytes()
    if need and free and not torch.cuda.is_available() and need > free:
        raise LoadError(
            f"{source.id} needs {need / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free. "
            "Choose hardware with more memory for this Space."
        )


def load(source: Source) -> LoadedModel:
    """Load a model as it is stored: safetensors only, no code from its repository, its own number type.

    On an Apple chip the type is float32: not every macOS has bfloat16 there.

    Raises:
        LoadError: It cannot be loaded.
    """
    source = _on_disk(source)
    _require_memory(source)
    if source.base:
        rebuild(source.base, source.id)
    options = {"trust_remote_code": False, "local_files_only": source.path is not None}
    kind = device()
    dtype = torch.float32 if kind == "mps" else "auto"
    try:
        where = _where(source)
        tokenizer = AutoTokenizer.from_pretrained(where, **options)
        config = AutoConfig.from_pretrained(where, **options)
        auto = AutoModelForCausalLM if type(config) in MODEL_FOR_CAUSAL_LM_MAPPING else AutoModelForImageTextToText
        model = auto.from_pretrained(where, dtype=dtype, use_safetensors=True, **options)
        model = model.to(kind).eval()
    except (*UNREADABLE, ImportError, SafetensorError) as error:
        raise LoadError(_explained(source, error)) from error
    model.generation_config = _only_ends(model.generation_config)
    return LoadedModel(tokenizer, model)


def _on_disk(source: Source) -> Source:
    """Make a copy, if it is one that is made here, and return where it is."""
    if source.copy is None:
        return source
    try:
        return Source(source.id, str(MAKER.make(source.copy).folder))
    except CopyError as error:
        raise LoadError(f"{source.id}: {error}") from error


def _where(source: Source) -> str:
    """Return what to load: a folder, the Hub's repository, or one without weights made whole."""
    found = recipe.lean(source.id) if source.path is None and source.base else None
    return source.path or (str(recipe.whole(found)) if found else source.id)


def _only_ends(config: GenerationConfig) -> GenerationConfig:
    """Keep where an answer ends and nothing else, so that both models decode alike."""
    return GenerationConfig(
        bos_token_id=config.bos_token_id,
        eos_token_id=config.eos_token_id,
        pad_token_id=config.pad_token_id,
    )


def _explained(source: Source, error: Exception) -> str:
    seen = str(error).strip().splitlines()[:1] or [type(error).__name__]
    reason = seen[0] if source.path is None else seen[0].replace(source.path, source.id)
    return f"{source.id} could not be loaded ({reason[:200]}). {_remedy(source, error)}"


def _remedy(source: Source, error: Exception) -> str:
    if isinstance(error, torch.OutOfMemoryError):
        return "Choose hardware with more memory for this Space."
    if isinstance(error, recipe.Unmade):
        return "`release verify` tells what was changed."
    if source.path is not None:
        return "Check with `release verify FOLDER` that its files are whole, or fetch them again."
    return "Check its name; for a private or gated model add a secret HF_TOKEN to this Space; then try again."
