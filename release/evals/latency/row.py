"""Latency as an evaluation."""

from release.evals.eval import Eval
from release.evals.latency.metrics import METRICS
from release.evals.latency.result import Latency

LATENCY = Eval(
    key="latency",
    title="Latency",
    result=Latency,
    metrics=METRICS,
    module="release.evals.latency.claims",
    sources=lambda found: (found.prompts,),
    further="other_latencies",
)
