"""BBQ asked of growing samples, until the interval of the change in SRS is narrow enough (`--precision`).

The looks are fixed beforehand: `LADDER`'s amounts, then all items. Every sample holds the one before, and what was
read is kept, so nothing is asked twice. Each look has an interval of the level at which the intervals of *all* planned
looks hold together in 95 % of cases, whenever one stops: Pocock's constant (Pocock 1977) for normal estimates from
nested samples, whose correlation at n and m items is √(n/m). Stopping looks at the width alone, which says little of
the estimate, so this is more than is needed; answers to the same templates correlate more than counted, likewise.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy import special

from release.evals.bbq.answers import Answers, Task
from release.evals.bbq.result import Look, Looks
from release.evals.bbq.sample import LADDER
from release.evals.bbq.scores import Comparison
from release.evals.engine.statistics import LEVEL
from release.progress import Console
from release.values import Estimate

SIDES = ("dense", "pruned")
DRAWS = 200_000
"""Of the simulation that Pocock's constant comes from: its standard error is about 0.005."""


@dataclass(frozen=True)
class Round:
    """What both models answered to one sample.

    Attributes:
        answers: By the model's name; a look's count as recalled what this run read at the look before.
        prompts: That each was given.
    """

    task: Task
    answers: Mapping[str, Answers]
    prompts: int


Ask = Callable[[int], Round]
"""Asks both models so many items, one after the other, so that one at a time is in memory."""


def planned(available: int) -> tuple[int, ...]:
    """Return the sizes of all looks."""
    return (*(rung for rung in LADDER if rung < available), available)


def amount(size: int, available: int) -> str:
    """Return how `draw` is asked for the sample of a look."""
    return "full" if size == available else str(size)


@lru_cache
def constant(sizes: Sequence[int], level: float = LEVEL) -> float:
    """Return how many standard errors hold at all looks together with probability `level` (Pocock 1977).

    Args:
        sizes: Items at each look, growing; hashable.
    """
    steps = np.sqrt(np.diff([0, *sizes]))
    sums = np.cumsum(np.random.default_rng(0).standard_normal((DRAWS, len(sizes))) * steps, axis=1)
    return float(np.quantile(np.abs(sums / np.sqrt(sizes)).max(axis=1), level))


def widened(change: Estimate, level: float) -> Estimate:
    """Return an estimate with its interval at another level, by the same distribution."""
    if change.value is None or change.low is None or change.high is None:
        return change
    here, there = (_quantile((1 + each) / 2, change.df) for each in (level, LEVEL))
    factor = here / there
    low, high = change.value - change.low, change.high - change.value
    return change.model_copy(update={"low": change.value - factor * low, "high": change.value + factor * high})


def _quantile(chance: float, df: float | None) -> float:
    """Return a point of Student's t, or of the normal distribution where df is None."""
    return float(special.ndtri(chance) if df is None else special.stdtrit(df, chance))


def look(wanted: float, available: int, ask: Ask, console: Console) -> tuple[Round, Looks]:
    """Ask ever more items until the half width is at most `wanted`, or all were asked.

    Args:
        wanted: Half width of the adjusted interval of the macro change in SRS, pruned − dense.
        available: Items there are.
        ask: Asked for growing samples, each of which holds the one before.

    Returns:
        The last round, in which what was read at any of the looks does not count as recalled; and the looks.
    """
    sizes = planned(available)
    level = float(2 * special.ndtr(constant(sizes)) - 1)
    taken: list[Look] = []
    last: Round | None = None
    while True:
        last = _continued(ask(sizes[len(taken)]), last)
        change = widened(_change(last), level)
        taken.append(Look(items=len(last.task.items), prompts=last.prompts, half_width=_half(change)))
        console.say(_told(taken[-1], wanted))
        reached = (half := taken[-1].half_width) is not None and half <= wanted
        if reached or len(taken) == len(sizes):
            return last, Looks(
                wanted=wanted, planned=sizes, level=level, taken=tuple(taken), change=change, reached=reached
            )


def _continued(now: Round, before: Round | None) -> Round:
    """Count what this run read at the looks before as read, though this look recalled it."""
    if before is None:
        return now
    answers = {
        name: replace(
            found,
            recalled=found.recalled - (before.prompts - before.answers[name].recalled),
            seconds=found.seconds + before.answers[name].seconds,
        )
        for name, found in now.answers.items()
    }
    return replace(now, answers=answers)


def _change(found: Round) -> Estimate:
    dense, pruned = (found.answers[name].choices for name in SIDES)
    return Comparison(found.task.sample, dense, pruned).score("srs", "macro").difference


def _half(change: Estimate) -> float | None:
    return None if change.low is None or change.high is None else (change.high - change.low) / 2


def _told(found: Look, wanted: float) -> str:
    width = "not defined" if found.half_width is None else f"±{found.half_width:.4f}"
    return f"{found.items:,} items: the change in SRS is known to {width}; asked for ±{wanted:g}."
