"""Wall time of single answers, dense and pruned in turns; knows nothing about what the times are put to."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from release.evals.bbq.data import Item
from release.evals.bbq.prompts import Prompter
from release.evals.latency.load import LoadMeter
from release.evals.latency.table import Timings, turns
from release.models.engines import engine, packages
from release.models.load import read_tokenizer, stored_type
from release.models.reader import name_of
from release.progress import Console
from release.schema.measurements import EngineName


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


def time_pair(pair: Pair, items: Sequence[Item], device: torch.device, console: Console) -> Timings:
    """Time both models on the same prompts, item by item.

    Raises:
        UnusableBase: A model cannot be loaded or does not fit into memory.
    """
    runs, prompter = engine(pair.engine), Prompter(read_tokenizer(pair.dense))
    seconds, meter = np.empty((len(items), 2, 2)), LoadMeter()
    hold = runs.exchanged if pair.alike else runs.beside
    label = f"Latency by {pair.engine}, dense and pruned in turns"
    with hold(pair.dense, pair.pruned, device) as take, console.step(label, len(items)) as advance:
        for index, item in enumerate(items):
            text = prompter.text(item, rotation=0)
            for side in turns(index):
                model = take(side)
                with meter.timing():
                    seconds[index, side] = runs.answer(model, prompter, text).seconds
            advance(1)
        place = runs.place(device)
    dtype = name_of(stored_type(pair.dense))
    return Timings(
        seconds, place.name, dtype, place.threads, meter.load(), engine=pair.engine, packages=packages(pair.engine)
    )
