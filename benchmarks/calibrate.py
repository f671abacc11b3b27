"""How long calibrated pruning takes beside two bare forward passes over the same tokens.

    python -m benchmarks.calibrate [--base demo] [--method wanda] [--windows 16] [--length 512] [--rounds 1]

Sequential pruning runs every block before and after it is pruned, so two passes of the dense decoder (in memory, fp32,
the same batches, no head) are the floor. Both run in turn in one process; their ratio is printed, by median, and what
calibration needs in memory beside the floor's.
"""

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.results import say
from release.checkpoint.folder import Checkpoint
from release.models.device import choose_device
from release.models.load import loaded, read_tokenizer
from release.progress import Console
from release.pruning.calibrate import TOKENS, Calibrator
from release.pruning.calibration import TextReader, calibration_text
from release.pruning.recipe import Recipe
from release.pruning.store import BlockStore
from release.settings.recipe import CalibrationPlan
from release.sources.base import resolve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="demo")
    parser.add_argument("--method", default="wanda")
    parser.add_argument("--windows", type=int, default=16)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    console, device = Console(quiet=True), choose_device("auto")
    base = resolve(options.base, console).checkpoint
    plan = CalibrationPlan(text="wikipedia", samples=options.windows, length=options.length)
    ids = calibration_text(plan, None, TextReader(read_tokenizer(base.folder), None, False), 42, console).ids
    recipe = Recipe.of(options.method, Decimal("0.5"), 42, calibration=plan)
    print(f"{options.base}, {options.method}, {ids.size:,} tokens, {device}, {torch.get_num_threads()} threads")
    work: dict[str, Callable[[], None]] = {
        "two bare passes": lambda: two_passes(base, ids, device),
        "calibrate and prune": lambda: calibrate(base, recipe, ids, device, console),
    }
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(options.rounds):
        for name, job in work.items():
            started = time.perf_counter()
            job()
            seconds[name].append(time.perf_counter() - started)
    ratios = [ours / floor for floor, ours in zip(*seconds.values(), strict=True)]
    floor, ours = (statistics.median(times) for times in seconds.values())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"two bare passes {floor:.1f} s, calibrate and prune {ours:.1f} s: {ours / floor:.3f} x; peak {peak:,.0f} MiB"
    )
    say(f"calibrate.{options.method}", ratios, int(peak * 2**20))


def two_passes(base: Checkpoint, ids: NDArray[np.int32], device: torch.device) -> None:
    with loaded(base.folder, device, torch.float32) as model, torch.no_grad():
        for _ in range(2):
            step = max(1, TOKENS // ids.shape[1])
            for at in range(0, len(ids), step):
                batch = torch.from_numpy(ids[at : at + step].astype(np.int64)).to(device)
                model.get_decoder()(input_ids=batch, use_cache=False)


def calibrate(base: Checkpoint, recipe: Recipe, ids: NDArray[np.int32], device: torch.device, console: Console) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = BlockStore(Path(folder), recipe.row.updates_kept_weights)
        Calibrator(base, recipe, ids, store, device, torch.get_num_threads()).run(console)


if __name__ == "__main__":
    main()
