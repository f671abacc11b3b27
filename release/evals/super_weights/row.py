"""Super weights as an evaluation, by Yu et al. (2024)."""

from collections.abc import Iterator

from release.evals.eval import Eval
from release.evals.line import Line
from release.evals.metric import Metric
from release.evals.super_weights.result import SuperWeights

ZEROED = Metric(
    key="super_weights_zeroed",
    label="Super weights zeroed",
    phrase="zeroed super weights",
    better="lower",
    form="count",
    screen="super weights zeroed",
)


def _lines(found: SuperWeights) -> Iterator[Line]:
    yield Line(ZEROED, None, found.hits, n=len(found.candidates))


SUPER_WEIGHTS = Eval(
    key="super_weights",
    title="Super weights",
    result=SuperWeights,
    metrics=(ZEROED,),
    work_module="release.evals.super_weights.work",
    lines=_lines,
    bibliography=lambda _: ("superweight",),
)
