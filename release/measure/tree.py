"""Prompts that begin alike, as trees in which every shared beginning stands once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass
class Tree:
    """Some prompts as one trie, flattened with parents before children.

    Attributes:
        tokens: Token of each node, (n,).
        parents: Index of each node's parent, (n,); −1 where a prompt begins.
        depths: Tokens in front of each node on its path, (n,): its position for the model.
        ends: Node at which each prompt ends, in the order of `prompts`.
        prompts: Which prompts these are.
    """

    tokens: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    prompts: list[int] = field(default_factory=list)

    def add(self, index: int, prompt: Sequence[int], path: list[int], shared: int) -> None:
        """Append a prompt that shares its first `shared` tokens with `path`, and turn `path` into its own."""
        del path[shared:]
        for depth in range(shared, len(prompt)):
            self.parents.append(path[-1] if path else -1)
            self.tokens.append(prompt[depth])
            self.depths.append(depth)
            path.append(len(self.tokens) - 1)
        self.ends.append(path[-1])
        self.prompts.append(index)

    def ancestry(self) -> NDArray[np.bool_]:
        """Return the (n, n) matrix that says for each node which nodes stand on its path, itself included."""
        seen = np.eye(len(self.tokens), dtype=np.bool_)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                seen[node] |= seen[parent]
        return seen


def plant(prompts: Sequence[Sequence[int]], budget: int) -> list[Tree]:
    """Put all prompts into trees of at most `budget` nodes, the largest tree first.

    In sorted order a prompt shares most with its neighbour, so one pass over it finds what can be shared. A prompt
    longer than the budget gets a tree of its own.
    """
    return sorted(_grow(prompts, budget), key=lambda tree: -len(tree.tokens))


def _grow(prompts: Sequence[Sequence[int]], budget: int) -> Iterator[Tree]:
    tree, path, before = Tree(), list[int](), list[int]()
    for index in sorted(range(len(prompts)), key=lambda i: list(prompts[i])):
        prompt = list(prompts[index])
        shared = _common(before, prompt)
        if tree.tokens and len(tree.tokens) + len(prompt) - shared > budget:
            yield tree
            tree, path, shared = Tree(), [], 0
        tree.add(index, prompt, path, shared)
        before = prompt
    if tree.tokens:
        yield tree


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Return the length of the common beginning."""
    limit = min(len(one), len(other))
    return next((i for i in range(limit) if one[i] != other[i]), limit)
