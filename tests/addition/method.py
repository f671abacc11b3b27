"""Largest first: magnitude turned round, for a test."""

from release.pruning.method import Method, PrunedTensor, Scorer, Scores


def scorer(subject: PrunedTensor) -> Scorer:
    """Score by the bits without the sign, turned round."""

    def scores(start: int, stop: int) -> Scores:
        found: Scores = ~subject.tensor.magnitude(subject.bits[start:stop])
        return found

    return scores


LARGEST = Method("largest", "Largest first", scorer)
