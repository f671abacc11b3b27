"""How long the Space takes to make pruned weights again, beside copying and hashing as many bytes.

    python -m benchmarks.rebuild [--layers 8] [--rounds 3] [--folder DIR]

Makes a synthetic bf16 checkpoint of Phi-3.5-mini's shapes, as benchmarks/prune.py does. Prints the median seconds, the
rate (a line faster than that would bring the file sooner), and each round's ratio to the copy, the median with the
least and the largest.
"""

import argparse
import hashlib
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "spaces" / "compare"))

from rebuild import MaskRecipe, prune

from benchmarks.prune import make
from benchmarks.results import say
from release.checkpoint.folder import open_checkpoint
from release.checkpoint.prunable import prunable


def copied(source: Path, target: Path) -> None:
    sha = hashlib.sha256()
    with source.open("rb") as read, target.open("wb") as written:
        while block := read.read(1 << 24):
            sha.update(block)
            written.write(block)


def timed(work: Callable[[Path], object], files: list[Path], folder: Path) -> float:
    started = time.perf_counter()
    for file in files:
        work(file)
        (folder / "made").unlink()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as name:
        folder = Path(name)
        (folder / "base").mkdir()
        make(folder / "base", asked.layers)
        files = sorted((folder / "base").glob("*.safetensors"))
        size = sum(file.stat().st_size for file in files)
        base = open_checkpoint(folder / "base")
        budgets = {name: math.prod(base.shapes[name]) // 2 for name in prunable(base)}
        recipes = {key: MaskRecipe(key, 42, budgets) for key in ("random", "magnitude")}
        work = {"copy and hash": lambda file: copied(file, folder / "made")} | {
            key: lambda file, recipe=recipe: prune(file, folder / "made", recipe) for key, recipe in recipes.items()
        }
        rounds = [{key: timed(each, files, folder) for key, each in work.items()} for _ in range(asked.rounds)]
    for key in work:
        ratios = sorted(found[key] / found["copy and hash"] for found in rounds)
        seconds = statistics.median(found[key] for found in rounds)
        print(
            f"{key:<16}{seconds:8.2f} s {size / seconds / 1e6:8.0f} MB/s   "
            f"× {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )
        if key in recipes:
            say(f"rebuild.{key}", ratios)


if __name__ == "__main__":
    main()
