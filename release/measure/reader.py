"""A model to be read: whole in memory, or block by block from its files where it is larger than that.

Both run the same passes and give the same logits; whoever measures does not see which one it is.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch.overrides import TorchFunctionMode

from release.checkpoint.blocks import BlockModel, Call, output_in_full
from release.checkpoint.folder import open_checkpoint
from release.device import memory_free
from release.measure.model import fits, loaded
from release.measure.tree import Tree
from release.progress import Advance, Console

ROOM = 0.4
"""Share of the free memory that activations may take when a model is read block by block."""
LEAST = 256 << 20
"""Bytes of activations worth a sweep over the files, whatever is free."""

Arguments = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Pass:
    """One forward pass over one sequence, or over a tree of them.

    Attributes:
        tokens: Token ids, (n,).
        keep: The positions whose logits are wanted, in order.
        tree: The tree that the tokens are; None for a plain sequence.
        alone: Whether a plain sequence is read in one go, whatever would be faster: mathematically the same, and what
            rounding does shows beside it.
    """

    tokens: list[int]
    keep: list[int]
    tree: Tree | None = None
    alone: bool = False

    def arguments(self, device: torch.device, dtype: torch.dtype) -> Arguments:
        """Return what a decoder is called with."""
        ids = {"input_ids": torch.tensor([self.tokens], device=device)}
        if self.tree is None:
            return ids
        mask = torch.zeros(1, 1, len(self.tokens), len(self.tokens), dtype=dtype, device=device)
        mask.masked_fill_(~torch.from_numpy(self.tree.ancestry()).to(device), torch.finfo(dtype).min)
        return ids | {"attention_mask": mask, "position_ids": torch.tensor([self.tree.depths], device=device)}


class Reader(Protocol):
    """A model that can be asked for logits.

    Attributes:
        module: The model class, for its configuration and for hooks on its layers.
        device: Where the arithmetic happens.
        dtype: Its type; logits are computed in fp32 from the last hidden states in any case.
        in_trees: Whether trees were found to read as single sequences do; None where it was not tried yet.
    """

    module: Any
    device: torch.device
    dtype: torch.dtype
    in_trees: bool | None

    def run(self, passes: Iterable[Pass], advance: Advance) -> Iterator[tuple[Pass, torch.Tensor]]:
        """Yield each pass with the logits at its `keep`, (k, V), in fp32.

        Args:
            passes: In the order in which they are done.
            advance: Is told the tokens done.
        """
        ...


class Resident:
    """A model that lies in memory."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.device: torch.device = module.device
        self.dtype: torch.dtype = module.dtype
        self.in_trees: bool | None = None
        output_in_full(module)

    @torch.inference_mode()
    def run(self, passes: Iterable[Pass], advance: Advance) -> Iterator[tuple[Pass, torch.Tensor]]:
        """Run pass by pass; see `Reader`."""
        for each in passes:
            arguments = each.arguments(self.device, self.dtype)
            with _attention(each, self.device, self.dtype):
                keep = torch.tensor(each.keep, device=self.device)
                found = self.module(**arguments, logits_to_keep=keep, use_cache=False)
            yield each, found.logits[0].float()
            advance(len(each.tokens))


@dataclass
class _Entered:
    """A pass between two blocks."""

    of: Pass
    arguments: Arguments
    attention: AbstractContextManager[object]
    calls: list[Call]
    hidden: torch.Tensor

    def nbytes(self) -> int:
        """Bytes held for it."""
        return self.hidden.nbytes + 2 * sum(tensor.nbytes for tensor in self.arguments.values())


class Blockwise:
    """A model of which one block at a time is in memory; all passes go through a block before the next is loaded."""

    def __init__(self, blocks: BlockModel, device: torch.device, dtype: torch.dtype) -> None:
        self.module = blocks.module
        self.device, self.dtype = device, dtype
        self.in_trees: bool | None = None
        self._blocks = blocks

    @torch.inference_mode()
    def run(self, passes: Iterable[Pass], advance: Advance) -> Iterator[tuple[Pass, torch.Tensor]]:
        """Run as many passes at a time as their activations fit into memory; see `Reader`."""
        held: list[_Entered] = []
        room = left = max(LEAST, int(ROOM * (memory_free(self.device) or 0)))
        for each in passes:
            held.append(self._enter(each))
            left -= held[-1].nbytes()
            if left <= 0:
                yield from self._sweep(held, advance)
                left = room
        yield from self._sweep(held, advance)

    def _enter(self, each: Pass) -> _Entered:
        arguments = each.arguments(self.device, self.dtype)
        hidden, calls = self._blocks.enter(arguments)
        return _Entered(each, arguments, _attention(each, self.device, self.dtype), calls, hidden)

    def _sweep(self, held: list[_Entered], advance: Advance) -> Iterator[tuple[Pass, torch.Tensor]]:
        """Take what is held through all blocks, and let go of it."""
        for index in range(self._blocks.count if held else 0):
            with self._blocks.opened(index) as block:
                for one in held:
                    with one.attention:
                        one.hidden = block.step(one.hidden, one.calls[index])
                    advance(len(one.of.tokens) / self._blocks.count)
        while held:
            one = held.pop(0)
            keep = torch.tensor(one.of.keep, device=self.device)
            logits = self._blocks.leave(one.arguments | {"logits_to_keep": keep}, one.hidden)
            yield one.of, logits[0]


@contextmanager
def opened(folder: Path, device: torch.device, dtype: torch.dtype, console: Console) -> Iterator[Reader]:
    """Hold a model ready: in memory where it fits, else block by block.

    Raises:
        UnusableBase: Its files do not fill the architecture, or it does not fit and has no blocks to take one by one.
    """
    if fits(folder, device, dtype):
        with loaded(folder, device, dtype) as module:
            yield Resident(module)
    else:
        console.say(f"{folder.name} does not fit into memory as {name_of(dtype)}; it is read block by block from disk.")
        with BlockModel(open_checkpoint(folder), device, dtype) as blocks:
            yield Blockwise(blocks, device, dtype)


def name_of(dtype: torch.dtype) -> str:
    """Return what a type is called: `float32`, `bfloat16`."""
    return str(dtype).removeprefix("torch.")


class _InRuns(TorchFunctionMode):
    """Attention of a tree, computed run by run: every run of nodes against the few that it looks at.

    It stands in for `scaled_dot_product_attention` while a tree goes through a model; a class that computes attention
    by itself gets the whole mask, which says the same.
    """

    def __init__(self, tree: Tree, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__()
        self._count = len(tree.tokens)
        nodes, seen = (torch.from_numpy(array).to(device) for array in tree.runs())
        self._nodes = nodes
        self._mask = torch.zeros(seen.shape, dtype=dtype, device=device).unsqueeze(1)
        self._mask.masked_fill_(~seen.unsqueeze(1), torch.finfo(dtype).min)

    def __torch_function__(self, function: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function is torch.nn.functional.scaled_dot_product_attention and args[0].shape[-2] == self._count:
            return self._attend(*args, **{name: value for name, value in kwargs.items() if name != "attn_mask"})
        return function(*args, **kwargs)

    def _attend(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        **others: Any,
    ) -> torch.Tensor:
        """Args: as scaled_dot_product_attention has them, (1, heads, n, size); the mask is this tree's own."""
        runs, length = self._mask.shape[0], self._mask.shape[2]
        padded = torch.nn.functional.pad(query[0], (0, 0, 0, runs * length - self._count))
        found = torch.nn.functional.scaled_dot_product_attention(
            padded.view(-1, runs, length, query.shape[-1]).transpose(0, 1),
            key[0][:, self._nodes].transpose(0, 1),
            value[0][:, self._nodes].transpose(0, 1),
            attn_mask=self._mask,
            **others,
        )
        return found.transpose(0, 1).flatten(1, 2)[None, :, : self._count]


def _attention(each: Pass, device: torch.device, dtype: torch.dtype) -> AbstractContextManager[object]:
    """Return under what a pass runs: a plain sequence under nothing."""
    return nullcontext() if each.tree is None else _InRuns(each.tree, device, dtype)
