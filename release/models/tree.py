"""Token sequences that begin alike, as trees in which every shared beginning stands once.

A tree goes through a model in one pass: each node attends to the nodes on its path (itself included) and carries its
depth as position, which mathematically is one pass per sequence. Nodes stand in preorder, so whatever a run of
neighbours attends to outside itself lies on the path of the first of them; attention is computed run by run, over
those few nodes instead of all.
"""

import sys
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RUN = 64
"""Nodes whose attention is computed together; fewer would leave the processor idle, more would look at more nodes."""


class Query(NamedTuple):
    """A token sequence of which the last positions are read.

    Attributes:
        tokens: Its ids.
        last: How many of its last positions are wanted, at least 1.
    """

    tokens: tuple[int, ...]
    last: int = 1


OPEN = sys.maxsize
"""Stands for the end of a node whose descendants may still be added."""


@dataclass
class Tree:
    """Some sequences as one trie, flattened in preorder; sequences that share nothing stand beside each other.

    Attributes:
        tokens: Token of each node, (n,).
        depths: Tokens in front of each node on its path, (n,): its position for the model.
        wanted: The nodes that each sequence wants read, in order.
        sequences: Which sequences these are.
    """

    tokens: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    wanted: list[tuple[int, ...]] = field(default_factory=list)
    sequences: list[int] = field(default_factory=list)
    _ends: list[int] = field(default_factory=list)

    def add(self, index: int, sequence: Query, path: list[int], shared: int) -> None:
        """Append a sequence that shares its first `shared` tokens with `path`, and turn `path` into its own."""
        first = len(self.tokens)
        for node in path[shared:]:
            self._ends[node] = first
        new = sequence.tokens[shared:]
        path[shared:] = range(first, first + len(new))
        self.tokens += new
        self.depths += range(shared, len(sequence.tokens))
        self._ends += [OPEN] * len(new)
        self.wanted.append(tuple(path[-sequence.last :]))
        self.sequences.append(index)

    @property
    def read(self) -> list[int]:
        """The nodes that are wanted at all, each once, in order."""
        return sorted({node for nodes in self.wanted for node in nodes})

    @property
    def branches(self) -> bool:
        """Whether its nodes are more than one path."""
        return self.depths != list(range(len(self.tokens)))

    def ends(self) -> NDArray[np.int64]:
        """Return for each node the first one behind its descendants, (n,): node i attends to j where j ≤ i < end[j]."""
        return np.minimum(np.array(self._ends, dtype=np.int64), len(self.tokens))

    def looked_at(self) -> NDArray[np.int64]:
        """Return the nodes that each run of `RUN` neighbours looks at, (runs, width), padded with n."""
        n, ends = len(self.tokens), self.ends()
        # What lies on the path of a run's first node ends behind it.
        rows = [np.r_[np.flatnonzero(ends[:at] > at), at : min(n, at + RUN)] for at in range(0, n, RUN)]
        nodes = np.full((len(rows), max(map(len, rows))), n, dtype=np.int64)
        for run, row in enumerate(rows):
            nodes[run, : len(row)] = row
        return nodes


def plant(sequences: Sequence[Query], budget: int, most_read: int) -> list[Tree]:
    """Put all sequences into trees, the largest tree first.

    In sorted order a sequence shares most with its neighbour, so one pass over it finds what can be shared.

    Args:
        sequences: What is to be read.
        budget: Nodes of a tree; a longer sequence gets a tree of its own.
        most_read: Nodes of a tree that may be read; a sequence that wants more gets a tree of its own.
    """
    return sorted(_grow(sequences, budget, most_read), key=lambda tree: -len(tree.tokens))


def _grow(sequences: Sequence[Query], budget: int, most_read: int) -> Iterator[Tree]:
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
    """Return the length of the common beginning; whole slices are compared, which is faster than token by token."""
    limit = min(len(one), len(other))
    return bisect_left(range(limit), True, key=lambda place: one[: place + 1] != other[: place + 1])
