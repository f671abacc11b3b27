"""The figure of CrowS-Pairs: the share of more stereotypical sentences, by category."""

from collections.abc import Sequence
from pathlib import Path

from release.evals.crows_pairs.compare import ALL
from release.evals.crows_pairs.metrics import STEREOTYPE
from release.evals.crows_pairs.result import CrowsPairs
from release.evals.drawing import Figures
from release.evals.dumbbells import dumbbells


def figures(results: Sequence[CrowsPairs], _: Path) -> Figures:
    """Draw `crows-pairs`."""
    scores = [score for found in results for score in found.scores if score.name == STEREOTYPE.key]
    rows = [("All pairs" if score.over == ALL else score.over, score) for score in scores]
    axis = "share of pairs; dashed: neither sentence preferred"
    return {
        "crows-pairs": dumbbells(rows, "CrowS-Pairs: more stereotypical sentence likelier", axis, STEREOTYPE.guessing)
    }
