"""MLX, by mlx-lm: the engine of Apple silicon, which runs on Linux as well; see `engine.Engine`.

Only mlx-lm's own loader reads weights, from safetensors alone, without a network and without code from the checkpoint.
"""

import gc
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlx.core as mx
import numpy as np
import torch
from mlx.utils import tree_flatten
from mlx_lm.generate import generate_step, generation_stream
from mlx_lm.models.cache import make_prompt_cache
from mlx_lm.utils import load_model

from release.checkpoint.folder import Checkpoint, open_checkpoint
from release.checkpoint.steady import steady
from release.errors import UnusableBase
from release.format import quoted
from release.machine import BESIDE_WEIGHTS
from release.models.device import memory_free
from release.models.engine import EnginePlace, Take
from release.models.load import read_config
from release.models.reader import Pass, name_of
from release.models.timed_answer import NEW_TOKENS, PromptEncoder, TimedAnswer
from release.outside import Unfit, foreign
from release.progress import Advance, Console

WEIGHTS = "model*.safetensors"
"""The files that mlx-lm reads."""
REMEDY = "Leave MLX out: --latency-engine transformers --bbq-engine transformers."
BUDGET = "max_recommended_working_set_size"
"""What Metal says a process may use, in bytes."""


def place(_: torch.device) -> EnginePlace:
    """Return MLX's own device: the GPU where it finds one. Torch's choice is none of its business.

    MLX does not say on how many threads a CPU computes: its matrix products are those of another library.
    """
    device = mx.default_device()
    kind, facts = device.type.name, mx.device_info(device)
    known = [memory_free(torch.device("cpu")), facts.get(BUDGET)]
    free = min((each for each in known if isinstance(each, int)), default=None)
    return EnginePlace(f"mlx {kind}", kind if kind == "cpu" else str(facts.get("device_name", kind)), free, None)


def require(folder: Path, _: torch.device) -> None:
    """Refuse what mlx-lm has no class for, cannot fill, or would read otherwise.

    Raises:
        UnusableBase: Says which, in mlx-lm's own words.
    """
    _require_its_files(open_checkpoint(folder))
    _load(folder)


def _require_its_files(checkpoint: Checkpoint) -> None:
    """It reads whatever is called so, a leftover beside the shards too, and nothing else."""
    ours = {header.path.name for header in checkpoint.headers}
    theirs = {path.name for path in checkpoint.folder.iterdir() if fnmatch(path.name, WEIGHTS)}
    if ours != theirs:
        raise UnusableBase(
            f"MLX reads {WEIGHTS} alone; the weights of {checkpoint.folder.name} do not lie in just these:"
            f" {quoted(', '.join(sorted(ours ^ theirs)))}.",
            REMEDY,
        )


@dataclass(frozen=True)
class Loaded:
    """A model of mlx-lm.

    Attributes:
        model: Its parameters are read from the files when they are first needed.
        ends: Tokens that end a text, by generation_config.json or else config.json.
    """

    model: Any
    ends: tuple[int, ...]

    def parameters(self) -> dict[str, Any]:
        """Return its parameters by name."""
        return dict(tree_flatten(self.model.parameters()))


def _load(folder: Path) -> Loaded:
    """Read the headers, and let the rest wait until it is needed.

    Raises:
        UnusableBase: mlx-lm does not know the architecture, or the files do not fill it.
    """
    try:
        with foreign(f"MLX cannot load {quoted(folder.name)}"):
            changes = _rotary(open_checkpoint(folder).config)
            model, config = load_model(folder, lazy=True, strict=True, model_config=changes, trust_remote_code=False)
    except Unfit as why:
        raise UnusableBase(f"{why}.", REMEDY) from None
    ends = config.get("eos_token_id")
    return Loaded(model, tuple(ends) if isinstance(ends, list) else () if ends is None else (ends,))


def _rotary(config: dict[str, Any]) -> dict[str, Any]:
    """Return what transformers 5 nests under `rope_parameters`, by the names that mlx-lm's older classes know.

    Its Qwen2 took its own default in place of a nested theta, and answered with other tokens.
    """
    nested = config.get("rope_parameters")
    if not isinstance(nested, dict) or any(isinstance(value, dict) for value in nested.values()):
        return {}
    known = {name: nested[name] for name in ("rope_theta", "partial_rotary_factor") if name in nested}
    if (kind := nested.get("rope_type", "default")) != "default":
        known["rope_scaling"] = nested | {"type": kind}
    return {name: value for name, value in known.items() if name not in config}


def _held(folder: Path) -> Loaded:
    """Read a whole model into memory of its own."""
    loaded = _load(folder)
    with _fitting(folder):
        mx.eval(loaded.model.parameters())
    return loaded


@contextmanager
def _fitting(folder: Path) -> Iterator[None]:
    """Say that a model could not be read into memory, or was changed meanwhile."""
    try:
        with steady(open_checkpoint(folder).stamps), foreign(f"MLX cannot hold {quoted(folder.name)}"):
            yield
    except Unfit as why:
        raise UnusableBase(f"{why}.", REMEDY) from None


class MlxExchanged:
    """One resident model that takes either side's weights.

    MLX gives every array new memory and cannot be told to reuse a place. So what differs is read anew for either side
    before each answer: where it comes to lie is drawn for each answer, and part of the spread that the interval knows.
    """

    def __init__(self, dense: Path, pruned: Path) -> None:
        self._folders = (dense, pruned)
        self._resident = _held(dense)
        self._names = _differing(self._resident.parameters(), _load(pruned).parameters())

    def take(self, side: int) -> Loaded:
        """Read the weights in which the sides differ: 0 dense, 1 pruned."""
        fresh = _load(self._folders[side]).parameters()
        self._resident.model.load_weights([(name, fresh.pop(name)) for name in self._names], strict=False)
        del fresh
        with _fitting(self._folders[side]):
            mx.eval(self._resident.model.parameters())
        return self._resident


def _differing(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    """Name what is not equal; of the second model one array is in memory at a time."""
    return [name for name, array in first.items() if not mx.array_equal(array, second.pop(name)).item()]


@contextmanager
def exchanged(dense: Path, pruned: Path, _: torch.device) -> Iterator[Take]:
    """Hold one model that reads either side's weights anew before each answer.

    Raises:
        UnusableBase: A model cannot be loaded or does not fit into memory.
    """
    yield MlxExchanged(dense, pruned).take
    _forget()


@contextmanager
def side_by_side(dense: Path, pruned: Path, _: torch.device) -> Iterator[Take]:
    """Hold both models.

    Raises:
        UnusableBase: A model cannot be loaded, or they do not fit into memory.
    """
    yield (_held(dense), _held(pruned)).__getitem__
    _forget()


def _forget() -> None:
    gc.collect()
    mx.clear_cache()


def answer(model: Loaded, prompter: PromptEncoder, text: str) -> TimedAnswer:
    """Time one greedy answer, token by token as mlx-lm generates them.

    A token is there once it is on the host; mlx-lm has begun with the next one by then, as it does for anybody.
    """
    mx.synchronize(generation_stream)
    start, marks, said = time.perf_counter(), [], []
    prompt = mx.array(prompter.encode([text])[0])
    never = [_never(model.ends)] if model.ends else None
    for token, _ in generate_step(prompt, model.model, max_tokens=NEW_TOKENS, logits_processors=never):
        marks.append(time.perf_counter())
        said.append(int(token))
    # What it began with beyond the last token must not run into the next answer.
    mx.synchronize(generation_stream)
    return TimedAnswer((marks[0] - start, marks[-1] - marks[0]), tuple(said))


def _never(ends: tuple[int, ...]) -> Any:
    """Let no text end early, as transformers does where a least number of tokens is asked for."""

    def processor(_: Any, logits: Any) -> Any:
        logits[:, mx.array(ends)] = -mx.inf
        return logits

    return processor


class MlxReader:
    """A model that is asked for log-probabilities, sequence by sequence; see `reader.ModelReader`."""

    def __init__(self, model: Any, folder: Path, device: torch.device, dtype: torch.dtype) -> None:
        self.module: Any = SimpleNamespace(config=read_config(folder))
        self.device, self.dtype = device, dtype
        self.in_trees: bool | None = False
        self._model = model

    def run(self, passes: Iterable[Pass], advance: Advance) -> Iterator[tuple[Pass, torch.Tensor]]:
        """Yield each pass with the logits at its `keep`, (k, V), in fp32."""
        for each in passes:
            yield each, torch.from_numpy(self._logits(each))
            advance(len(each.tokens))

    def _logits(self, each: Pass) -> Any:
        """Read up to the first position that is wanted without its logits, as mlx-lm reads a prompt, or all at once."""
        ids, cache = mx.array(each.tokens)[None], make_prompt_cache(self._model)
        first = 0 if each.alone else min(each.keep)
        if first:
            self._model(ids[:, :first], cache=cache)
            mx.eval([layer.state for layer in cache])
        logits = self._model(ids[:, first:], cache=cache)[0].astype(mx.float32)
        return np.array(logits[mx.array([position - first for position in each.keep])])


@contextmanager
def opened(folder: Path, device: torch.device, dtype: torch.dtype, _: Console) -> Iterator[MlxReader]:
    """Hold a model in memory, in a type of arithmetic.

    Raises:
        UnusableBase: mlx-lm cannot load it, or it does not fit.
    """
    needed, free = int(open_checkpoint(folder).parameters * dtype.itemsize * (1 + BESIDE_WEIGHTS)), place(device).free
    if free is not None and needed > free:
        raise UnusableBase(
            f"{folder.name} needs {needed / 1e9:.1f} GB of memory for MLX; {free / 1e9:.1f} GB are free.",
            "Use a larger machine, a smaller type with --eval-dtype bfloat16, or --bbq-engine transformers.",
        )
    model = _load(folder).model
    model.set_dtype(getattr(mx, name_of(dtype)))
    with _fitting(folder):
        mx.eval(model.parameters())
    try:
        yield MlxReader(model, folder, device, dtype)
    finally:
        del model
        _forget()
