"""Which tensors of a checkpoint are prunable.

Prunable is every matrix that multiplies activations inside the blocks of the text decoder: attention, MLP and experts.
Embeddings, the LM head, norms, biases and the routers of mixtures of experts are not, nor is anything that lies
elsewhere: a vision tower, an encoder, blocks that predict further tokens. The set is found from the names and shapes
on disk and from config.json (`from_shapes`), and by itself from the model class (`classes.matrices`); where the two
differ, the run stops and names the difference.
"""

import re
from collections.abc import Iterator, Mapping
from math import prod
from typing import TYPE_CHECKING, Any

from release.checkpoint.decoder import BlockPlace, Shapes, decoder_blocks, place_of
from release.frozen import Frozen

if TYPE_CHECKING:
    from release.checkpoint.folder import Checkpoint

EXPERTS = re.compile(r"(?:^|[._])experts?(?:[._]|$)")
OTHERS = re.compile(
    r"(?:^|\.)(?:gate|router|gating|classifier|shared_expert_gate|moe_statics)(?:\.|$)"  # of a mixture of experts
    r"|embed|relative_attention_bias"
    r"|norm[^.]*(?:\.[^.]+)?$"  # a norm, or what it holds itself
)
CONVOLUTION = re.compile(r"conv[^.]*$")
"""What a matrix inside a block is beside a layer that multiplies activations."""


class LeftDense(Frozen):
    """Matrices that pruning leaves as they are: a vision tower, an encoder, blocks that predict further tokens, gates.

    Attributes:
        blocks: What their names begin with; a star stands for the number of a block.
        tensors: Matrices in it.
        parameters: Their weights.
    """

    blocks: str
    tensors: int
    parameters: int


def prunable(checkpoint: "Checkpoint") -> tuple[str, ...]:
    """Name the prunable tensors of a checkpoint, in name order; see `from_shapes`."""
    return from_shapes(checkpoint.shapes, checkpoint.config)


def from_shapes(shapes: Shapes, config: Mapping[str, Any]) -> tuple[str, ...]:
    """Name the prunable tensors, in name order.

    Args:
        shapes: Name → shape of every tensor on disk.
        config: The whole of config.json.

    Raises:
        UnusableBase: See `decoder_blocks`.
    """
    blocks, count = decoder_blocks(shapes, config)
    return tuple(sorted(name for name, place in _in_list(shapes, blocks) if place.number < count))


def left_dense(shapes: Shapes, config: Mapping[str, Any]) -> tuple[LeftDense, ...]:
    """Count what looks like a block and is none of the text decoder's, list by list, by name.

    Args:
        shapes: Name → shape of every tensor on disk.
        config: The whole of config.json.
    """
    blocks, count = decoder_blocks(shapes, config)
    sizes: dict[str, list[int]] = {}
    for name, shape in shapes.items():
        place = place_of(name)
        if place and (left := _left(place, shape, blocks, count)):
            sizes.setdefault(left, []).append(prod(shape))
    return tuple(
        LeftDense(blocks=name, tensors=len(found), parameters=sum(found)) for name, found in sorted(sizes.items())
    )


def _left(place: BlockPlace, shape: tuple[int, ...], blocks: str, count: int) -> str | None:
    """Under what name a tensor of a block is told to be left dense; None where it is not."""
    linear = is_matrix(place.rest, len(shape))
    if place.blocks != blocks:
        return place.blocks if linear and "." in place.rest else None
    if place.number >= count:
        return f"{blocks}.{place.number}" if linear else None
    other = len(shape) in (2, 3) and min(shape) > 1 and not (linear or _known(place.rest))
    return f"{blocks}.*.{place.rest}" if other else None


def _known(rest: str) -> bool:
    """Whether a tensor of a block is a router, a norm, a bias, an embedding or a convolution, by its name."""
    path, _, last = f".{rest}".rpartition(".")
    return last.endswith("bias") or bool(OTHERS.search(path) or CONVOLUTION.search(path))


def _in_list(shapes: Shapes, blocks: str) -> Iterator[tuple[str, BlockPlace]]:
    """The matrices that multiply activations in one list of blocks."""
    for name, shape in shapes.items():
        place = place_of(name)
        if place and place.blocks == blocks and is_matrix(place.rest, len(shape)):
            yield name, place


def is_matrix(rest: str, dimensions: int) -> bool:
    """Whether a tensor of a block multiplies activations, by its name inside the block."""
    path, _, last = f".{rest}".rpartition(".")
    if dimensions not in (2, 3) or last.endswith("bias") or OTHERS.search(path):
        return False
    if dimensions == 3 and CONVOLUTION.search(path):
        return False  # those of two dimensions are linear layers of a convolution's module
    return bool(EXPERTS.search(path)) or last == "weight"


def is_expert(name: str) -> bool:
    """Whether a tensor belongs to the experts of a mixture, by its name."""
    return bool(EXPERTS.search(name))


def module_of(name: str) -> str:
    """Name the kind of module a tensor belongs to, without the numbers of block and expert.

    `model.layers.3.block_sparse_moe.experts.7.w1.weight` → `block_sparse_moe.experts.w1`.
    """
    place = place_of(name)
    inside = place.rest if place else name
    return re.sub(r"\.\d+\.", ".", inside).removesuffix(".weight")


def block_of(name: str) -> int:
    """The number of the block a prunable tensor lies in."""
    place = place_of(name)
    if not place:
        raise ValueError(f"{name} lies in no block")
    return place.number
