"""Super weights as an evaluation, by Yu et al. (2024)."""

from release.evals.eval import Eval
from release.evals.super_weights.result import SuperWeights

SUPER_WEIGHTS = Eval(
    key="super_weights", title="Super weights", result=SuperWeights, bibliography=lambda _: ("superweight",)
)
