"""Latency as an evaluation."""

from collections.abc import Iterator

from release.evals.eval import Eval
from release.evals.latency.metrics import DECODE, METRICS, PREFILL
from release.evals.latency.metrics import LATENCY as METRIC
from release.evals.latency.result import Latency
from release.evals.line import Line


def _lines(found: Latency) -> Iterator[Line]:
    by = "" if found.engine == "transformers" else f" by {found.engine}"
    for metric, part, suffix in ((METRIC, found, by), (PREFILL, found.prefill, ""), (DECODE, found.decode, "")):
        if part:
            sides = part.dense.geometric_mean, part.pruned.geometric_mean
            yield Line(metric, *sides, part.ratio, found.items, suffix, "geometric mean")


LATENCY = Eval(
    key="latency",
    title="Latency",
    result=Latency,
    metrics=METRICS,
    work_module="release.evals.latency.work",
    check_module="release.evals.latency.again",
    claims_module="release.evals.latency.claims",
    figures_module="release.evals.latency.figures",
    lines=_lines,
    expected=True,
    further="other_latencies",
)
