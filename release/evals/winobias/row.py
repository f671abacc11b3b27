"""WinoBias as an evaluation: which occupation a pronoun refers to, by Zhao et al. (2018)."""

from collections.abc import Iterator

from release.evals.eval import Eval
from release.evals.line import Attribution, HubTask, score_lines
from release.evals.winobias.metrics import METRICS
from release.evals.winobias.result import WinoBias


def _sources(found: WinoBias) -> Iterator[Attribution]:
    yield Attribution(
        found.data,
        title="WinoBias",
        used="WinoBias",
        authors="Zhao et al. (2018)",
        note="No sentence of WinoBias is part of this repository.",
        hub=("uclanlp/wino_bias", "WinoBias"),
    )


WINOBIAS = Eval(
    key="winobias",
    title="Pronouns and occupations: WinoBias",
    result=WinoBias,
    metrics=METRICS,
    work_module="release.evals.winobias.work",
    check_module="release.evals.winobias.again",
    spot_module="release.evals.winobias.spot",
    claims_module="release.evals.winobias.claims",
    figures_module="release.evals.winobias.figures",
    lines=lambda found: score_lines(METRICS, found.scores, "items"),
    sources=_sources,
    bibliography=lambda _: ("winobias", "gpt3"),
    task=HubTask("text-generation", "Text generation"),
)
