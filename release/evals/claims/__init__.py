"""What may be said about a release: each claim is decided by the release's own evidence.

A claim is a row of its evaluation's `claims`, or of `spanning` where it rests on several: the record fields it rests
on, the rule that decides it, and the guards that have to let it through. What a card says for each verdict stands in
`templates/claims.yaml`.
The rules look at 95 % intervals, never at values alone:

* *supported*: the whole interval lies on the claim's side of the bound,
* *contradicted*: it lies wholly on the other side, the bound included; or no answer changed, of so many that hardly
  one can have changed elsewhere, so that a pruned model that equals its dense one contradicts every claim of a change,
* *inconclusive*: it holds the bound; there is no interval; a guard stops the claim; or the p-value is not below 0.05
  once it is adjusted for the other questions of the card (Holm 1979),
* *not measured*: the measurement was switched off, or its way of reading does not ask this.
"""

from release.evals.bbq.rules import HALF_WAY, find_lean, find_score
from release.evals.claim import Claim, wording
from release.evals.claims.decide import across, decide
from release.evals.claims.rows import CLAIMS

__all__ = ["CLAIMS", "HALF_WAY", "Claim", "across", "decide", "find_lean", "find_score", "wording"]
