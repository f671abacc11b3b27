"""Log-probabilities at wanted positions of many token sequences, with shared beginnings computed once.

One forward pass takes a whole tree of sequences (see `tree`). Mathematically that is one pass per sequence; reading
them alone is that pass, and trees are trusted only where they agreed with it on this very model.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import torch

from release.models.reader import ModelReader, Pass
from release.models.tree import Query, Tree, plant
from release.progress import Advance

Read = tuple[int, torch.Tensor]
"""A sequence's number and the log-probabilities after its wanted positions, over the whole vocabulary, (last, V)."""

NODES = {"cpu": 2048, "cuda": 8192}
"""Nodes of a tree: on two cores more gains nothing; a GPU wants more work at once."""
LOGITS = 64 << 20
"""Logits of one pass at most: a quarter of a GiB."""
TOLERANCE = {torch.float32: 1e-3, torch.float16: 0.25, torch.bfloat16: 1.0}
"""Largest difference between log-probabilities of a tree and of single sequences that is rounding; a wrong mask
changes them by several units."""
PROBE = 24
"""Tokens of a sequence that it is tried on."""


@torch.inference_mode()
def read(
    reader: ModelReader,
    sequences: Sequence[Query],
    advance: Advance,
    alone: bool = False,
    needed: Collection[int] | None = None,
) -> Iterator[Read]:
    """Yield the log-probabilities of every sequence, in an order of this module's choice.

    Args:
        reader: A model.
        sequences: What is wanted of it, no two alike.
        advance: Is told the share of the work done, 0 to 1 in all.
        alone: Read every sequence in a pass of its own.
        needed: Numbers of those that must be read; passes without any are left out, and no other changes by that.
    """
    passes = singles(sequences, alone) if alone or not takes_trees(reader, sequences) else trees(reader, sequences)
    if needed is not None:
        passes = [(each, members) for each, members in passes if any(index in needed for index, _ in members)]
    whole = sum(len(each.tokens) for each, _ in passes)
    found = reader.run((each for each, _ in passes), lambda tokens: advance(tokens / whole))
    for (each, members), (_, logits) in zip(passes, found, strict=True):
        place = {node: row for row, node in enumerate(each.keep)}
        logits -= logits.logsumexp(dim=-1, keepdim=True)
        for index, nodes in members:
            yield index, logits[[place[node] for node in nodes]]


Planned = list[tuple[Pass, list[tuple[int, tuple[int, ...]]]]]
"""Passes, each with the sequences in it and their wanted positions."""


def singles(sequences: Sequence[Query], alone: bool = False) -> Planned:
    """Plan one pass per sequence; `alone` says that it was asked for, see `Pass`."""
    planned = []
    for index, sequence in enumerate(sequences):
        size = len(sequence.tokens)
        nodes = tuple(range(size - sequence.last, size))
        planned.append((Pass(list(sequence.tokens), list(nodes), alone=alone), [(index, nodes)]))
    return planned


def trees(reader: ModelReader, sequences: Sequence[Query]) -> Planned:
    """Plan one pass per tree."""
    vocabulary = reader.module.config.get_text_config().vocab_size
    planted = plant(sequences, NODES.get(reader.device.type, NODES["cpu"]), max(1, LOGITS // vocabulary))
    return [(_pass(tree), list(zip(tree.sequences, tree.wanted, strict=True))) for tree in planted]


def _pass(tree: Tree) -> Pass:
    """Plan a tree's pass; one that never branches is a plain sequence, for which no mask has to be looked at.

    Windows of 2,048 tokens, each a tree of its own, took two and a half times as long as trees.
    """
    return Pass(tree.tokens, tree.read, tree if tree.branches else None)


def takes_trees(reader: ModelReader, sequences: Sequence[Query]) -> bool:
    """Tell whether this model reads these sequences in a tree as it reads them alone.

    A sequence beyond a sliding window (or beyond the length where rotary embeddings change) would see more in a tree
    than alone. Whether the architecture takes a tree's mask at all is tried on a few short sequences, in one run.
    """
    if max(len(sequence.tokens) for sequence in sequences) > _reach(reader.module.config):
        return False
    if reader.in_trees is None:
        reader.in_trees = _tried(reader, probes(sequences[0].tokens))
    return reader.in_trees


def probes(tokens: tuple[int, ...]) -> list[Query]:
    """Make a few short sequences that share beginnings: what a mask does shows in them, and they cost little."""
    start, half = tokens[:PROBE], tokens[: PROBE // 2]
    return [Query(start), Query((*half, *half)), Query((*half, *start[::-1])), Query(half)]


def _tried(reader: ModelReader, asked: Sequence[Query]) -> bool:
    """Read the same sequences in a tree and alone."""
    planned = trees(reader, asked) + singles(asked)
    try:
        results = [logits for _, logits in reader.run((each for each, _ in planned), lambda _: None)]
    except (TypeError, ValueError, RuntimeError, NotImplementedError):
        return False
    return _agree(len(asked), planned, results, TOLERANCE[reader.dtype])


def _agree(count: int, planned: Planned, results: list[torch.Tensor], tolerance: float) -> bool:
    """Whether all readings of a sequence are alike; a model may well give NaN each time."""
    found: list[list[torch.Tensor]] = [[] for _ in range(count)]
    for (each, members), logits in zip(planned, results, strict=True):
        for index, nodes in members:
            rows = logits[[each.keep.index(node) for node in nodes]]
            found[index].append(torch.log_softmax(rows, dim=-1))
    return all(torch.allclose(one, other, rtol=0, atol=tolerance, equal_nan=True) for one, other in found)


def _reach(config: Any) -> float:
    """Return the length up to which a sequence is read alike, whatever stands beside it."""
    text = config.get_text_config()
    limits = ("sliding_window", "attention_chunk_size", "original_max_position_embeddings")
    values = [getattr(text, name, None) for name in limits]
    return min((value for value in values if isinstance(value, int)), default=float("inf"))
