"""A model to be read: whole in memory, or block by block from its files where it is larger than that.

Both run the same passes and give the same logits; whoever measures does not see which one it is.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch

from release.checkpoint.folder import open_checkpoint
from release.models.ahead import Ahead
from release.models.blocks import BlockModel, Call, output_in_full
from release.models.device import memory_free
from release.models.layers import PassMeter, told_by_layer
from release.models.load import fits, loaded
from release.models.tree import Tree
from release.models.tree_attention import InRuns, Runs, runs, whole_bias
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

    def ready(self, device: torch.device, dtype: torch.dtype) -> "Ready":
        """Return what a decoder is called with, on its device; only vectors are copied there."""
        arguments = {"input_ids": torch.tensor([self.tokens], device=device)}
        keep = torch.tensor(self.keep, device=device)
        if self.tree is None:
            return Ready(arguments, keep, None)
        arguments["attention_mask"] = whole_bias(self.tree, device, dtype)
        arguments["position_ids"] = torch.tensor([self.tree.depths], device=device)
        return Ready(arguments, keep, runs(self.tree, device, dtype))


class Ready(NamedTuple):
    """A pass, ready for a device.

    Attributes:
        arguments: Of the decoder's `forward`.
        keep: The positions whose logits are wanted, (k,).
        runs: How a tree's attention is computed; None for a plain sequence.
    """

    arguments: Arguments
    keep: torch.Tensor
    runs: Runs | None

    def attention(self) -> AbstractContextManager[object]:
        """Return under what the pass runs: a plain sequence under nothing."""
        return nullcontext() if self.runs is None else InRuns(self.arguments["input_ids"].shape[1], self.runs)

    def nbytes(self) -> int:
        """Bytes held between two blocks; the decoder may hold what it is given in another form, too."""
        given = sum(tensor.nbytes for tensor in self.arguments.values())
        return 2 * given + sum(tensor.nbytes for tensor in self.runs or ())


class ModelReader(Protocol):
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
            advance: Is told the tokens done, in parts of a pass where a pass has layers.
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
        """Run pass by pass; see `ModelReader`."""
        meter = PassMeter(advance)
        with told_by_layer(self.module, meter.layer):
            for each, ready in made_ready(passes, self.device, self.dtype):
                meter.begins(len(each.tokens))
                with ready.attention():
                    found = self.module(**ready.arguments, logits_to_keep=ready.keep, use_cache=False)
                yield each, found.logits[0].float()
                meter.ends()


def made_ready(passes: Iterable[Pass], device: torch.device, dtype: torch.dtype) -> Iterator[tuple[Pass, Ready]]:
    """Yield each pass, ready for the device; the next is made so while the device is busy with this one."""

    @torch.inference_mode()
    def work(each: Pass) -> tuple[Pass, Ready]:
        return each, each.ready(device, dtype)

    with Ahead(device) as ahead:
        yield from ahead.each(work, passes)


@dataclass
class _Entered:
    """A pass between two blocks."""

    of: Pass
    ready: Ready
    calls: list[Call]
    hidden: torch.Tensor

    def nbytes(self) -> int:
        """Bytes held for it."""
        return self.hidden.nbytes + self.ready.nbytes()


class Blockwise:
    """A model of which one block at a time is in memory; all passes go through a block before the next is loaded."""

    def __init__(self, blocks: BlockModel, device: torch.device, dtype: torch.dtype) -> None:
        self.module = blocks.module
        self.device, self.dtype = device, dtype
        self.in_trees: bool | None = None
        self._blocks = blocks

    @torch.inference_mode()
    def run(self, passes: Iterable[Pass], advance: Advance) -> Iterator[tuple[Pass, torch.Tensor]]:
        """Run as many passes at a time as their activations fit into memory; see `ModelReader`."""
        held: list[_Entered] = []
        room = left = max(LEAST, int(ROOM * (memory_free(self.device) or 0)))
        for each, ready in made_ready(passes, self.device, self.dtype):
            hidden, calls = self._blocks.enter(ready.arguments)
            held.append(_Entered(each, ready, calls, hidden))
            left -= held[-1].nbytes()
            if left <= 0:
                yield from self._sweep(held, advance)
                left = room
        yield from self._sweep(held, advance)

    def _sweep(self, held: list[_Entered], advance: Advance) -> Iterator[tuple[Pass, torch.Tensor]]:
        """Take what is held through all blocks, and let go of it."""
        for index in range(self._blocks.count if held else 0):
            with self._blocks.opened(index) as block:
                for one in held:
                    with one.ready.attention():
                        one.hidden = block.step(one.hidden, one.calls[index])
                    advance(len(one.of.tokens) / self._blocks.count)
        while held:
            one = held.pop(0)
            logits = self._blocks.leave(one.ready.arguments | {"logits_to_keep": one.ready.keep}, one.hidden)
            yield one.of, logits[0]


@contextmanager
def opened(folder: Path, device: torch.device, dtype: torch.dtype, console: Console) -> Iterator[ModelReader]:
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
