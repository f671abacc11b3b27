"""Wall time of single answers, dense and pruned in turns; knows nothing about what the times are put to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch

from release.evals.bbq.items import Item
from release.evals.bbq.prompts import Prompter
from release.evals.engine.statistics import Floats
from release.evals.latency.amount import Amount
from release.evals.latency.load import LoadMeter
from release.evals.latency.table import WARMUP, Timings, logs_of, turns
from release.models.engines import engine, packages
from release.models.exchange import alike
from release.models.load import read_tokenizer, stored_type
from release.models.reader import name_of
from release.progress import Console
from release.values import EngineName


@dataclass(frozen=True)
class Pair:
    """Two models that are timed, and what runs them.

    Attributes:
        alike: Whether their shapes and types are the same, so that one resident model takes either's weights.
    """

    engine: EngineName
    dense: Path
    pruned: Path
    alike: bool

    @classmethod
    def of(cls, dense: Path, pruned: Path, by: EngineName = "transformers") -> Self:
        """Look at the files of two checkpoint folders."""
        return cls(by, dense, pruned, alike(dense, pruned))


def time_pair(
    pair: Pair, items: Sequence[Item], device: torch.device, console: Console, amount: Amount | None = None
) -> Timings:
    """Time both models on the same prompts, item by item.

    Args:
        items: The first `WARMUP` are not counted.
        amount: How many of the others are timed; all, where it is not given.

    Raises:
        UnusableBase: A model cannot be loaded or does not fit into memory.
    """
    runs, prompter = engine(pair.engine), Prompter(read_tokenizer(pair.dense))
    amount, meter = (amount or Amount(len(items), len(items))).within(len(items) - WARMUP), LoadMeter()
    hold = runs.exchanged if pair.alike else runs.side_by_side
    with hold(pair.dense, pair.pruned, device) as take:

        def answered(index: int) -> list[tuple[float, float]]:
            text, seconds = prompter.text(items[index], rotation=0), [(0.0, 0.0)] * 2
            for side in turns(index):
                model = take(side)
                with meter.timing():
                    seconds[side] = runs.answer(model, prompter, text).seconds
            return seconds

        label = f"Latency by {pair.engine}, dense and pruned in turns"
        seconds = _each(answered, range(WARMUP + amount.least), label, console)
        further = range(len(seconds), WARMUP + amount.needed(logs_of(seconds), meter.load().busy))
        if further:
            label = f"Latency: the first {amount.least} prompts vary, {len(further)} more"
            seconds = np.concatenate([seconds, _each(answered, further, label, console)])
        place = runs.place(device)
    dtype = name_of(stored_type(pair.dense))
    return Timings(
        seconds, place.name, dtype, place.threads, meter.load(), engine=pair.engine, packages=packages(pair.engine)
    )


def _each(
    answered: Callable[[int], list[tuple[float, float]]], indices: Sequence[int], label: str, console: Console
) -> Floats:
    """Time some items; (items, 2, 2)."""
    with console.step(label, len(indices), "prompts") as advance:
        seconds = []
        for index in indices:
            seconds.append(answered(index))
            advance(1)
    return np.array(seconds)
