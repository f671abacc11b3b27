"""How many claims of several releases stand on p-values: whoever picks one cell of a grid has asked in all of them."""

from collections.abc import Sequence
from typing import NamedTuple

from release.comparison.rows import ComparedRelease
from release.evals.claims import across

ALPHA = 0.05


class Significance(NamedTuple):
    """How many claims of several releases stand on p-values, with and without regard to their number.

    Attributes:
        asked: Claims with a p-value.
        alone: Those below 0.05 unadjusted.
        card: Those below it adjusted by Holm within their card.
        over_all: Those below it adjusted by Holm over all releases.
    """

    asked: int
    alone: int
    card: int
    over_all: int

    @property
    def said(self) -> str:
        """The counts in a sentence, each with its correction."""
        if not self.asked:
            return "no claim has a p-value"
        return (
            f"of {self.asked:,} claims with a p-value, {self.alone:,} below {ALPHA} unadjusted, {self.card:,} adjusted "
            f"by Holm within their card, {self.over_all:,} adjusted by Holm over all releases"
        )


def significance(releases: Sequence[ComparedRelease]) -> Significance:
    """Count the claims that stand on p-values."""
    records = [release.record for release in releases if release.record]
    claims = [claim for record in records for claim in record.claims if claim.p_value is not None]
    return Significance(
        asked=len(claims),
        alone=sum((claim.p_value or 0) < ALPHA for claim in claims),
        card=sum(claim.p_adjusted is not None and claim.p_adjusted < ALPHA for claim in claims),
        over_all=sum(p < ALPHA for p in across(records).values()),
    )
