"""Prune by calibration: block after block, each on what the pruned blocks before it give.

Every block is read from disk, run once dense to see what its weights are multiplied with, pruned, and run again to
give the next block its inputs. Memory holds one block and the activations of the calibration text.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from release.checkpoint.count import Place, places, read_tensor
from release.checkpoint.folder import Checkpoint
from release.checkpoint.header import Raw, Tensor
from release.checkpoint.rewrite import in_order
from release.errors import UnusableBase
from release.format import count, seconds
from release.models.activations import ActivationStats
from release.models.blocks import Block, BlockModel
from release.models.device import fallbacks_told
from release.progress import Advance, Console
from release.pruning.budget import Budgets, uniform
from release.pruning.method import PrunedTensor
from release.pruning.owl import outlier_share, owl_budgets
from release.pruning.prune_tensor import prune_one, require_finite
from release.pruning.recipe import Recipe
from release.pruning.store import BlockStore

TOKENS = 4096
"""Tokens that go through a block at a time, at least one window."""


@dataclass(frozen=True)
class Calibrator:
    """One calibrated pruning run.

    Attributes:
        ids: Token ids of the calibration text, [windows, length].
        store: Keeps finished blocks.
        threads: Workers that choose masks.
    """

    base: Checkpoint
    recipe: Recipe
    ids: NDArray[np.int32]
    store: BlockStore
    device: torch.device
    threads: int

    def run(self, console: Console) -> Budgets:
        """Prune every block into the store, and return what each tensor owes.

        Raises:
            UnusableBase: A weight was never reached in calibration, and the recipe does not say what to do then.
        """
        with fallbacks_told(self.device, console), BlockModel(self.base, self.device) as model:
            budgets = self._budgets(model, console)
            if all(map(self.store.has, range(model.count))):
                return budgets
            with console.step("Calibrate and prune", model.count, "blocks") as advance:
                self._prune(model, budgets, advance, console)
        return budgets

    def _budgets(self, model: BlockModel, console: Console) -> Budgets:
        blocks = [self._sizes(model, index) for index in range(model.count)]
        if self.recipe.allocation == "uniform":
            return uniform({name: size for block in blocks for name, size in block.items()}, self.recipe.sparsity)
        shares = self.store.outliers()
        if shares is None:
            with console.step("Look for outliers", model.count, "blocks") as advance:
                shares = list(self._outliers(model, advance))
            self.store.keep_outliers(shares)
        return owl_budgets(blocks, shares, self.recipe.sparsity)

    def _sizes(self, model: BlockModel, index: int) -> dict[str, int]:
        return {name: self._places[name].tensor.numel for name in model.names(index)}

    @cached_property
    def _places(self) -> Mapping[str, Place]:
        return places(self.base)

    def _outliers(self, model: BlockModel, advance: Advance) -> Iterator[float]:
        """Each dense block's share of outliers."""
        hidden = self._start(model)
        for index in range(model.count):
            with model.opened(index) as block:
                seen = block.watched(_told(hidden, advance))
                yield outlier_share([self._subject(block, name, seen[name]) for name in block.names])
                _forward(block, hidden, advance)

    def _prune(self, model: BlockModel, budgets: Budgets, advance: Advance, console: Console) -> None:
        hidden, new = self._start(model), [index for index in range(model.count) if not self.store.has(index)]
        for index in range(model.count):
            started = time.perf_counter()
            with model.opened(index) as block:
                if index in new:
                    self._calibrate(block, index, budgets, _told(hidden, advance))
                else:
                    advance(0.5)
                self._replace(block, index)
                if index + 1 < model.count:
                    _forward(block, hidden, advance)
                else:
                    advance(0.5)
            if index == new[0] and new[1:]:
                console.say(_forecast(time.perf_counter() - started, len(new) - 1, *self.ids.shape))

    def _calibrate(self, block: Block, index: int, budgets: Budgets, hidden: Iterable[torch.Tensor]) -> None:
        """Prune one block into the store."""
        self._require_finite(block)
        seen = block.watched(hidden, gram=self.recipe.row.needs == "gram")
        unreached = [name for name, inputs in seen.items() if not inputs.tokens.all()]
        self.store.write(index, self._pruned(block, budgets, seen), unreached)

    def _require_finite(self, block: Block) -> None:
        for place in (self._places[name] for name in block.names):
            require_finite(place.tensor, place.tensor.bits(read_tensor(place)))

    def _start(self, model: BlockModel) -> list[torch.Tensor]:
        step = max(1, TOKENS // self.ids.shape[1])
        windows = torch.from_numpy(self.ids.astype(np.int64))
        return [model.start(windows[at : at + step].to(self.device)) for at in range(0, len(windows), step)]

    def _pruned(
        self, block: Block, budgets: Budgets, seen: Mapping[str, ActivationStats]
    ) -> dict[str, tuple[Tensor, Raw]]:
        def work(name: str) -> tuple[str, tuple[Tensor, Raw]]:
            subject = self._subject(block, name, seen[name])
            prune_one(subject, budgets.parts[name], self.recipe, subject.bits)
            tensor = self._places[name].tensor
            return name, (tensor, _as_stored(subject, block.transposed(name)))

        return dict(in_order(work, block.names, self.threads))

    def _subject(self, block: Block, name: str, inputs: ActivationStats) -> PrunedTensor:
        tensor, data = self._places[name].tensor, read_tensor(self._places[name])
        bits = tensor.bits(data)
        if block.transposed(name):
            *experts, rows, columns = tensor.shape
            bits = np.ascontiguousarray(bits.reshape(tensor.shape).swapaxes(-1, -2)).reshape(-1)
            tensor = replace(tensor, shape=(*experts, columns, rows))
        return PrunedTensor(tensor, bits, self.recipe.draws(name), self._reached(name, inputs))

    def _reached(self, name: str, inputs: ActivationStats) -> ActivationStats:
        """Give an expert that saw no token inputs of equal size, where the recipe allows it: magnitude then decides."""
        unseen = np.flatnonzero(inputs.tokens == 0)
        if not unseen.size:
            return inputs
        if self.recipe.uncalibrated == "refuse":
            raise UnusableBase(
                f"No calibration token reached {name}" + (f", expert {unseen[0]}." if len(inputs.tokens) > 1 else "."),
                "Calibrate on more text (--calibration-samples), or give --uncalibrated magnitude.",
            )
        return _with_equal_inputs(inputs, unseen)

    def _replace(self, block: Block, index: int) -> None:
        for name in block.names:
            place = self._places[name]
            data = read_tensor(place)
            self.store.apply(index, place.tensor, data)
            block.put(name, data)


def _forecast(first: float, more: int, windows: int, length: int) -> str:
    """Say how long calibration will take, once one block is done, and what shortens it."""
    return (
        f"One block took {seconds(first)}; the {more} others will take about {seconds(first * more)}. "
        f"--calibration-samples below {count(windows)} or --calibration-length below {count(length)} take less."
    )


def _told(hidden: Sequence[torch.Tensor], advance: Advance) -> Iterator[torch.Tensor]:
    """Yield the batches that go through a block for the first time; each tells its part of that half of the work."""
    for batch in hidden:
        yield batch
        advance(0.5 / len(hidden))


def _forward(block: Block, hidden: list[torch.Tensor], advance: Advance) -> None:
    """Run a block over all batches, each result in place of what went in: both at once would double the memory."""
    for number, batch in enumerate(hidden):
        hidden[number] = block.run(batch)
        advance(0.5 / len(hidden))


def _with_equal_inputs(inputs: ActivationStats, unseen: NDArray[np.intp]) -> ActivationStats:
    squares, gram = inputs.squares.copy(), inputs.gram
    squares[unseen] = 1
    if gram is not None:
        gram[unseen] = torch.eye(gram.shape[-1], device=gram.device)
    return replace(inputs, squares=squares, gram=gram)


def _as_stored(subject: PrunedTensor, transposed: bool) -> Raw:
    bits = subject.bits
    if transposed:
        bits = np.ascontiguousarray(bits.reshape(subject.tensor.shape).swapaxes(-1, -2)).reshape(-1)
    return bits.view(np.uint8)
