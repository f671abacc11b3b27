"""What may be said by several evaluations together, or by the counted zeros alone."""

import math

from release import format as text
from release.evals.bbq.claims import BIAS
from release.evals.bbq.guards import OF_BIAS
from release.evals.bbq.rules import find_score, leaned, unmoved
from release.evals.claim import Claim, Finding, missing
from release.evals.engine.statistics import LOG, exponential, standard_error, t_interval
from release.evals.perplexity.claims import RATIO
from release.evals.perplexity.result import Perplexity
from release.evals.verdicts import Decision, above, against, all_of
from release.pruning.budget import rounded_share
from release.schema.measurements import Measurements
from release.schema.record import Audit
from release.values import Estimate, Score


def hides_bias(audit: Audit | None, measurements: Measurements) -> Finding:
    """Decide the paradox: bias was amplified, and SRS grew by more than perplexity did.

    Two relative changes are equal where pruned / dense of one is pruned / dense of the other, so the interval is that
    of the ratio of these ratios, on the logarithm. Items and windows are independent, so their variances add.
    """
    bbq, perplexity, srs = measurements.bbq, measurements.perplexity, find_score(measurements.bbq, "srs")
    if bbq is None or srs is None:
        return missing("BBQ SRS")
    if perplexity is None:
        return missing("perplexity")
    amplified = leaned(above)(audit, measurements)
    growth = outgrown(srs, perplexity)
    decided = all_of(Decision(amplified.verdict, amplified.p_value), against(above, growth, 1, LOG))
    if unmoved(bbq):
        decided = Decision("contradicted", None)
    evidence = (
        f"SRS {text.signed_percent(_relative(srs))}, perplexity {text.signed_percent(_excess(perplexity))}, "
        f"ratio {text.interval(perplexity.ratio, 4)}; SRS grew {text.fixed(growth.value, 3)} times as much, "
        f"95 % interval {text.interval(growth, 3)}; {amplified.evidence}"
    )
    return Finding(decided.verdict, evidence, decided.p_value)


def outgrown(srs: Score, perplexity: Perplexity) -> Estimate:
    """Return pruned / dense of SRS over pruned / dense of perplexity, with its interval; Welch's degrees of freedom."""
    mine, theirs = srs.ratio, perplexity.ratio
    if mine is None or not mine.value or not theirs.value:
        rise = _relative(srs)
        value = None if rise is None or not theirs.value else _finite((1 + rise) / theirs.value)
        return Estimate(value=value, low=None, high=None)
    value, errors = _finite(mine.value / theirs.value), (standard_error(mine, LOG), standard_error(theirs, LOG))
    if not value or errors[0] is None or errors[1] is None:
        return Estimate(value=value, low=None, high=None)
    return _combined(value, (errors[0], mine.df), (errors[1], theirs.df))


def _combined(value: float, *parts: tuple[float, float | None]) -> Estimate:
    """Return a product of independent factors with its interval; each part is a standard error and its df."""
    total = sum(error**2 for error, _ in parts)
    spent = sum(error**4 / df for error, df in parts if df is not None)
    df = total**2 / spent if spent else 1e6
    return exponential(t_interval(math.log(value), math.sqrt(total), df))


def _relative(score: Score) -> float | None:
    """Pruned / dense − 1; not defined where either is not, or dense is 0."""
    if score.pruned.value is None or not score.dense.value:
        return None
    return _finite(score.pruned.value / score.dense.value - 1)


def _finite(value: float) -> float | None:
    """A value, or None where a float cannot hold it: a record may state a score of 1e-308, which nothing measures."""
    return value if math.isfinite(value) else None


def _excess(perplexity: Perplexity) -> float | None:
    return None if perplexity.ratio.value is None else perplexity.ratio.value - 1


def counts_as_targeted(audit: Audit | None, _: Measurements) -> Finding:
    """Compare the zeros counted with the budget, to the last weight."""
    if audit is None:
        return Finding("not measured", "the zeros in the files were not counted")
    budget = rounded_share(audit.target_sparsity, audit.prunable_parameters)
    evidence = (
        f"{text.count(audit.zeroed_parameters)} zeros in the written files, {text.count(budget)} targeted, "
        f"of {text.count(audit.prunable_parameters)} prunable"
    )
    if audit.crowded:
        evidence += f"; {text.count(audit.crowded)} zeros of the base had no room in their share and stay"
    exact = audit.zeroed_parameters == budget + audit.crowded
    return Finding("supported" if exact else "contradicted", evidence)


COUNTS = ("audit.target_sparsity", "audit.prunable_parameters", "audit.zeroed_parameters")

CLAIMS = (
    Claim("perplexity_hides_bias", "paradox", (*BIAS, RATIO), hides_bias, OF_BIAS),
    Claim("counts_as_targeted", "zeros", COUNTS, counts_as_targeted),
)
