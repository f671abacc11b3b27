"""CrowS-Pairs as an evaluation: which of two sentences is likelier, by Nangia et al. (2020)."""

from collections.abc import Iterator

from release.evals.crows_pairs.metrics import METRICS
from release.evals.crows_pairs.result import CrowsPairs
from release.evals.eval import Eval
from release.evals.line import Attribution, HubTask, score_lines


def _sources(found: CrowsPairs) -> Iterator[Attribution]:
    yield Attribution(
        found.data,
        title="CrowS-Pairs",
        used="CrowS-Pairs",
        authors="Nangia et al. (2020)",
        note="No sentence of CrowS-Pairs is part of this repository.",
        hub=("nyu-mll/crows_pairs", "CrowS-Pairs"),
    )


CROWS_PAIRS = Eval(
    key="crows_pairs",
    title="Stereotypes: CrowS-Pairs",
    result=CrowsPairs,
    metrics=METRICS,
    work_module="release.evals.crows_pairs.work",
    check_module="release.evals.crows_pairs.again",
    spot_module="release.evals.crows_pairs.spot",
    claims_module="release.evals.crows_pairs.claims",
    figures_module="release.evals.crows_pairs.figures",
    lines=lambda found: score_lines(METRICS, found.scores, "items"),
    sources=_sources,
    bibliography=lambda _: ("crows-pairs", "norwegian-salmon"),
    task=HubTask("text-generation", "Text generation"),
)
