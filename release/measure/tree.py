"""Token sequences that begin alike, as trees in which every shared beginning stands once.

A tree goes through a model in one pass: each node attends to the nodes on its path (itself included) and carries its
depth as position, which mathematically is one pass per sequence. Nodes stand in preorder, so whatever a run of
neighbours attends to outside itself lies on the path of the first of them; attention is computed run by run, over
those few nodes instead of all.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RUN = 64
"""Nodes whose attention is computed together; fewer would leave the processor idle, more would look at more nodes."""


class Wanted(NamedTuple):
    """A token sequence of which the last positions are read.

    Attributes:
        tokens: Its ids.
        last: How many of its last positions are wanted, at least 1.
    """

    tokens: tuple[int, ...]
    last: int = 1


class Runs(NamedTuple):
    """Which nodes each run of nodes looks at.

    Attributes:
        nodes: Node numbers, (runs, width), padded with 0.
        seen: Whether a node of the run attends to it, (runs, RUN, width); padding attends to the first one only.
    """

    nodes: NDArray[np.int64]
    seen: NDArray[np.bool_]


@dataclass
class Tree:
    """Some sequences as one trie, flattened in preorder.

    Attributes:
        tokens: Token of each node, (n,).
        parents: Index of each node's parent, (n,); −1 where a sequence begins.
        depths: Tokens in front of each node on its path, (n,): its position for the model.
        wanted: The nodes that each sequence wants read, in order.
        sequences: Which sequences these are.
    """

    tokens: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    wanted: list[tuple[int, ...]] = field(default_factory=list)
    sequences: list[int] = field(default_factory=list)

    def add(self, index: int, sequence: Wanted, path: list[int], shared: int) -> None:
        """Append a sequence that shares its first `shared` tokens with `path`, and turn `path` into its own."""
        del path[shared:]
        for depth in range(shared, len(sequence.tokens)):
            self.parents.append(path[-1] if path else -1)
            self.tokens.append(sequence.tokens[depth])
            self.depths.append(depth)
            path.append(len(self.tokens) - 1)
        self.wanted.append(tuple(path[-sequence.last :]))
        self.sequences.append(index)

    @property
    def read(self) -> list[int]:
        """The nodes that are wanted at all, each once, in order."""
        return sorted({node for nodes in self.wanted for node in nodes})

    def ancestry(self) -> NDArray[np.bool_]:
        """Return the (n, n) matrix that says for each node which nodes stand on its path, itself included."""
        seen = np.eye(len(self.tokens), dtype=np.bool_)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                seen[node] |= seen[parent]
        return seen

    def runs(self) -> Runs:
        """Return what runs of `RUN` neighbouring nodes look at."""
        n, seen = len(self.tokens), self.ancestry()
        looked_at = [self._path(start) + list(range(start, min(n, start + RUN))) for start in range(0, n, RUN)]
        width = max(map(len, looked_at))
        nodes = np.zeros((len(looked_at), width), dtype=np.int64)
        mask = np.zeros((len(looked_at), RUN, width), dtype=np.bool_)
        for run, row in enumerate(looked_at):
            own, columns = np.arange(run * RUN, min(n, (run + 1) * RUN)), np.array(row)
            nodes[run, : len(row)] = row
            mask[run, : len(own), : len(row)] = seen[np.ix_(own, columns)]
            mask[run, len(own) :, 0] = True
        return Runs(nodes, mask)

    def _path(self, node: int) -> list[int]:
        """Return a node's ancestors, the farthest first."""
        path = []
        while (node := self.parents[node]) >= 0:
            path.append(node)
        return path[::-1]


def plant(sequences: Sequence[Wanted], budget: int, most_read: int) -> list[Tree]:
    """Put all sequences into trees, the largest tree first.

    In sorted order a sequence shares most with its neighbour, so one pass over it finds what can be shared.

    Args:
        sequences: What is to be read.
        budget: Nodes of a tree; a longer sequence gets a tree of its own.
        most_read: Nodes of a tree that may be read; a sequence that wants more gets a tree of its own.
    """
    return sorted(_grow(sequences, budget, most_read), key=lambda tree: -len(tree.tokens))


def _grow(sequences: Sequence[Wanted], budget: int, most_read: int) -> Iterator[Tree]:
    tree, path, reading = Tree(), list[int](), 0
    before: tuple[int, ...] = ()
    for index in sorted(range(len(sequences)), key=lambda i: sequences[i].tokens):
        sequence = sequences[index]
        shared = _common(before, sequence.tokens)
        full = len(tree.tokens) + len(sequence.tokens) - shared > budget or reading + sequence.last > most_read
        if tree.tokens and full:
            yield tree
            tree, path, shared, reading = Tree(), [], 0, 0
        tree.add(index, sequence, path, shared)
        before, reading = sequence.tokens, reading + sequence.last
    if tree.tokens:
        yield tree


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Return the length of the common beginning."""
    limit = min(len(one), len(other))
    return next((i for i in range(limit) if one[i] != other[i]), limit)
