"""The whole path on a device beside the CPU: pruning with calibration, BBQ, perplexity and latency, as one JSON object.

    python benchmarks/gpu.py [MODEL] [--device auto] [--items 200] [--windows 32] [--compare 8]

MODEL is a folder, or the demo model. On the CPU this is a dry path: device and CPU are the same, and nothing differs.
Each step runs once, its files in the page cache; loading the model is counted with the step, as a user meets it. TF32
is switched off, so that float32 is float32. Under `device` and `cpu`:

* `prune`: Wanda at 0.5 on 32 windows of 512 tokens; seconds;
* `bbq`: letters of three rotations, float32; items and prompt tokens a second, and what part of the device's peak that
  is: 2 · parameters · tokens a second, beside a plain product of two matrices of `SIDE`² in the same type. Beginnings
  that prompts share are computed once, so it may be above 1;
* `perplexity`: tokens a second, and the same part;
* `latency`: pruned over dense with its interval, by the device's own clock (on the device only).

Under `differences`, device against CPU: the share of weights that the mask has otherwise, and the largest difference of
a log-probability of `--compare` of the items and of a window's mean loss.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from release.checkpoint.count import Place, places, read_tensor
from release.checkpoint.folder import open_checkpoint
from release.checkpoint.prunable import prunable
from release.commands.prune import prune_only
from release.environment import environment
from release.evals.bbq import ask as bbq
from release.evals.bbq.data import read_bbq
from release.evals.bbq.sample import draw
from release.evals.engine.subject import EvaluatedModel, Runtime
from release.evals.latency.measure import TimedPrompts, measure_latency
from release.evals.latency.table import WARMUP
from release.evals.latency.timed import Pair
from release.evals.perplexity.windows import cut_windows, losses_of
from release.models.device import CPU, choose_device, device_name
from release.models.load import read_tokenizer
from release.plan import Plan
from release.progress import Console
from release.pruning.recipe import Recipe
from release.settings.measuring import Measuring
from release.settings.recipe import CalibrationPlan
from release.sources import demo
from release.sources.text import read_text

SIDE = 4096
"""Rows and columns of the matrices whose product stands for the device's peak."""
ROUNDS = 5
TIMED = {"dtype", "items", "load", "dense", "pruned", "ratio", "prefill", "decode"}
"""What is printed of latency."""
Numbers = NDArray[Any]


def main() -> None:
    options = arguments()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    device = choose_device(options.device)
    with TemporaryDirectory() as name:
        bench = GpuBench(options.model or demo.fetch(Console()), Path(name), options.items, options.windows)
        there = bench.run("device", device, options.items, options.windows)
        here = bench.run("cpu", CPU, min(options.compare, options.items), min(options.compare, options.windows))
        report = {
            "name": device_name(device),
            "environment": environment().model_dump(mode="json"),
            "device": there.numbers | {"latency": bench.latency(device, there.pruned)},
            "cpu": here.numbers,
            "differences": differences(there, here),
        }
    print(json.dumps(report, indent=2))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--windows", type=int, default=32)
    parser.add_argument("--compare", type=int, default=8, help="Items and windows that the CPU reads too.")
    return parser.parse_args()


@dataclass(frozen=True)
class Run:
    """One pass over the whole path.

    Attributes:
        numbers: What is printed of it.
        pruned: The pruned model's folder.
        items: Which of the sample's items were asked.
        letters: Their log-probabilities, (items, …).
        losses: One per window, from the first on.
    """

    numbers: dict[str, Any]
    pruned: Path
    items: list[int]
    letters: Numbers
    losses: Numbers


class GpuBench:
    """What is asked, the same on every device."""

    def __init__(self, base: Path, scratch: Path, items: int, windows: int) -> None:
        self._base, self._scratch = base, scratch
        self._bbq, self._data = read_bbq(None, Console())
        tokenizer = read_tokenizer(base)
        self._script = bbq.prepare(draw(self._bbq, str(items), 42), tokenizer, base, "letters")
        self._rows = cut_windows(read_text(None, Console())[0], "text", tokenizer, windows)
        self._weights = open_checkpoint(base).parameters

    def run(self, name: str, device: torch.device, items: int, windows: int) -> Run:
        """Do all but latency, with a folder of its own, so that nothing is recalled of another run."""
        own = self._scratch / name
        own.mkdir()
        pruning = timed(lambda: self._prune(device, own / "pruned"), device)
        chosen = spread(len(self._script.task.items), items)
        script, rows = self._script.part(chosen), self._rows[:windows]
        with EvaluatedModel(
            "dense", self._base, Runtime(device, torch.float32), Console(), readings=own / "readings.sqlite"
        ) as subject:
            asked = timed(lambda: bbq.ask(subject, script), device)
            read = timed(lambda: losses_of(subject, rows), device)
        peak, tokens = best_product(device), sum(map(len, script.prompts))
        numbers = {
            "prune": {"seconds": pruning.seconds},
            "bbq": {
                "items": items,
                "items_per_second": items / asked.seconds,
                **self._speed(tokens, asked.seconds, peak),
            },
            "perplexity": {"windows": windows, **self._speed(rows.size, read.seconds, peak)},
            "peak_flops": peak,
            "peak_memory_bytes": torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
        }
        letters = np.asarray(asked.found.letters).reshape(items, -1)
        return Run(numbers, own / "pruned", chosen, letters, read.found.losses)

    def latency(self, device: torch.device, pruned: Path) -> dict[str, Any]:
        items = draw(self._bbq, str(24 + WARMUP), 42).items
        asked = TimedPrompts(items, self._data)
        found = measure_latency(Pair.of(self._base, pruned), asked, str(device), None, Console())
        return found.model_dump(mode="json", include=TIMED)

    def _prune(self, device: torch.device, out: Path) -> None:
        text = CalibrationPlan(text="wikipedia", samples=32, length=512)
        measuring = Measuring(bbq="off", perplexity="off", latency="off", device=str(device))
        recipe = Recipe.of("wanda", Decimal("0.5"), 42, calibration=text)
        prune_only([Plan(model=str(self._base), recipe=recipe, measuring=measuring, out=out, local=True)], Console())

    def _speed(self, tokens: int, seconds: float, peak: float) -> dict[str, float]:
        flops = 2 * self._weights * tokens / seconds
        return {"seconds": seconds, "tokens_per_second": tokens / seconds, "of_peak": flops / peak}


@dataclass(frozen=True)
class Timed:
    """What came of a step, and how long it took."""

    found: Any
    seconds: float


def timed(step: Callable[[], Any], device: torch.device) -> Timed:
    settle(device)
    started = time.perf_counter()
    found = step()
    settle(device)
    return Timed(found, time.perf_counter() - started)


def settle(device: torch.device) -> None:
    """Wait for what a device was given to do."""
    if device.type in ("cuda", "mps"):
        getattr(torch, device.type).synchronize()


def spread(available: int, wanted: int) -> list[int]:
    """Places over a whole sample."""
    return [index * available // wanted for index in range(wanted)]


def best_product(device: torch.device) -> float:
    """Floating-point operations a second of a product of two large float32 matrices: the best of some rounds."""
    one = torch.randn(SIDE, SIDE, device=device)
    seconds = min(timed(lambda: one @ one, device).seconds for _ in range(ROUNDS))
    return float(2 * SIDE**3 / seconds)


def differences(there: Run, here: Run) -> dict[str, float]:
    """Compare what both read."""
    return {
        "mask": otherwise(there.pruned, here.pruned),
        "letters": float(np.abs(there.letters[here.items] - here.letters).max()),
        "losses": float(np.abs(there.losses[: len(here.losses)] - here.losses).max()),
    }


def otherwise(one: Path, other: Path) -> float:
    """The share of prunable weights that only one of two releases has set to zero."""
    first, second = open_checkpoint(one), open_checkpoint(other)
    differing = total = 0
    for name in prunable(first):
        a, b = (zeros(places(each)[name]) for each in (first, second))
        differing, total = differing + int((a != b).sum()), total + a.size
    return differing / total


def zeros(place: Place) -> NDArray[np.bool_]:
    return place.tensor.magnitude(place.tensor.bits(read_tensor(place))) == 0


if __name__ == "__main__":
    main()
