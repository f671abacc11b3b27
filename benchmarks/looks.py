"""Coverage of the interval that `--precision` stops at, by simulation on BBQ's real structure with invented answers.

    python -m benchmarks.looks [--worlds 500] [--wanted 0.05]

In every world each question template draws how often both models name the target; the change is +0.05 on average. The
looks are those of `release.evals.bbq.looks`; a world is asked as far as they go, and the interval at the last look
holds the change or does not.
"""

import argparse
from collections import Counter

import numpy as np

from release.evals.bbq.answers import Answers, Task
from release.evals.bbq.data import read_bbq
from release.evals.bbq.items import Item
from release.evals.bbq.looks import Round, amount, look, planned
from release.evals.bbq.sample import Sample, draw
from release.evals.engine.statistics import wilson
from release.progress import Console

CHANGE, SPREAD, LEVEL_DENSE = 0.05, 0.08, 0.4


def world(items: tuple[Item, ...], seed: int) -> dict[tuple[str, int], tuple[int, int]]:
    """Answer every item as dense and pruned: the target, or unknown."""
    rng = np.random.default_rng(seed)
    names = sorted({(item.category, item.question_index) for item in items})
    dense = dict(zip(names, LEVEL_DENSE + SPREAD * rng.standard_normal(len(names)), strict=True))
    change = dict(zip(names, CHANGE + SPREAD * rng.standard_normal(len(names)), strict=True))
    found = {}
    for item, (one, other) in zip(items, rng.random((len(items), 2)), strict=True):
        share = dense[item.category, item.question_index]
        target = item.unknown if item.target is None else item.target
        picks = (one < share, other < share + change[item.category, item.question_index])
        found[item.category, item.example_id] = tuple(target if pick else item.unknown for pick in picks)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=500)
    parser.add_argument("--wanted", type=float, nargs="+", default=[0.05])
    asked = parser.parse_args()
    items, _ = read_bbq(None, Console(quiet=True))
    samples: dict[int, Sample] = {size: draw(items, amount(size, len(items)), 42) for size in planned(len(items))}
    held: dict[float, list[bool]] = {wanted: [] for wanted in asked.wanted}
    ends: dict[float, Counter[int]] = {wanted: Counter() for wanted in asked.wanted}
    for seed in range(asked.worlds):
        answers = world(items, seed)

        def ask(size: int) -> Round:
            task = Task(samples[size], "letters", "plain")
            choices = np.array([answers[item.category, item.example_id] for item in task.items])  # noqa: B023
            sides = {name: choices[:, [side]] for side, name in enumerate(("dense", "pruned"))}
            return Round(task, {n: Answers(c, None, None, None, 0, 0.0) for n, c in sides.items()}, 3 * size)

        for wanted in asked.wanted:
            _, looks = look(wanted, len(items), ask, Console(quiet=True))
            held[wanted].append(looks.change.low <= CHANGE <= looks.change.high)
            ends[wanted][looks.taken[-1].items] += 1
    for wanted, found in held.items():
        rate = wilson(sum(found), len(found))
        print(
            f"±{wanted:g}: level of a look {looks.level:.4f}; holds the change in {rate.value:.1%}"
            f" ({rate.low:.1%} to {rate.high:.1%}) of {rate.n} worlds; ended at {dict(sorted(ends[wanted].items()))}"
        )


if __name__ == "__main__":
    main()
