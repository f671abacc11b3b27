"""How soon every command says its first line, and how soon the help stands there.

    python -m benchmarks.first_line [--rounds 5] [COMMAND …]

Starts each command as a process of its own, takes the time to the first line of stdout or stderr, and ends it there;
nothing is fetched and nothing is built. Prints the median of the rounds in seconds with the least and the largest. A
first round, which reads the files from disk, is not counted.
"""

import argparse
import os
import selectors
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.results import say

MOST = 60.0
"""Seconds within which a command has to say something."""
LINES = {
    "": "",
    "--help": "--help",
    "publish --help": "publish --help",
    "publish": "publish demo --method random --sparsity 10% --local --out {out}",
    "publish --dry-run": "publish demo --method random --sparsity 10% --local --out {out} --dry-run",
    "prune": "prune demo --method random --sparsity 10% --out {out}",
    "verify": "verify {out}",
    "rebuild": "rebuild {out} --base demo --out {out}/made",
    "measure": "measure {out} --base demo",
    "card": "card {out}",
    "push": "push {out}",
    "watch": "watch org/name --dry-run",
    "sweep": "sweep {grid} --dry-run --out {out}",
    "report": "report {out} --out {out}/report",
    "demo": "demo {out}",
    "doctor": "doctor",
    "cache": "cache",
    "methods": "methods",
    "models": "models",
}
"""What a row is called → its command line."""
GRID = "model: demo\nmethods: [random]\nsparsities: [0.1]\n"


def first_line(words: list[str], folder: Path) -> float:
    """Return the seconds until a command says anything."""
    known = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_TOKEN": ""}
    started = time.perf_counter()
    with subprocess.Popen(
        [Path(sys.executable).with_name("release"), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env=known,
    ) as process:
        try:
            return _until_said(process, started)
        finally:
            process.kill()


def _until_said(process: "subprocess.Popen[bytes]", started: float) -> float:
    with selectors.DefaultSelector() as pipes:
        for pipe in (process.stdout, process.stderr):
            assert pipe is not None
            pipes.register(pipe, selectors.EVENT_READ)
        while ready := pipes.select(MOST):
            for key, _ in ready:
                if os.read(key.fd, 1):
                    return time.perf_counter() - started
                pipes.unregister(key.fileobj)
    return float("nan")


def main() -> None:
    """Print one row for each command."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("commands", nargs="*", metavar="COMMAND")
    options.add_argument("--rounds", type=int, default=5)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "grid.yaml").write_text(GRID, encoding="utf-8")
        medians = {}
        for name, line in LINES.items():
            if asked.commands and name not in asked.commands:
                continue
            words = line.format(out=folder / "out", grid=folder / "grid.yaml").split()
            first_line(words, folder)
            took = [first_line(words, folder) for _ in range(asked.rounds)]
            row = f"release {name:<18} {statistics.median(took):5.2f} s  ({min(took):.2f} to {max(took):.2f})"
            print(row, flush=True)
            medians[name] = statistics.median(took)
    if not asked.commands:
        say("first_line.help", [medians.pop("--help")])
        say("first_line.all", [max(medians.values())])


if __name__ == "__main__":
    main()
