"""A checkpoint folder: config.json and the safetensors files that belong to it."""

import fnmatch
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from release import outside
from release.checkpoint.files import Files, Folder, content
from release.checkpoint.forms import refuse_other_form, refuse_packed, refuse_quantised
from release.checkpoint.header import Header, Tensor
from release.checkpoint.loading import INDEX, SINGLE, weight_map, weight_names
from release.checkpoint.steady import Stamp
from release.errors import UnusableBase
from release.files import require_inside

CONFIG = "config.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
SIDE_FILES = (
    *("generation_config.json", TOKENIZER_CONFIG, "special_tokens_map.json", "added_tokens.json"),
    *("tokenizer.json", "tokenizer.*.json", "tekken.json", "*.model", "*.model.v[0-9]*", "*.tiktoken", "*.spm"),
    *("vocab*.json", "vocab*.txt", "vocab.bpe", "*_vocab.json", "encoder.json", "merges*.txt", "bpe.codes", "dict.txt"),
    *("byte_maps.json", "emoji.json", "normalizer.json", "word_shape.json", "word_pronunciation.json", "*.tokenizer"),
    *("chat_template.jinja", "chat_template.json", "additional_chat_templates/*.jinja"),
    *("preprocessor_config.json", "processor_config.json", "image_processor_config.json"),
    *("video_preprocessor_config.json", "feature_extractor_config.json", "audio_tokenizer_config.json"),
    *("*license*", "*licence*", "licenses/*", "licences/*", "notice*", "*_notice*", "*-notice*", "*notices*"),
    *("copying*", "*copyright*", "unlicense*", "eula*", "*_eula*", "*-eula*", "terms*", "*terms_of*", "*terms-of*"),
    *("*use_policy*", "*use-policy*", "*acceptable_use*", "legal*", "patents*", "disclaimer*", "attribution*"),
)
"""What belongs to a model beside config, index and weights: no code, no card. Patterns, in lower case."""
LOADED = (
    *(".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".msgpack", ".h5", ".gguf", ".onnx"),
    *(".npy", ".npz", ".py", ".so", ".zip", ".tar", ".index.json"),
)
"""Endings of weights and code: a loader that looks for them asks for no name before them."""
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
    def stamps(self) -> dict[Path, Stamp]:
        """Of the weight files on this disk, what tells that they stayed as they were."""
        return {h.path: h.stamp for h in self.headers if h.stamp is not None}

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
        names = self.config.get("architectures")
        first = names[0] if isinstance(names, list) and names else self.config.get("model_type")
        return first if isinstance(first, str) and first else "unknown"


def is_side_file(name: str) -> bool:
    """Whether a file belongs to the model beside config, index and weights, by its path in the model's folder."""
    lower = name.lower()
    return not lower.endswith(LOADED) and any(matches(lower, pattern) for pattern in SIDE_FILES)


def matches(name: str, pattern: str) -> bool:
    """Whether a path follows a pattern, folder by folder: a star never reaches into another folder."""
    parts, patterns = name.split("/"), pattern.split("/")
    return len(parts) == len(patterns) and all(map(fnmatch.fnmatchcase, parts, patterns))


def read_config(folder: Path) -> dict[str, Any]:
    """Read config.json of a folder; see `config_of`."""
    return config_of(Folder(folder))


def config_of(files: Files) -> dict[str, Any]:
    """Read config.json.

    Raises:
        UnusableBase: There is none, it is no JSON object, or it describes a quantised model; or the folder holds a
            form that has no config.json.
    """
    if CONFIG not in files.sizes:
        if not {SINGLE, INDEX} & files.sizes.keys():
            refuse_other_form(files.name, files.sizes)
        raise UnusableBase(f"{files.name} has no config.json.", "Give the folder that from_pretrained would load.")
    config = settings_of(CONFIG, content(files, CONFIG))
    _require_named(config)
    refuse_quantised(config)
    return config


def settings_of(name: str, data: bytes) -> dict[str, Any]:
    """Read a file that holds a JSON object.

    Raises:
        UnusableBase: It holds something else.
    """
    try:
        return outside.json_object(data)
    except outside.Unfit as why:
        raise UnusableBase(f"{name} {why}.", "Fetch or copy it again.") from None


def _require_named(config: dict[str, Any]) -> None:
    """Refuse a config.json that names its architecture by anything but text.

    Raises:
        UnusableBase: Names the field.
    """
    kind, classes = config.get("model_type", ""), config.get("architectures")
    if not isinstance(kind, str):
        raise UnusableBase("config.json: model_type is no name.", "Fetch or copy it again.")
    if classes is not None and not (isinstance(classes, list) and all(isinstance(each, str) for each in classes)):
        raise UnusableBase("config.json: architectures is no list of names.", "Fetch or copy it again.")


def open_checkpoint(folder: Path) -> Checkpoint:
    """Read config and headers of a checkpoint folder; loads no weights. See `open_files`."""
    return open_files(Folder(folder), folder)


def open_files(files: Files, place: Path) -> Checkpoint:
    """Read config and headers of the model that from_pretrained would load, wherever its files lie; loads no weights.

    Args:
        place: The folder, or what stands for it in names.

    Raises:
        UnusableBase: See `config_of`, `loading.weight_names`, `Files.header` and `forms.refuse_packed`; or a tensor
            stands in two files, or elsewhere than the index says.
    """
    config = config_of(files)
    index = content(files, INDEX) if INDEX in files.sizes else None
    names = weight_names(files.name, files.sizes, config, index)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        headers = tuple(pool.map(files.header, names))
    _refuse_repeats(headers)
    refuse_packed(tensor.name for header in headers for tensor in header.tensors)
    if index is not None:
        _refuse_misplaced(headers, weight_map(index))
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


def _refuse_misplaced(headers: tuple[Header, ...], named: dict[str, str]) -> None:
    """Refuse an index that says otherwise than its shards.

    transformers reads every shard whatever the index says of its tensors; a loader that looks tensors up in it finds
    others, or none.
    """
    held = {tensor.name: header.path.name for header in headers for tensor in header.tensors}
    wrong = sorted(name for name in held.keys() | named.keys() if held.get(name) != named.get(name))
    if wrong:
        where, said = held.get(wrong[0], "no shard"), named.get(wrong[0], "no shard")
        raise UnusableBase(
            f"{INDEX} says {said} of {wrong[0]}, which lies in {where}.",
            "Fetch the checkpoint again, or write it anew with save_pretrained.",
        )


def model_folder(folder: Path) -> Path:
    """The model/ folder of a release, or the folder itself.

    Raises:
        UnusableBase: It is a link that leads out of the release: what is written there would change what is not its.
    """
    return require_inside(folder, "model") if (folder / "model").is_dir() else folder
