"""Magnitude pruning: the smallest |w| go first."""

from release.checkpoint.header import Bits, Tensor
from release.pruning.draws import Draws
from release.pruning.method import Method, Paper
from release.pruning.selection import Scores


def score(tensor: Tensor, bits: Bits, draws: Draws) -> Scores:  # noqa: ARG001
    """Take the bits without the sign: for IEEE floats they order exactly as |w| does."""
    return tensor.magnitude(bits)


MAGNITUDE = Method(
    "magnitude",
    "Magnitude",
    score,
    paper=Paper(
        "Learning both Weights and Connections for Efficient Neural Networks",
        "Han, Pool, Tran and Dally",
        2015,
        "1506.02626",
    ),
)
