"""A published mask: one bit per prunable weight, so that anyone with the base can make the pruned model.

`mask/pruned.safetensors` holds, under each prunable tensor's name, its zeros packed eight to a byte, the first weight
in the highest bit. It lies in a folder of its own because loaders take every safetensors file beside the weights for
weights.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from release.checkpoint.count import places, read_tensor
from release.checkpoint.disk import read_at, room_for
from release.checkpoint.folder import Checkpoint
from release.checkpoint.header import LENGTH_BYTES, Raw, Tensor, read_header
from release.checkpoint.prunable import prunable
from release.checkpoint.tally import packed
from release.errors import BadOption
from release.files import replacing
from release.names import MASK
from release.progress import Console
from release.pruning.recipe import Recipe
from release.pruning.store import clear


def require_enough(recipe: Recipe) -> None:
    """Refuse a mask for a method whose kept weights are not the base's.

    Raises:
        BadOption: The method updates them.
    """
    if recipe.row.updates_kept_weights:
        raise BadOption(
            f"{recipe.row.title} changes the weights it keeps; base and mask do not give them again.",
            "Leave --with-mask out.",
        )


def write(pruned: Checkpoint, model: Path, console: Console) -> None:
    """Write the mask of a pruned model folder, tensor by tensor."""
    known = places(pruned)
    names = prunable(pruned)
    header = header_of({name: known[name].tensor.numel for name in names})
    step = console.step("Write the mask", len(names), "tensors")
    with replacing(model / MASK) as temporary, temporary.open("wb") as file, step as advance:
        file.write(header)
        for name in names:
            place = known[name]
            file.write(packed(place.tensor, place.tensor.bits(read_tensor(place))).data)
            advance(1)


def size_of(numel: int) -> int:
    """Return the bytes that mark so many weights."""
    return -(-numel // 8)


def header_of(numbers: Mapping[str, int]) -> bytes:
    """Return the header of the mask of tensors of so many weights each."""
    entries, offset = {}, 0
    for name, numel in numbers.items():
        size = size_of(numel)
        entries[name] = {"dtype": "U8", "shape": [size], "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(LENGTH_BYTES, "little") + text


class PublishedMask:
    """The mask of a release, read tensor by tensor."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tensors = {tensor.name: tensor for tensor in read_header(path).tensors}

    @property
    def names(self) -> list[str]:
        """The tensors it marks."""
        return list(self._tensors)

    def apply(self, tensor: Tensor, data: Raw) -> None:
        """Set the marked weights of a dense tensor to +0.0, in place."""
        stored = self._tensors[tensor.name]
        marks = room_for(stored.nbytes)
        with self._path.open("rb") as file:
            read_at(file, stored.start, marks)
        clear(tensor, data, marks)


def published(model: Path) -> PublishedMask | None:
    """The mask that lies in a model folder, if any."""
    path = model / MASK
    return PublishedMask(path) if path.is_file() else None
