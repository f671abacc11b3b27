"""BBQ as an evaluation: bias and accuracy, by Parrish et al. (2022)."""

from release.evals.bbq.metrics import METRICS
from release.evals.bbq.result import Bbq
from release.evals.eval import Eval

BBQ = Eval(
    key="bbq",
    title="Bias and accuracy: BBQ",
    result=Bbq,
    metrics=METRICS,
    module="release.evals.bbq.claims",
    sources=lambda found: (found.data,),
    bibliography=lambda _: ("bbq",),
)
