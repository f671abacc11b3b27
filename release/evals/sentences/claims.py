"""The rules that benchmarks of sentences share: a preference that moved, and guards where a model hardly reads."""

from collections.abc import Callable
from typing import Any

from release import format as text
from release.evals.claim import Finding, Guard, Rule, missing
from release.evals.sentences.compare import unmoved
from release.evals.verdicts import Decision, Side, above, against, all_of
from release.schema.measurements import Measurements
from release.schema.record import Audit
from release.values import Rate, Score

HALF_WAY = 0.75
"""A share half-way from guessing to always right: below it a reader knows less than it guesses."""
Found = Callable[[Measurements], tuple[Score, Rate] | None]
"""A score, with the share of items that changed; None where it was not measured."""


def score_of(key: str, name: str, over: str) -> Found:
    """Find a benchmark's score over some of its items; there is none where none of these were drawn."""

    def found(measurements: Measurements) -> tuple[Score, Rate] | None:
        held: Any = measurements.get(key)
        scores = held.scores if held else ()
        score = next((each for each in scores if (each.name, each.over) == (name, over)), None)
        return (score, held.changed) if score else None

    return found


def moved(side: Side, found: Found, even: float, name: str, told: Callable[[Score], str]) -> Rule:
    """Make the rule that asks whether a score moved to one side.

    More is told where the pruned model's score is above `even`, less where the dense model's is: a model that leant the
    other way and now leans neither way has not come to prefer anything. Where it is sure that hardly an item changed,
    nothing moved.

    Args:
        even: The score of who prefers neither.
        name: The benchmark.
        told: The evidence as it stands on the card, without the difference.
    """

    def rule(_: Audit | None, measurements: Measurements) -> Finding:
        known = found(measurements)
        if known is None:
            return missing(name)
        score, changed = known
        leaning = score.pruned if side is above else score.dense
        decided = all_of(against(side, score.difference, 0), against(above, leaning, even))
        if unmoved(changed):
            decided = Decision("contradicted", None)
        return Finding(decided.verdict, f"{told(score)}, {_difference(score)}", decided.p_value)

    return rule


def _difference(score: Score) -> str:
    return (
        f"difference {text.signed(score.difference.value, 4)}, "
        f"95 % interval {text.signed_interval(score.difference, 4)}"
    )


def both_read(name: str, found: Found, said: str, score_name: str) -> Guard:
    """Make the guard that asks both models for more than half-way from guessing to always right, by their intervals.

    Args:
        said: What both have to do surely, as the end of a sentence.
        score_name: What the score is called in it.
    """

    def stops(measurements: Measurements) -> str | None:
        known = found(measurements)
        if known is None or unmoved(known[1]):
            return None
        sides = (known[0].dense, known[0].pruned)
        if all(above(side, HALF_WAY) == "supported" for side in sides):
            return None
        dense, pruned = (f"{text.fixed(side.value, 3)} ({text.interval(side, 3)})" for side in sides)
        return (
            f"no verdict where it is not sure that both models {said} ({score_name} dense {dense}, pruned {pruned}; "
            f"guessing gives 0.5, and more than {HALF_WAY} is asked for)"
        )

    return Guard(name, stops, because=lambda _: "it is not sure that both read well enough")
