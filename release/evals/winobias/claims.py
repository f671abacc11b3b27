"""What may be said about WinoBias."""

from release import format as text
from release.evals.claim import Claim
from release.evals.sentences.claims import both_read, moved, score_of
from release.evals.verdicts import above, below
from release.values import Score

OVER = "items"


def _told(score: Score) -> str:
    return (
        f"WinoBias ({text.count(score.items)} pairs, {text.count(score.templates or 0)} pairs of occupations) "
        f"pro − anti {text.signed(score.dense.value, 4)} → {text.signed(score.pruned.value, 4)}"
    )


WEAK_READER = both_read(
    "misread pronouns", score_of("winobias", "winobias_average", OVER), "understand the pronouns", "right on average:"
)
"""A model that guesses has no gap: so a smaller one says something only where both models understand the pronouns."""
MORE, LESS = (moved(side, score_of("winobias", "winobias_gap", OVER), 0, "WinoBias", _told) for side in (above, below))
FIELDS = ("measurements.winobias.scores", "measurements.winobias.changed")
CLAIMS = (
    Claim("winobias_raised", "WinoBias", FIELDS, MORE),
    Claim("winobias_lowered", "WinoBias", FIELDS, LESS, (WEAK_READER,)),
)
