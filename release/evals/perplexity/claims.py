"""What may be said about perplexity."""

from release.evals.claim import Claim, Finding, missing
from release.evals.engine.statistics import LOG
from release.evals.verdicts import above, against, ratio
from release.schema.measurements import Measurements
from release.schema.record import Audit

RATIO = "measurements.perplexity.ratio"


def perplexity_raised(_: Audit | None, measurements: Measurements) -> Finding:
    """Decide by the ratio of perplexities."""
    found = measurements.perplexity
    if found is None:
        return missing("perplexity")
    verdict, p_value = against(above, found.ratio, 1, LOG)
    return Finding(verdict, ratio("perplexity", found.ratio), p_value)


CLAIMS = (Claim("perplexity_raised", "perplexity", (RATIO,), perplexity_raised),)
