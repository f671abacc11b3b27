"""What Student's interval holds where the spread of the first ratios settles how many are timed (`--latency auto`).

    python benchmarks/latency_stages.py [null.json …] [--worlds 20000]

Ratios come from normal distributions of known spread, and from the quiet windows that `benchmarks/latency_null.py
--json` kept, drawn again one by one and in runs of twelve neighbours; the true logarithm of the ratio is 0. Takes a
minute.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from release.evals.engine.statistics import Floats, mean_interval
from release.evals.latency.amount import AUTO, Amount

RUN = 12
SPREADS = (0.03, 0.06, 0.09, 0.15)
Draw = Callable[[np.random.Generator, int], Floats]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--worlds", type=int, default=20_000)
    options = parser.parse_args()
    draws: dict[str, Draw] = {f"normal, {spread:.0%}": normal(spread) for spread in SPREADS}
    if options.files:
        pool = windows(options.files)
        draws |= {f"{len(pool)} real, one by one": again(pool, 1), "real, in runs": again(pool, RUN)}
    print("| ratios | holds the truth | prompts | half width, median | ninth decile |\n|:--|--:|--:|--:|--:|")
    for name, draw in draws.items():
        print(row(name, draw, options.worlds))


def normal(spread: float) -> Draw:
    return lambda rng, count: rng.normal(0, spread, count)


def windows(files: list[Path]) -> Floats:
    """Join the windows of the present design, about their common mean."""
    found = [window for file in files for window in json.loads(file.read_text(encoding="utf-8"))]
    pool = np.concatenate([window["logs"] for window in found if window["design"] == "new"])
    centred: Floats = pool - pool.mean()
    return centred


def again(pool: Floats, run: int) -> Draw:
    def draw(rng: np.random.Generator, count: int) -> Floats:
        starts = rng.integers(len(pool) - run + 1, size=-(-count // run))
        return np.concatenate([pool[start : start + run] for start in starts])[:count]

    return draw


def row(name: str, draw: Draw, worlds: int) -> str:
    rng, amount = np.random.default_rng(0), Amount.of(AUTO)
    held, counts, halves = 0, [], []
    for _ in range(worlds):
        logs = draw(rng, amount.most)
        counts.append(amount.needed(logs[: amount.least], busy=False))
        found = mean_interval(logs[: counts[-1]])
        low, high = found.low or 0, found.high or 0
        held += low <= 0 <= high
        halves.append((high - low) / 2)
    halves_told = f"{np.median(halves):.2%} | {np.quantile(halves, 0.9):.2%}"
    return f"| {name} | {held / worlds:.1%} | {np.mean(counts):.1f} | {halves_told} |"


if __name__ == "__main__":
    main()
