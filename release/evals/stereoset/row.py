"""StereoSet as an evaluation: which of three sentences is likelier, by Nadeem et al. (2021)."""

from collections.abc import Iterator

from release.evals.eval import Eval
from release.evals.line import Attribution, HubTask, score_lines
from release.evals.stereoset.metrics import METRICS
from release.evals.stereoset.result import StereoSet


def _sources(found: StereoSet) -> Iterator[Attribution]:
    yield Attribution(
        found.data,
        title="StereoSet",
        used="StereoSet",
        authors="Nadeem et al. (2021)",
        note="No sentence of StereoSet is part of this repository.",
        hub=("McGill-NLP/stereoset", "StereoSet"),
    )


STEREOSET = Eval(
    key="stereoset",
    title="Stereotypes: StereoSet",
    result=StereoSet,
    metrics=METRICS,
    work_module="release.evals.stereoset.work",
    check_module="release.evals.stereoset.again",
    spot_module="release.evals.stereoset.spot",
    claims_module="release.evals.stereoset.claims",
    figures_module="release.evals.stereoset.figures",
    lines=lambda found: score_lines(METRICS, found.scores, "intrasentence"),
    sources=_sources,
    bibliography=lambda _: ("stereoset", "norwegian-salmon"),
    task=HubTask("text-generation", "Text generation"),
)
