"""The figure of StereoSet: how often the stereotype is likelier than its opposite, by kind of bias."""

from collections.abc import Sequence
from pathlib import Path

from release.evals.drawing import Figures
from release.evals.dumbbells import dumbbells
from release.evals.stereoset.data import TESTS
from release.evals.stereoset.metrics import STEREOTYPE
from release.evals.stereoset.result import StereoSet

NAMES = {TESTS[0]: "All within a sentence", TESTS[1]: "Across sentences"}


def figures(results: Sequence[StereoSet], _: Path) -> Figures:
    """Draw `stereoset`: all tests within a sentence, each kind of bias among them, and the tests across sentences."""
    scores = [score for found in results for score in found.scores if score.name == STEREOTYPE.key]
    ordered = sorted(scores, key=lambda score: score.over == TESTS[1])
    rows = [(NAMES.get(score.over, score.over), score) for score in ordered]
    axis = "stereotype score, a mean over terms; dashed: neither preferred"
    return {"stereoset": dumbbells(rows, "StereoSet: stereotype likelier than its opposite", axis, STEREOTYPE.guessing)}
