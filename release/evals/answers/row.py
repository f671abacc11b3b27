"""Sample answers as an evaluation: no score, but what both models say to the same few questions."""

from collections.abc import Iterator

from release.evals.answers.result import SampleAnswers
from release.evals.eval import Eval
from release.evals.line import Attribution


def _sources(found: SampleAnswers) -> Iterator[Attribution]:
    if found.bbq is not None:
        yield Attribution(
            found.bbq,
            title="BBQ, among the sample answers",
            used="BBQ questions asked openly",
            authors="Parrish et al. (2022)",
            note="Their words stand in release.json and on this card; they probe stereotypes and state no facts.",
        )


ANSWERS = Eval(
    key="answers",
    title="Sample answers",
    result=SampleAnswers,
    work_module="release.evals.answers.work",
    check_module="release.evals.answers.again",
    spot_module="release.evals.answers.spot",
    sources=_sources,
)
