"""What the divergence adds to perplexity: both read by the same passes, and perplexity alone, in turns.

    python -m benchmarks.divergence [BASE] [--windows 32] [--rounds 3]

The model is read beside a copy of itself, which takes as long as any pruned copy; nothing is known before, and loading
counts. The copy's config.json ends with one line end more: of two equal models the second would be recalled instead of
read where the divergence is off, which once gave 2.4 where 1.03 is right. The ratio is that of the sums over all
rounds, so that whatever else the machine does falls on both.
"""

import argparse
import os
import shutil
import tempfile
import time
from contextlib import closing
from pathlib import Path

from benchmarks.results import say
from release.digests import digest_of
from release.evals.run import prepare, readings
from release.evals.work import SIDES, ModelPair
from release.progress import Console
from release.settings.measuring import Measuring
from release.sources.base import resolve


def taken(folder: Path, pair: ModelPair, windows: int, divergence: str) -> float:
    """Return the seconds that all readings of both sides take, cold."""
    asked = Measuring.of(evals=("perplexity",), perplexity=str(windows), divergence=divergence)
    with tempfile.TemporaryDirectory() as cold, closing(prepare(folder, asked, Console(quiet=True))) as plan:
        os.environ["RELEASE_READINGS"] = cold
        started = time.perf_counter()
        readings(plan, pair, Console(quiet=True))
        return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", nargs="?", default="demo")
    parser.add_argument("--windows", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    dense = resolve(asked.base, Console(quiet=True)).checkpoint
    weights = tuple(digest_of(header.path) for header in dense.headers)
    with tempfile.TemporaryDirectory() as folder:
        pair = ModelPair(dense.folder, copied(dense.folder, Path(folder)), dict.fromkeys(SIDES, weights))
        compared(dense.folder, pair, asked)


def copied(dense: Path, copy: Path) -> Path:
    """Lay a copy beside a model that no reading of the model is taken for."""
    shutil.copytree(dense, copy, dirs_exist_ok=True)
    config = copy / "config.json"
    config.write_bytes(config.read_bytes() + b"\n")
    return copy


def compared(dense: Path, pair: ModelPair, asked: argparse.Namespace) -> None:
    took: dict[str, list[float]] = {"off": [], "full": []}
    for number in range(asked.rounds):
        for kind in took if number % 2 else reversed(took):
            seconds = taken(dense, pair, asked.windows, kind)
            took[kind].append(seconds)
            print(f"round {number + 1}, divergence {kind}: {seconds:.2f} s", flush=True)
    print(f"perplexity and divergence / perplexity alone: {sum(took['full']) / sum(took['off']):.3f}")
    say("divergence", [both / alone for both, alone in zip(took["full"], took["off"], strict=True)])


if __name__ == "__main__":
    main()
