"""Uniform random pruning: the control that knows nothing of the weights."""

from release.pruning.method import Method, PrunedTensor, Scorer


def scorer(subject: PrunedTensor) -> Scorer:
    """Score by independent 8-bit keys, drawn anew wherever they are asked for.

    The k smallest keys, ties settled by further random bits, are uniform over all k-subsets, and the set for a
    smaller sparsity lies inside the set for a larger one. Drawing a key twice costs less than keeping it: a byte a
    weight is 50 MB of memory to fill and read back where a tensor has 50 million weights.
    """
    return subject.draws.keys


RANDOM = Method("random", "Random", scorer, version=2, seeded=True, uniform=True)
"""Version 1 drew 16-bit keys."""
