"""How long the whole of `release verify` takes beside hashing the same files with Python's hashlib.

    python -m benchmarks.verify [--layers 4] [--rounds 5] [--folder DIR]

Makes a synthetic bf16 checkpoint of Phi-3.5-mini's shapes, prunes it at random, and then in turn hashes the pruned
files, verifies the release by itself, and verifies it with its base. Prints the median of each round's ratio with the
least and the largest, in wall time and in processor time: the latter says what it costs where the machine is busy.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.prune import make
from benchmarks.results import say

HASH = """
import hashlib, resource, sys, time
from pathlib import Path
files, started = sorted(Path(sys.argv[1]).glob("*.safetensors")), time.perf_counter()
for file in files:
    with file.open("rb") as handle:
        hashlib.file_digest(handle, "sha256")
used = resource.getrusage(resource.RUSAGE_SELF)
print(time.perf_counter() - started, used.ru_utime + used.ru_stime)
"""
VERIFY = """
import resource, sys, time
from pathlib import Path

from release.checkpoint.files import Folder
from release.progress import Console
from release.verification.verify import BaseAsked, verify
def used():
    known = resource.getrusage(resource.RUSAGE_SELF)
    return known.ru_utime + known.ru_stime
base = BaseAsked(lambda: Folder(Path(sys.argv[2]))) if len(sys.argv) > 2 else None
started, before = time.perf_counter(), used()
answer = verify(Folder(Path(sys.argv[1])), base, Console(quiet=True))
assert answer.ok, answer.verdict
print(time.perf_counter() - started, used() - before)
"""

Run = tuple[float, float]
"""Seconds on the wall, and of the processor."""


def ours(code: str, *arguments: Path) -> Run:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    wall, processor = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    return float(wall), float(processor)


def report(name: str, runs: list[Run], floor: list[Run]) -> None:
    line = f"{name:<18}{statistics.median(wall for wall, _ in runs):7.2f} s"
    for kind, what in enumerate(("wall", "processor")):
        ratios = [mine[kind] / other[kind] for mine, other in zip(runs, floor, strict=True)]
        line += f"   {what} {statistics.median(ratios):.2f} x ({min(ratios):.2f} to {max(ratios):.2f})"
    print(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        base, out = Path(scratch, "base"), Path(scratch, "out")
        base.mkdir()
        make(base, options.layers)
        words = ["prune", str(base), "--method", "random", "--sparsity", "0.5", "--out", str(out)]
        subprocess.run([sys.executable, "-m", "release", *words], check=True, stdout=subprocess.DEVNULL)
        size = sum(file.stat().st_size for file in out.glob("*.safetensors"))
        print(f"{size / 1e9:.2f} GB, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
        timed: dict[str, Callable[[], Run]] = {
            "hashlib": lambda: ours(HASH, out),
            "verify": lambda: ours(VERIFY, out),
            "verify --base": lambda: ours(VERIFY, out, base),
        }
        runs: dict[str, list[Run]] = {name: [] for name in timed}
        for number in range(options.rounds + 1):
            for name, work in timed.items():
                result = work()
                if number:  # the first round warms up
                    runs[name].append(result)
        for name in timed:
            report(name, runs[name], runs["hashlib"])
        for key, name in (("verify.alone", "verify"), ("verify.base", "verify --base")):
            say(key, [ours[0] / floor[0] for ours, floor in zip(runs[name], runs["hashlib"], strict=True)])


if __name__ == "__main__":
    main()
