"""Where the blocks of a checkpoint's text decoder lie, told by the names and shapes on disk and by config.json alone.

A checkpoint may hold several lists of blocks: a vision tower, an encoder, blocks that predict further tokens. The
decoder's is the one that lies nearest to a matrix with a row for every token of the vocabulary: its embedding lies
beside it in the tree of names, those of the others do not. What it is called (`layers`, `h`, `blocks`) does not matter.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from release.errors import UnusableBase

Shapes = Mapping[str, tuple[int, ...]]

BLOCK = re.compile(r"(?P<list>[^0-9.][^.]*(?:\.[^0-9.][^.]*)*)\.(?P<number>[0-9]{1,6})\.(?P<rest>.+)")
"""A tensor's name: its list of blocks, the number of its block, of so many digits at most, and the rest."""
LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
TEXT = ("text_config", "llm_config", "language_config", "thinker_config")
"""Where config.json describes the language model of a larger one."""
REMEDY = "The checkpoint and its config.json do not belong together; fetch it again."


@dataclass(frozen=True)
class BlockPlace:
    """Where a tensor lies in a list of blocks.

    Attributes:
        blocks: The name of the list: `model.layers`.
        number: Of the block, from 0 on.
        rest: The tensor's name inside the block.
    """

    blocks: str
    number: int
    rest: str


def place_of(name: str) -> BlockPlace | None:
    """Split a tensor's name at its first number; None where it has none."""
    match = BLOCK.fullmatch(name)
    return BlockPlace(match["list"], int(match["number"]), match["rest"]) if match else None


def text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of config.json that describes the language model."""
    parts = (config.get(name) for name in TEXT)
    return next((text_config(part) for part in parts if isinstance(part, dict)), config)


def block_count(config: Mapping[str, Any]) -> int | None:
    """How many blocks the decoder has by config.json; None where it does not say."""
    return _stated(config, LAYERS)[1]


def _stated(config: Mapping[str, Any], names: tuple[str, ...]) -> tuple[str, int | None]:
    """The first of some fields that is a whole number."""
    fields = ((name, part.get(name)) for part in (text_config(config), config) for name in names)
    return next(((name, value) for name, value in fields if isinstance(value, int)), (names[0], None))


def lists_of(shapes: Shapes) -> dict[str, set[int]]:
    """Every list of blocks that holds a matrix → the numbers of its blocks; a list of bare matrices is none."""
    found: dict[str, set[int]] = {}
    for name, shape in shapes.items():
        place = place_of(name)
        if place and len(shape) > 1 and "." in place.rest:
            found.setdefault(place.blocks, set()).add(place.number)
    return found


def decoder_blocks(shapes: Shapes, config: Mapping[str, Any]) -> tuple[str, int]:
    """Name the list of the text decoder's blocks, and say how many of them the model has.

    Args:
        shapes: Name → shape of every tensor on disk.
        config: The whole of config.json.

    Raises:
        UnusableBase: There is none, it lacks blocks, or two lists may be meant.
    """
    whole = whole_lists(shapes, config)
    if not whole:
        raise UnusableBase(
            "No transformer block was found: no matrix is named `….layers.<n>.….weight` or in a like way.",
            "Give a causal language model as transformers writes it.",
        )
    embeddings = _embeddings(shapes, config)
    ranks = {name: (max((shared(name, each) for each in embeddings), default=0), -name.count(".")) for name in whole}
    nearest = sorted(name for name in whole if ranks[name] == max(ranks.values()))
    if len(nearest) > 1:
        raise UnusableBase(
            f"Either {nearest[0]} or {nearest[1]} may be the language model's blocks.",
            "Architectures that keep the parts of a block in several lists are not supported.",
        )
    return nearest[0], block_count(config) or 1 + max(whole[nearest[0]])


def whole_lists(shapes: Shapes, config: Mapping[str, Any]) -> dict[str, set[int]]:
    """The lists with as many blocks as config.json counts → the numbers of their blocks; none where there is no list.

    Raises:
        UnusableBase: The longest has fewer: names the first block that is missing.
    """
    lists, (field, count) = lists_of(shapes), _stated(config, LAYERS)
    whole = {name: numbers for name, numbers in lists.items() if _is_whole(numbers, count)}
    if count is not None and count < 1:
        raise UnusableBase(f"config.json: {field} is {count}.", REMEDY)
    if lists and not whole:
        name = max(lists, key=lambda each: (len(lists[each]), each))
        missing = next(number for number in range(1 + len(lists[name])) if number not in lists[name])
        said = f"config.json: {field} is {count:,}; the files" if count else "The files"
        raise UnusableBase(f"{said} hold no {name}.{missing}.", REMEDY)
    return whole


def _is_whole(numbers: set[int], count: int | None) -> bool:
    return numbers.issuperset(range(1 + max(numbers) if count is None else max(1, count)))


def _embeddings(shapes: Shapes, config: Mapping[str, Any]) -> list[str]:
    """Matrices outside any list with a row for every token; padded ones, or those with the most, where none has."""
    outside = {name: shape[0] for name, shape in shapes.items() if len(shape) == 2 and not place_of(name)}
    rows = _stated(config, ("vocab_size",))[1] or max(outside.values(), default=0)
    exact = [name for name, found in outside.items() if found == rows]
    return exact or [name for name, found in outside.items() if found > rows]


def shared(one: str, other: str) -> int:
    """How many components two names have in common from the left."""
    pairs = zip(one.split("."), other.split("."), strict=False)
    return next((index for index, (a, b) in enumerate(pairs) if a != b), min(one.count("."), other.count(".")) + 1)
