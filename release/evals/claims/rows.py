"""Every claim: those of each evaluation, and those that span several."""

from release.evals.claim import Claim, wording
from release.evals.claims import spanning
from release.evals.registry import EVALS


def _all() -> tuple[Claim, ...]:
    found = {claim.key: claim for claims in (*(row.claims for row in EVALS), spanning.CLAIMS) for claim in claims}
    return tuple(found[key] for key in wording())


CLAIMS = _all()
"""In the order of their words, which is that of a card."""
