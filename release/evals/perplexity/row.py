"""Perplexity as an evaluation."""

from release.evals.eval import Eval
from release.evals.perplexity.metrics import METRICS
from release.evals.perplexity.result import Perplexity

PERPLEXITY = Eval(
    key="perplexity",
    title="Perplexity",
    result=Perplexity,
    metrics=METRICS,
    module="release.evals.perplexity.claims",
    sources=lambda found: (found.text,),
    bibliography=lambda found: found.text.words,
)
