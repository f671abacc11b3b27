"""A checkpoint folder: config.json and the safetensors files that belong to it."""

import fnmatch
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from release.checkpoint.header import Header, Tensor, read_header
from release.errors import UnusableBase

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
SIDE_FILES = (
    "generation_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "chat_template.*",
    "license*",
    "licence*",
    "notice*",
    "use_policy*",
)
"""What belongs to a model beside config, index and weights: no code, no card. Patterns, in lower case."""


@dataclass(frozen=True)
class Checkpoint:
    """A model on disk, known by its headers alone.

    Attributes:
        config: config.json as it stands.
        headers: One per weight file, by file name.
    """

    folder: Path
    config: dict[str, Any]
    headers: tuple[Header, ...]

    def tensors(self) -> Iterator[Tensor]:
        """All tensors, file by file, in the order of their bytes."""
        for header in self.headers:
            yield from header.tensors

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name → shape of every tensor."""
        return {t.name: t.shape for t in self.tensors()}

    @property
    def size(self) -> int:
        """Bytes of all weight files."""
        return sum(h.size for h in self.headers)

    @property
    def parameters(self) -> int:
        """All stored parameters."""
        return sum(t.numel for t in self.tensors())

    @property
    def architecture(self) -> str:
        """The class that config.json names, or its model type."""
        names = self.config.get("architectures") or [self.config.get("model_type", "unknown")]
        return str(names[0])


def is_side_file(name: str) -> bool:
    """Whether a file of the top folder belongs to the model beside config, index and weights."""
    return any(fnmatch.fnmatchcase(name.lower(), pattern) for pattern in SIDE_FILES)


def read_config(folder: Path) -> dict[str, Any]:
    """Read config.json.

    Raises:
        UnusableBase: There is none, it is no JSON object, or it describes a quantised model.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise UnusableBase(f"{folder.name}/ has no config.json.", "Give the folder that from_pretrained would load.")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UnusableBase(f"config.json is not JSON ({error}).", "Fetch or copy it again.") from None
    if not isinstance(config, dict):
        raise UnusableBase("config.json is not a JSON object.", "Fetch or copy it again.")
    refuse_quantised(config)
    return config


def refuse_quantised(config: dict[str, Any]) -> None:
    """Refuse packed weights: a zero in them is not a zero weight.

    Raises:
        UnusableBase: config.json has a `quantization_config`.
    """
    if quantisation := config.get("quantization_config"):
        kind = quantisation.get("quant_method", "unknown") if isinstance(quantisation, dict) else quantisation
        raise UnusableBase(
            f"This checkpoint is quantised ({kind}).",
            "Give the original checkpoint in float16, bfloat16 or float32; quantise after pruning.",
        )


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that belong to the model: those of the index, else the single file.

    Raises:
        UnusableBase: There are none, or the index names one that is missing.
    """
    index = folder / INDEX
    if index.is_file():
        return _indexed(folder, index)
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    others = sorted(p for p in folder.glob("*.safetensors") if not p.name.startswith("consolidated"))
    if len(others) == 1:
        return others
    found = "several safetensors files and no index" if others else "no safetensors files"
    raise UnusableBase(
        f"{folder.name}/ has {found}.",
        "Give a folder with model.safetensors, or with shards and model.safetensors.index.json; "
        "other formats can be converted with save_pretrained.",
    )


def _indexed(folder: Path, index: Path) -> list[Path]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise UnusableBase(f"{INDEX} cannot be read ({error!r}).", "Fetch or copy it again.") from None
    outside = [name for name in names if Path(str(name)).name != name]
    missing = [name for name in names if name not in outside and not (folder / name).is_file()]
    if outside or missing:
        wrong = (outside or missing)[0]
        raise UnusableBase(
            f"{INDEX} names {wrong}, which {'lies outside the folder' if outside else 'is missing'}.",
            "Fetch the missing file, or the whole checkpoint again.",
        )
    return [folder / name for name in names]


def open_checkpoint(folder: Path) -> Checkpoint:
    """Read config and headers of a checkpoint folder; loads no weights.

    Raises:
        UnusableBase: See `read_config`, `weight_files` and `read_header`; or a tensor stands in two files.
    """
    config = read_config(folder)
    headers = tuple(read_header(path) for path in weight_files(folder))
    _refuse_repeats(headers)
    return Checkpoint(folder, config, headers)


def _refuse_repeats(headers: tuple[Header, ...]) -> None:
    seen: dict[str, str] = {}
    for header in headers:
        for tensor in header.tensors:
            if tensor.name in seen:
                raise UnusableBase(
                    f"{tensor.name} stands in {seen[tensor.name]} and in {header.path.name}.",
                    "Fetch the checkpoint again.",
                )
            seen[tensor.name] = header.path.name
