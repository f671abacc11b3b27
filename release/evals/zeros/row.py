"""What becomes of the zeros next, as an evaluation."""

from release.evals.eval import Eval
from release.evals.zeros.result import Zeros

ZEROS = Eval(
    key="zeros",
    title="What happens to the zeros next",
    result=Zeros,
    work_module="release.evals.zeros.work",
    check_module="release.evals.zeros.again",
    expected=True,
)
"""Quantizing and merging a LoRA, tried on the pruned files."""
