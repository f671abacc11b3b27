"""Uniform random pruning: the control that knows nothing of the weights."""

from release.checkpoint.header import Bits, Tensor
from release.pruning.draws import Draws
from release.pruning.method import Method
from release.pruning.selection import Scores


def score(tensor: Tensor, bits: Bits, draws: Draws) -> Scores:  # noqa: ARG001
    """Draw an independent 16-bit key for each weight.

    The k smallest keys, ties settled by further random bits, are uniform over all k-subsets, and the set for a
    smaller sparsity lies inside the set for a larger one.
    """
    return draws.keys(bits.size)


RANDOM = Method("random", "Random", score)
