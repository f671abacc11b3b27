"""What may be said about the divergence."""

from release import format as text
from release.decimals import showing
from release.evals.claim import Claim, Finding, missing
from release.evals.divergence.result import Divergence
from release.evals.engine.statistics import LOG
from release.evals.verdicts import above, against
from release.schema.measurements import Measurements
from release.schema.record import Audit
from release.values import Score

MOVED = 0.01
"""Nats per token: of text that the dense model wrote, the pruned model's perplexity is 1 % above the dense one's."""
KEPT = 0.95
"""Share of positions at which the most likely token has to be the same."""
FIELDS = ("measurements.divergence.scores",)


def _score(measurements: Measurements, name: str) -> Score | None:
    found: Divergence | None = measurements.get("divergence")
    return None if found is None else next((score for score in found.scores if score.name == name), None)


def moved(_: Audit | None, measurements: Measurements) -> Finding:
    """Decide whether the mean divergence is surely more than `MOVED`."""
    score = _score(measurements, "kl_divergence")
    if score is None:
        return missing("the divergence")
    verdict, p_value = against(above, score.pruned, MOVED, LOG)
    return Finding(verdict, f"mean KL divergence {_told(score)} nats per token, bound {MOVED}", p_value)


def kept(_: Audit | None, measurements: Measurements) -> Finding:
    """Decide whether the most likely token surely stayed the same at more than `KEPT` of positions."""
    score = _score(measurements, "same_top")
    if score is None:
        return missing("the divergence")
    verdict, p_value = against(above, score.pruned, KEPT)
    return Finding(verdict, f"same most likely token at a share of {_told(score)} of positions, bound {KEPT}", p_value)


def _told(score: Score) -> str:
    digits = showing(score.pruned.value, 4)
    return f"{text.fixed(score.pruned.value, digits)}, 95 % interval {text.interval(score.pruned, digits)}"


CLAIMS = (
    Claim("distribution_moved", "distribution", FIELDS, moved),
    Claim("top_token_kept", "top token", FIELDS, kept),
)
