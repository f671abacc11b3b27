"""The full fuzzing: every target in a process of its own, as many runs as are due, and a table of what came of it.

    python -m tests.fuzz [--runs N] [--seed N] [--blind] [TARGET ...]

Under atheris, which guides its inputs by what they reach, where that is installed (`pip install 'release[fuzz]'`);
else inputs are only mutated. What an input finds is written to `fuzz-findings/`; once cured it goes into the corpus.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

FINDINGS = Path("fuzz-findings")


def main() -> int:
    """Run what was asked for; 1 where an input found something."""
    asked = argparse.ArgumentParser(prog="python -m tests.fuzz")
    asked.add_argument("targets", nargs="*")
    asked.add_argument("--runs", type=int, help="runs of each target instead of those that are due")
    asked.add_argument("--seed", type=int, default=int(time.time()))
    asked.add_argument("--blind", action="store_true", help="only mutate; ten times as many runs a second")
    how = asked.parse_args()
    engine = "atheris" if importlib.util.find_spec("atheris") and not how.blind else "mutation"
    return fuzz(how.targets, how.runs, how.seed, engine)


def fuzz(names: list[str], runs: int | None, seed: int, engine: str) -> int:
    """Run each target in its own process and print the table."""
    from tests.fuzz.targets import TARGETS

    rows = []
    print(f"engine: {engine}, seed {seed}", flush=True)
    print(
        f"{'target':<14}{'runs':>12}{'values':>12}{'refused':>12}{'seconds':>10}{'runs/s':>9}{'MiB':>7}  found",
        flush=True,
    )
    for name in names or TARGETS:
        rows.append(watched(name, runs or TARGETS[name].due, seed, engine))
        print(row(name, rows[-1]), flush=True)
    return int(any(each["found"] for each in rows))


def row(name: str, seen: dict[str, Any]) -> str:
    """Write one line of the table."""
    done = seen["value"] + seen["refused"]
    return (
        f"{name:<14}{done:>12,}{seen['value']:>12,}{seen['refused']:>12,}{seen['seconds']:>10.0f}"
        f"{done / seen['seconds']:>9,.0f}{seen['peak']:>7,}  {seen['found'] or 'nothing'}"
    )


def watched(name: str, runs: int, seed: int, engine: str) -> dict[str, Any]:
    """Run one target in its own process, which may die of what it finds."""
    FINDINGS.mkdir(exist_ok=True)
    begun, said = time.monotonic(), FINDINGS / f"{name}.log"
    words = [sys.executable, "-m", "tests.fuzz.worker", name, str(runs), str(seed), str(FINDINGS), engine]
    with said.open("w") as log:
        done = subprocess.run(words, stderr=log, stdout=subprocess.PIPE, text=True, errors="replace")
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"value"')]
    seen: dict[str, Any] = json.loads(lines[-1]) if lines else {"value": 0, "refused": 0, "peak": 0}
    short = seen["value"] + seen["refused"] < runs
    found = f"exit {done.returncode}, see {said}" if done.returncode or short else ""
    return seen | {"seconds": time.monotonic() - begun, "found": found}


if __name__ == "__main__":
    sys.exit(main())
