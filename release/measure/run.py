"""All measurements of one pair of models, in order."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from release.checkpoint.folder import open_checkpoint
from release.errors import BadOption
from release.measure import bbq, latency, perplexity
from release.measure.model import choose_device, loaded, read_tokenizer
from release.measure.sample import draw
from release.measure.super_weights import super_weights
from release.plan import Measuring
from release.progress import Console
from release.record import Bbq, DataSource, Latency, Measurements, Perplexity, Storage, SuperWeights
from release.sources.bbq import read_bbq
from release.sources.text import read_text

Reading = TypeVar("Reading")


def measure(dense: Path, pruned: Path, plan: Measuring, evaluation: Path, console: Console) -> Measurements:
    """Measure a dense and a pruned checkpoint side by side.

    Args:
        dense: Folder of the dense model (config, tokenizer, safetensors).
        pruned: Folder of the pruned model; its own tokenizer is not used.
        plan: What to measure.
        evaluation: Folder that receives `bbq.parquet`, the answers item by item.
        console: Where progress is shown.

    Raises:
        BadOption: An amount in the plan is not understood.
        MissingSource: Data could not be fetched.
        UnusableBase: A model cannot be loaded or does not fit into memory, or has no letters to answer with.
        UnusableData: Data were altered or are too short, or a prompt does not fit the model.
    """
    pair = _Pair(dense, pruned, plan, console)
    pair.check()
    # Super weights come last: they are looked for on the way, in the first dense model that anything else loads.
    return Measurements(
        bbq=None if plan.bbq == "off" else pair.bbq(evaluation),
        perplexity=None if plan.perplexity == "off" else pair.perplexity(),
        latency=None if plan.latency == "off" else pair.latency(),
        storage=Storage(dense_bytes=open_checkpoint(dense).size, pruned_bytes=open_checkpoint(pruned).size),
        super_weights=pair.super_weights,
    )


class _Pair:
    """Two models, of which one at a time is in memory for everything but latency."""

    def __init__(self, dense: Path, pruned: Path, plan: Measuring, console: Console) -> None:
        self.folders = {"dense": dense, "pruned": pruned}
        self.plan, self.console = plan, console
        self.device = choose_device(plan.device)
        self.tokenizer = read_tokenizer(dense)
        self.super_weights: SuperWeights | None = None
        self._looked = False

    def check(self) -> None:
        """Refuse at once what would otherwise be refused after minutes of work."""
        if self.plan.bbq not in ("off", "auto"):
            draw((), self.plan.bbq, self.plan.seed)
        if self.plan.perplexity != "off":
            self._windows()
        if self.plan.latency != "off":
            _count("latency", self.plan.latency)

    def _windows(self) -> tuple[NDArray[np.int32], DataSource]:
        count = _count("perplexity", self.plan.perplexity)
        text, source = read_text(self.plan.text, self.console)
        return perplexity.cut(text, source.name, self.tokenizer, count), source

    def bbq(self, evaluation: Path) -> Bbq:
        population, data = read_bbq(self.plan.bbq_data, self.console)
        amount = self.plan.bbq
        if amount == "auto":
            amount = "200" if self.device.type == "cpu" else "full"
        sample = draw(population, amount, self.plan.seed)
        task = bbq.prepare(sample, self.tokenizer, self.folders["dense"])
        dense, pruned = self._each(lambda model, name: bbq.read(model, name, task, self.console))
        bbq.write_answers(evaluation / "bbq.parquet", task, dense, pruned)
        return bbq.compare(task, dense, pruned, data, self.plan.seed)

    def perplexity(self) -> Perplexity:
        windows, source = self._windows()
        dense, pruned = self._each(lambda model, name: perplexity.read(model, name, windows, self.console))
        return perplexity.compare(windows, dense, pruned, source, self.plan.seed)

    def latency(self) -> Latency:
        items, data = read_bbq(self.plan.bbq_data, self.console)
        count = _count("latency", self.plan.latency)
        sample = draw(items, str(count + latency.WARMUP), self.plan.seed)
        with (
            loaded(self.folders["dense"], self.device, None) as dense,
            loaded(self.folders["pruned"], self.device, None) as pruned,
        ):
            pair = latency.Pair(dense, pruned)
            found = latency.compare(pair, self.tokenizer, sample.items, data, self.plan.seed, self.console)
            self._look(dense)
            return found

    def _each(self, read: Callable[[torch.nn.Module, str], Reading]) -> tuple[Reading, Reading]:
        """Take the same reading of both models in fp32, one after the other."""
        results = []
        for name, folder in self.folders.items():
            with loaded(folder, self.device, torch.float32) as model:
                results.append(read(model, name))
                if name == "dense":
                    self._look(model)
        return results[0], results[1]

    def _look(self, dense: torch.nn.Module) -> None:
        """Look for super weights, once."""
        if not self._looked:
            self.super_weights = super_weights(dense, self.tokenizer, **self.folders)
            self._looked = True


def _count(option: str, text: str) -> int:
    if not text.isdecimal() or int(text) < 2:
        raise BadOption(f"--{option} {text!r} is not understood.", "Give a whole number of at least 2, or off.")
    return int(text)
