"""Magnitude pruning: the smallest |w| go first."""

from release.pruning.method import Method, Paper, PrunedTensor, Scorer, Scores


def scorer(subject: PrunedTensor) -> Scorer:
    """Score by the bits without the sign: for IEEE floats they order exactly as |w| does, NaN last."""

    def scores(start: int, stop: int) -> Scores:
        return subject.tensor.magnitude(subject.bits[start:stop])

    return scores


MAGNITUDE = Method(
    "magnitude",
    "Magnitude",
    scorer,
    scopes=("tensor", "row", "global"),
    paper=Paper(
        "Learning both Weights and Connections for Efficient Neural Networks",
        "Han, Pool, Tran and Dally",
        2015,
        "https://arxiv.org/abs/1506.02626",
    ),
)
