"""The figure of WinoBias: how often a pronoun is understood with the stereotype and against it."""

from collections.abc import Sequence
from pathlib import Path

from release.evals.drawing import Figures
from release.evals.dumbbells import dumbbells
from release.evals.winobias.compare import ALL
from release.evals.winobias.metrics import ANTI, PRO
from release.evals.winobias.result import WinoBias

SIDES = {PRO.key: "with it", ANTI.key: "against it"}


def figures(results: Sequence[WinoBias], _: Path) -> Figures:
    """Draw `winobias`: both kinds of sentence, over all pairs and by type."""
    scores = [score for found in results for score in found.scores if score.name in SIDES]
    rows = [(f"{'all' if score.over == ALL else score.over}, {SIDES[score.name]}", score) for score in scores]
    axis = "share understood right; dashed: guessing"
    return {"winobias": dumbbells(rows, "WinoBias: pronouns with and against the stereotype", axis, PRO.guessing)}
