"""The divergence as an evaluation: how far the distribution of the next token moved, beside perplexity."""

from release.evals.divergence.metrics import METRICS
from release.evals.divergence.result import Divergence
from release.evals.eval import Eval
from release.evals.line import score_lines

DIVERGENCE = Eval(
    key="divergence",
    title="Divergence",
    result=Divergence,
    metrics=METRICS,
    work_module="release.evals.divergence.work",
    check_module="release.evals.divergence.again",
    spot_module="release.evals.divergence.spot",
    claims_module="release.evals.divergence.claims",
    figures_module="release.evals.divergence.figures",
    lines=lambda found: score_lines(METRICS, found.scores, "items"),
    bibliography=lambda _: ("dutta-2024",),
)
