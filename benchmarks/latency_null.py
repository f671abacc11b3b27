"""What the clock says of a model beside its own copy, where every difference is an error: the new design and the old.

    python benchmarks/latency_null.py [--model DIR] [--engine mlx] [--windows 60] [--old 0] [--json FILE] …

A window is one measurement of latency: `--items` prompts of BBQ, each answered by both sides. Windows come in runs of
`--each`; a run loads the models anew beside a fresh copy of the checkpoint, whose pages lie elsewhere. In the copy one
weight of every matrix of a block is one bit off: it takes the same time, and all the weights that pruning changes are
exchanged (of a byte-equal copy none would be).

* new: one resident model takes either side's weights before each answer; Student's interval on log ratios;
* old (`--old N` windows): both models mapped from their files, percentile bootstrap over log ratios.

With `--load` another process burns one processor on and off, 0.3 to 3 s at a time. Each window is printed when it is
there and kept in `--json`. Neighbouring windows are joined, too, for windows of twice as many items. On a quiet machine
with two cores the default takes 15 to 40 minutes.
"""

import argparse
import json
import multiprocessing
import random
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from release.evals.bbq.data import read_bbq
from release.evals.bbq.items import Item
from release.evals.bbq.prompts import Prompter
from release.evals.bbq.sample import draw
from release.evals.engine.statistics import Floats
from release.evals.latency.claims import as_fast, no_faster
from release.evals.latency.result import Load
from release.evals.latency.table import WARMUP, Timings, record_of, turns
from release.evals.latency.timed import Pair, time_pair
from release.models.device import choose_device
from release.models.engines import ENGINES, engine
from release.models.load import loaded, read_tokenizer
from release.progress import Console
from release.sources import demo
from release.values import DataSource, EngineName

NOBODY = Load(others=None, switches=None)
DATA = DataSource(name="BBQ", origin="", revision=None, licence=None, sha256="")
REPLICATES = 2000
QUIET = Console(quiet=True)


@dataclass(frozen=True)
class Window:
    """One measurement.

    Attributes:
        logs: log(copy / original) of each pair of answers.
        verdicts: Of "no latency gain" and "latency unchanged".
        others: Share of the processors that other work took in its run.
    """

    design: str
    run: int
    logs: list[float]
    value: float
    low: float
    high: float
    verdicts: tuple[str, str]
    others: float | None

    @property
    def excludes(self) -> bool:
        """Whether its interval says that a model differs from its own copy."""
        return not self.low <= 1 <= self.high


def main() -> None:
    options = arguments()
    device, model = choose_device(options.device), options.model or demo.fetch(QUIET)
    items = draw(read_bbq(None, QUIET)[0], str(WARMUP + options.items * options.each), options.seed).items
    rng, started, found = random.Random(options.seed), time.perf_counter(), list[Window]()
    items = tuple(rng.sample(items, len(items)))  # sorted by category, a window would hold one category's lengths
    with _load(options.load):
        for run, (design, count) in enumerate(runs(options.windows, options.old, options.each)):
            asked = items[: WARMUP + options.items * count]
            found += list(one_run(design, run, options.engine, model, asked, count, device))
            for window in found[-count:]:
                print(line(window), flush=True)
            if options.json:
                options.json.write_text(json.dumps([asdict(window) for window in found]), encoding="utf-8")
    minutes = (time.perf_counter() - started) / 60
    print(f"\n{'a moving load' if options.load else 'no load of its own'}, {device}, {minutes:.1f} minutes\n")
    for row in table(found):
        print(row)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a checkpoint folder; the demo model where none is given")
    parser.add_argument("--windows", type=int, default=60)
    parser.add_argument("--old", type=int, default=0)
    parser.add_argument("--items", type=int, default=12)
    parser.add_argument("--each", type=int, default=6)
    parser.add_argument("--load", action="store_true")
    parser.add_argument("--engine", choices=ENGINES, default="transformers", help="what runs the new design")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def runs(new: int, old: int, each: int) -> Iterator[tuple[str, int]]:
    """Yield designs and numbers of windows, the two designs in turns for as long as both have some left."""
    left = {"new": new, "old": old}
    while any(left.values()):
        for design in left:
            count = min(each, left[design])
            left[design] -= count
            if count:
                yield design, count


def one_run(
    design: str, run: int, by: EngineName, model: Path, items: Sequence[Item], count: int, device: torch.device
) -> Iterator[Window]:
    """Yield the windows of one run."""
    with tempfile.TemporaryDirectory(prefix="latency-null-") as folder:
        pair = Pair(by, model, nudged(model, Path(folder) / "copy"), alike=True)
        timings = {"new": time_pair, "old": time_mapped}[design](pair, items, device, QUIET)
    for part in np.split(timings.seconds[WARMUP:], count):
        yield window_of(design, run, replace(timings, seconds=np.concatenate([timings.seconds[:WARMUP], part])))


def nudged(model: Path, folder: Path) -> Path:
    """Copy a checkpoint with the lowest bit of one weight turned in every matrix of a block."""
    shutil.copytree(model, folder)
    for path in folder.glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
        tensors = load_file(path)
        for name, tensor in tensors.items():
            if "layers." in name and tensor.ndim == 2:
                tensor.view(torch.uint8)[0, 0] ^= 1  # little-endian: the lowest bit of the mantissa
        save_file(tensors, path, metadata)
    return folder


def time_mapped(pair: Pair, items: Sequence[Item], device: torch.device, _: Console) -> Timings:
    """Time answers as the old design did: both models in memory, mapped from their files."""
    prompter, seconds = Prompter(read_tokenizer(pair.dense)), np.empty((len(items), 2, 2))
    with loaded(pair.dense, device, None) as first, loaded(pair.pruned, device, None) as second:
        for index, item in enumerate(items):
            for side in turns(index):
                text, model = prompter.text(item, 0), (first, second)[side]
                seconds[index, side] = engine("transformers").answer(model, prompter, text).seconds
    return Timings(seconds, device.type, "stored", torch.get_num_threads(), NOBODY)


def window_of(design: str, run: int, timings: Timings) -> Window:
    """Put one window's times to its interval and verdicts, as a release would."""
    found = record_of(timings, DATA, 0.0)
    sums = timings.seconds[WARMUP:].sum(axis=2)
    logs = np.log(sums[:, 1] / sums[:, 0])
    low, high = (found.ratio.low, found.ratio.high) if design == "new" else percentile(logs)
    ratio = found.ratio.model_copy(update={"low": low, "high": high})
    found = found.model_copy(update={"ratio": ratio})
    verdicts = (no_faster(found).verdict, as_fast(found).verdict)
    if found.load.busy:
        verdicts = ("inconclusive", "inconclusive")
    return Window(design, run, logs.tolist(), ratio.value or 0, low or 0, high or 0, verdicts, found.load.others)


def percentile(logs: Floats) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a geometric mean."""
    draws = np.random.default_rng(0).integers(len(logs), size=(REPLICATES, len(logs)))
    low, high = np.exp(np.quantile(logs[draws].mean(axis=1), [0.025, 0.975]))
    return float(low), float(high)


def joined(windows: Sequence[Window]) -> list[Window]:
    """Join neighbours of one run to windows of twice as many items."""
    pairs = [(a, b) for a, b in zip(windows[::2], windows[1::2], strict=False) if a.run == b.run]
    return [_joined(a, b) for a, b in pairs]


def _joined(first: Window, second: Window) -> Window:
    logs = np.array(first.logs + second.logs)
    seconds = np.ones((WARMUP + len(logs), 2, 2))
    seconds[WARMUP:, 1] = np.exp(logs)[:, None]
    timings = Timings(seconds, "", "", 0, Load(others=first.others, switches=None))
    return window_of(first.design, first.run, timings)


def line(window: Window) -> str:
    others = "" if window.others is None else f", others {window.others:.0%}"
    return (
        f"{window.design} run {window.run}: × {window.value:.4f} ({window.low:.4f} to {window.high:.4f})"
        f"{' EXCLUDES 1' if window.excludes else ''}, {', '.join(window.verdicts)}{others}"
    )


def table(found: Sequence[Window]) -> Iterator[str]:
    """Yield the rows of the table, in Markdown."""
    heads = ("design", "items", "windows", "exclude 1", "half width", "sd of a pair")
    heads += ("spread over stated error", "wrong verdicts", "no verdict")
    yield f"| {' | '.join(heads)} |"
    yield "|:--" + "|--:" * (len(heads) - 1) + "|"
    for design in ("new", "old"):
        windows = [window for window in found if window.design == design]
        for group in (windows, joined(windows)):
            if group:
                yield row(design, group)


def row(design: str, group: Sequence[Window]) -> str:
    logs = np.array([window.logs for window in group])
    items, sd = logs.shape[1], float(logs.std(axis=1, ddof=1).mean())
    half = float(np.median([np.log(window.high / window.low) / 2 for window in group]))
    stated = np.sqrt(np.mean(logs.var(axis=1, ddof=1) / items))
    spread = float(np.sqrt(np.mean(logs.mean(axis=1) ** 2)) / stated)
    excludes = sum(window.excludes for window in group)
    wrong = sum("contradicted" in window.verdicts for window in group)
    silent = sum(window.verdicts[0] == "inconclusive" for window in group)
    return (
        f"| {design} | {items} | {len(group)} | {excludes} ({excludes / len(group):.0%}) | {half:.2%} | {sd:.2%} "
        f"| {spread:.2f} | {wrong} | {silent} |"
    )


@contextmanager
def _load(wanted: bool) -> Iterator[None]:
    """Let another process burn a processor on and off."""
    if not wanted:
        yield
        return
    process = multiprocessing.get_context("spawn").Process(target=_burn, daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def _burn() -> None:
    rng = random.Random(0)
    while True:
        end = time.perf_counter() + rng.uniform(0.3, 3)
        while time.perf_counter() < end:
            pass
        time.sleep(rng.uniform(0.3, 3))


if __name__ == "__main__":
    main()
