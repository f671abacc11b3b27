"""What may be said about tasks."""

from collections.abc import Sequence

from release import format as text
from release.evals.claim import Claim, Finding, Guard, missing
from release.evals.engine.statistics import ALPHA, holm, p_against
from release.evals.tasks.result import Tasks
from release.schema.measurements import Measurements
from release.schema.record import Audit, Verdict
from release.values import Score

NAMED = 6
"""Tasks that the evidence names, at most."""


def lost(_: Audit | None, measurements: Measurements) -> Finding:
    """Decide whether a capability was lost: accuracy is lower on one task at least, after Holm over all of them.

    Contradicted where no task's whole interval lies below 0, and none reaches below it.
    """
    found: Tasks | None = measurements.get("tasks")
    if found is None:
        return missing("no task of a harness")
    scores = able(found)
    p_values = [p_against(score.difference, 0) for score in scores]
    known = [(score, p) for score, p in zip(scores, p_values, strict=True) if p is not None]
    adjusted = holm([p for _, p in known])
    fallen = [(score, p) for (score, _), p in zip(known, adjusted, strict=True) if _below(score) and p < ALPHA]
    evidence = _evidence(scores or found.headlines, [score for score, _ in fallen])
    if fallen:
        return Finding("supported", evidence, min(p for _, p in fallen))
    return Finding(_unless(scores), evidence, max(adjusted, default=None))


def able(found: Tasks) -> tuple[Score, ...]:
    """Return the scores of tasks that the dense model does better than by guessing."""
    return tuple(
        score
        for score in found.headlines
        if score.dense.low is not None and score.dense.low > found.guessing_of(score.over)
    )


def _below(score: Score) -> bool:
    return score.difference.high is not None and score.difference.high < 0


def _unless(scores: tuple[Score, ...]) -> Verdict:
    """Say what follows where no loss is certain: it is ruled out where no interval reaches below 0."""
    lows = [score.difference.low for score in scores]
    return "contradicted" if lows and all(low is not None and low >= 0 for low in lows) else "inconclusive"


def _evidence(scores: Sequence[Score], fallen: Sequence[Score]) -> str:
    told = [_told(score) for score in (fallen or scores)[:NAMED]]
    more = len(fallen or scores) - len(told)
    what = "lost on " if fallen else "accuracy: "
    return what + "; ".join(told) + (f"; and {text.count(more)} more" if more else "")


def _told(score: Score) -> str:
    return (
        f"{score.over} {score.name} {text.fixed(score.dense.value, 4)} → {text.fixed(score.pruned.value, 4)}, "
        f"difference {text.signed(score.difference.value, 4)}, "
        f"95 % interval {text.signed_interval(score.difference, 4)}"
    )


def _imported(measurements: Measurements) -> str | None:
    found: Tasks | None = measurements.get("tasks")
    return "the answers were imported: that these files gave them was not seen" if found and found.imported else None


def _unread(measurements: Measurements) -> str | None:
    """Doubt what is said of a model that guesses: it has nothing to lose."""
    found: Tasks | None = measurements.get("tasks")
    return None if found is None or able(found) else "the dense model does no better than guessing on any of them"


GUARDS = (Guard("asked here", _imported, always=True), Guard("does the tasks", _unread, always=True))
CLAIMS = (Claim("capability_lost", "capability", ("measurements.tasks.scores",), lost, GUARDS),)
