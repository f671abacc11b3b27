"""Every ratio of the benchmarks, measured and laid down as docs/performance.md: `make bench`.

    python -m benchmarks.page [BENCH …] [--full] [--render]

BENCH names benchmarks of `benchmarks/rows.py`, all by default; --full (or BENCH_FULL=1) takes the large sizes. What was
measured goes to `benchmarks/performance.json`, row by row, and the page is written from that file: a row that was not
run keeps its last numbers and their date. --render writes the page alone.
"""

import argparse
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmarks.results import MARK
from benchmarks.rows import BENCHES, ROWS, Bench, Row

ROOT = Path(__file__).parent.parent
TEMPLATE = "performance.md.j2"
DATA, PAGE = ROOT / "benchmarks" / "performance.json", ROOT / "docs" / "performance.md"
LIBRARIES = ("torch", "transformers", "numpy", "huggingface_hub")
IDLE = 0.3
"""Processors at work before a benchmark begins, up to which a machine of two counts as idle."""


def main() -> None:
    options = arguments()
    held = json.loads(DATA.read_text(encoding="utf-8"))
    for name in () if options.render else options.benches or BENCHES:
        held["rows"] |= measured(BENCHES[name], full=options.full)
        DATA.write_text(json.dumps(held, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        PAGE.write_text(page(held), encoding="utf-8")
    PAGE.write_text(page(held), encoding="utf-8")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benches", nargs="*", choices=[*BENCHES, []], metavar="BENCH")
    parser.add_argument("--full", action="store_true", default=os.environ.get("BENCH_FULL") == "1")
    parser.add_argument("--render", action="store_true", help="measure nothing")
    return parser.parse_args()


def measured(bench: Bench, *, full: bool) -> dict[str, dict[str, Any]]:
    """Run a benchmark and return its rows; none where it failed, which is said."""
    words = shlex.split(bench.full if full else bench.words)
    around = surroundings() | {"command": shlex.join(["python", "-m", f"benchmarks.{bench.module}", *words])}
    print(f"{around['command']} …", flush=True)
    command = [sys.executable, "-m", f"benchmarks.{bench.module}", *words]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout, end="", flush=True)
    if done.returncode:
        print(f"{bench.module} ended with {done.returncode}: its rows keep their last numbers.", file=sys.stderr)
        return {}
    results = [json.loads(line.removeprefix(MARK)) for line in done.stdout.splitlines() if line.startswith(MARK)]
    return {each.pop("key"): each | around for each in results}


def surroundings() -> dict[str, Any]:
    """What a number depends on besides the code."""
    busy = psutil.cpu_percent(interval=2) / 100 * (psutil.cpu_count() or 1)
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "cores": psutil.cpu_count(),
        "busy": round(busy, 2),
        "machine": f"{platform.system()} {platform.machine()}, {round(psutil.virtual_memory().total / 2**30)} GiB",
        "versions": {"Python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
    }


def page(held: dict[str, Any]) -> str:
    """Return the page: the template, with the rows of what was measured."""
    here = FileSystemLoader(ROOT / "benchmarks")
    shelf = Environment(loader=here, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    rows = [facts(row, held["rows"].get(row.key)) for row in ROWS]
    runs = dict.fromkeys(run(held["rows"][row.key]) for row in ROWS if row.key in held["rows"])
    return shelf.get_template(TEMPLATE).render(rows=rows, runs=list(runs)) + "\n"


def facts(row: Row, found: dict[str, Any] | None) -> dict[str, str]:
    """Return a row's cells."""
    told = {"work": row.work, "scope": row.scope, "beside": row.beside or "in seconds", "target": target(row)}
    if found is None:
        return told | {"measured": "not measured yet", "memory": "", "when": ""}
    return told | {
        "measured": spread(found["values"]) + ("" if row.beside else " s"),
        "memory": f"{found['peak_mib']:,} MiB" if found["peak_mib"] else "",
        "when": f"{found['date']}; {idle(found)}",
    }


def run(found: dict[str, Any]) -> str:
    """Return how a row came about: its command, machine and versions."""
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    return f"`{found['command']}` on {found['date']}: {found['machine']}, {found['cores']} processors; {versions}"


def target(row: Row) -> str:
    if row.target is None:
        return ""
    return f"{'≥' if row.more else '≤'} {row.target:.2f}" + ("" if row.beside else " s")


def spread(values: list[float]) -> str:
    """Return the median, and the least and the largest where there are several."""
    middle = f"{statistics.median(values):.2f}"
    return f"{middle} ({min(values):.2f} to {max(values):.2f})" if len(values) > 1 else middle


def idle(found: dict[str, Any]) -> str:
    if found["busy"] is None:
        return "not noted"
    return "idle" if found["busy"] <= IDLE else f"busy ({found['busy']:.1f} of {found['cores']} processors)"


if __name__ == "__main__":
    main()
