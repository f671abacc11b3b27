"""A checkpoint folder: config.json and the safetensors files that belong to it."""

import fnmatch
import json
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from release.checkpoint.files import Files, Folder, content
from release.checkpoint.header import Header, Tensor
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
AT_ONCE = 8
"""Headers that are asked for at the same time, where each takes a way over the network."""


@dataclass(frozen=True)
class Checkpoint:
    """A model known by its headers alone.

    Attributes:
        folder: Where it lies; only a name where the files lie elsewhere, as the headers' paths are then.
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
    """Read config.json of a folder; see `config_of`."""
    return config_of(Folder(folder))


def config_of(files: Files) -> dict[str, Any]:
    """Read config.json.

    Raises:
        UnusableBase: There is none, it is no JSON object, or it describes a quantised model.
    """
    if CONFIG not in files.sizes:
        raise UnusableBase(f"{files.name} has no config.json.", "Give the folder that from_pretrained would load.")
    try:
        config = json.loads(content(files, CONFIG))
    except (ValueError, RecursionError) as error:
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


def weight_names(files: Files) -> list[str]:
    """The safetensors files that belong to the model: those of the index, else the single file.

    Raises:
        UnusableBase: There are none, or the index names one that is missing.
    """
    if INDEX in files.sizes:
        return _indexed(files.sizes, content(files, INDEX))
    if SINGLE in files.sizes:
        return [SINGLE]
    top = [name for name in files.sizes if name.endswith(".safetensors") and "/" not in name]
    others = [name for name in top if not name.startswith("consolidated")]
    if len(others) == 1:
        return others
    found = "several safetensors files and no index" if others else "no safetensors files"
    raise UnusableBase(
        f"{files.name} has {found}.",
        "Give a folder with model.safetensors, or with shards and model.safetensors.index.json; "
        "other formats can be converted with save_pretrained.",
    )


def _indexed(present: Collection[str], index: bytes) -> list[str]:
    try:
        names = sorted(set(json.loads(index)["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise UnusableBase(f"{INDEX} cannot be read ({error!r}).", "Fetch or copy it again.") from None
    outside = [name for name in names if Path(str(name)).name != name]
    missing = [name for name in names if name not in outside and name not in present]
    if outside or missing:
        wrong = (outside or missing)[0]
        raise UnusableBase(
            f"{INDEX} names {wrong}, which {'lies outside the folder' if outside else 'is missing'}.",
            "Fetch the missing file, or the whole checkpoint again.",
        )
    return names


def open_checkpoint(folder: Path) -> Checkpoint:
    """Read config and headers of a checkpoint folder; loads no weights. See `open_files`."""
    return open_files(Folder(folder), folder)


def open_files(files: Files, place: Path) -> Checkpoint:
    """Read config and headers of a model, wherever its files lie; loads no weights.

    Args:
        place: The folder, or what stands for it in names.

    Raises:
        UnusableBase: See `config_of`, `weight_names` and `Files.header`; or a tensor stands in two files.
    """
    config = config_of(files)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        headers = tuple(pool.map(files.header, weight_names(files)))
    _refuse_repeats(headers)
    return Checkpoint(place, config, headers)


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


def model_folder(folder: Path) -> Path:
    """The model/ folder of a release, or the folder itself."""
    return folder / "model" if (folder / "model").is_dir() else folder
