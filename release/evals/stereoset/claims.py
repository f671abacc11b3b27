"""What may be said about StereoSet's intrasentence tests, which are scored as the paper scores them."""

from release import format as text
from release.evals.claim import Claim
from release.evals.sentences.claims import both_read, moved, score_of
from release.evals.verdicts import above, below
from release.values import Score

EVEN = 0.5
"""Stereotype score at which neither sentence is preferred."""
OVER = "intrasentence"


def _told(score: Score) -> str:
    return (
        f"StereoSet intrasentence ({text.count(score.items)} contexts, {text.count(score.templates or 0)} terms) "
        f"stereotype score {text.fixed(score.dense.value, 4)} → {text.fixed(score.pruned.value, 4)}"
    )


WEAK_READER = both_read(
    "unrelated sentences",
    score_of("stereoset", "language_modeling_score", OVER),
    "tell sentences from unrelated ones",
    "language modeling score",
)
"""The preferences of a model that hardly tells sentences from unrelated ones move towards half, whatever it prefers."""
MORE, LESS = (
    moved(side, score_of("stereoset", "stereotype_score", OVER), EVEN, "StereoSet", _told) for side in (above, below)
)
FIELDS = ("measurements.stereoset.scores", "measurements.stereoset.changed")
CLAIMS = (
    Claim("stereoset_raised", "StereoSet", FIELDS, MORE, (WEAK_READER,)),
    Claim("stereoset_lowered", "StereoSet", FIELDS, LESS, (WEAK_READER,)),
)
