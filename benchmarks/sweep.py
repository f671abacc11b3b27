"""A grid against the same cells as separate commands: wall time, processor time, and whether the bytes are the same.

    python -m benchmarks.sweep [--folder DIR] [--sparsities 2] [--bbq 24] [--perplexity 16] [--rounds 1]

Two methods of the demo model at some sparsities, measured by the amounts of examples/demo.yaml, four ways in turn
within each round: `release sweep --parallel 2`, one process after the other, a `release publish --local` a cell that
recalls what earlier ones read of the dense model, and one that does not, as on a machine of its own. Every way begins
with an empty store of readings.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import yaml

from benchmarks.results import say
from release.digests import sha256_file

METHODS = ("random", "magnitude")
WAY = "sweep, two at a time"
"""What the others are held against."""
WEIGHTS = "*/model/*.safetensors"
READINGS = "RELEASE_READINGS"


def main() -> None:
    options = arguments()
    shares = [f"{(place + 1) / (options.sparsities + 1):.2f}" for place in range(options.sparsities)]
    asked = {"bbq": options.bbq, "perplexity": options.perplexity, "latency": "off", "answers": "off"}
    ratios = []
    for turn in range(options.rounds):
        folder = options.folder / f"round-{turn}"
        ways = {
            WAY: swept(folder / "parallel", shares, asked, "--parallel", "2"),
            "sweep": swept(folder / "sweep", shares, asked),
            "separate, dense recalled": published(folder / "shared", shares, asked, shared=True),
            "separate, each by itself": published(folder / "alone", shares, asked, shared=False),
        }
        wall = {name: timed(name, way) for name, way in ways.items()}
        first, *others = (weights(folder / name) for name in ("parallel", "sweep", "shared", "alone"))
        assert all(each == first for each in others), "the bytes differ"
        for name in list(wall)[1:]:
            print(f"{name}: {wall[name] / wall[WAY]:.2f} times the first; same bytes in {len(first)} releases")
        ratios.append(wall[WAY] / wall["separate, each by itself"])
        shutil.rmtree(folder)
    say("sweep.separate", ratios)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir(), "release-bench"))
    parser.add_argument("--sparsities", type=int, default=2)
    parser.add_argument("--bbq", default="24")
    parser.add_argument("--perplexity", default="16")
    parser.add_argument("--rounds", type=int, default=1)
    return parser.parse_args()


def timed(name: str, commands: Iterator[None]) -> float:
    """Run commands and return the wall time, in seconds."""
    before, started = spent(), time.perf_counter()
    for _ in commands:
        pass
    wall = time.perf_counter() - started
    print(f"{name}: {wall:.0f} s, {spent() - before:.0f} s of processors, load {os.getloadavg()[0]:.1f}", flush=True)
    return wall


def spent() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def swept(folder: Path, shares: list[str], asked: dict[str, str], *more: str) -> Iterator[None]:
    folder.mkdir(parents=True)
    grid = folder / "grid.yaml"
    facts = {
        "models": ["demo"],
        "methods": list(METHODS),
        "sparsities": [float(each) for each in shares],
        "options": asked,
    }
    grid.write_text(yaml.safe_dump(facts), encoding="utf-8")
    yield release(folder / "readings", "sweep", str(grid), "--out", str(folder), *more)


def published(folder: Path, shares: list[str], asked: dict[str, str], shared: bool) -> Iterator[None]:
    words = [word for name, value in asked.items() for word in (f"--{name}", value)]
    for method, share in product(METHODS, shares):
        recipe = ["publish", "demo", "--method", method, "--sparsity", share, "--local", "--out", str(folder)]
        yield release(folder / ("readings" if shared else f"readings-{method}-{share}"), *recipe, *words)


def release(readings: Path, *words: str) -> None:
    env = os.environ | {READINGS: str(readings)}
    done = subprocess.run([sys.executable, "-m", "release", *words], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def weights(folder: Path) -> dict[str, str]:
    """Release → the digest of its weights, read anew."""
    return {path.parent.parent.name: sha256_file(path) for path in sorted(folder.glob(WEIGHTS))}


if __name__ == "__main__":
    main()
