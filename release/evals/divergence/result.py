"""What the divergence gives."""

from release.frozen import Frozen
from release.values import Estimate, Precision, Score


class Divergence(Frozen):
    """How far the pruned model's next-token distributions lie from the dense one's, over windows of perplexity.

    Everything is taken over the scored tokens of these windows, from the full vocabulary. Intervals are over windows
    and allow for neighbors that are alike, as perplexity's do.

    Attributes:
        windows: How many were compared.
        of_windows: How many perplexity read; where fewer are compared, they lie evenly among these.
        positions: Scored tokens of each window.
        vocabulary: Tokens that a distribution is over.
        scores: `kl_divergence`, the mean of KL(dense ‖ pruned) in nats per token; `same_top`, the share of positions
            where both find the same token the most likely; `right_probability`, the mean probability of the token that
            stands there. Of the first two the dense model's value, 0 and 1, is that of any model beside itself.
        median: Of KL(dense ‖ pruned): half of the positions lie below.
        p99: 99 of 100 positions lie below.
        p999: 999 of 1,000 positions lie below.
        largest: At any position.
        right_rms: Root of the mean square of the change of the right token's probability.
    """

    windows: int
    of_windows: int
    positions: int
    vocabulary: int
    precision: Precision
    scores: tuple[Score, ...]
    median: Estimate
    p99: Estimate
    p999: Estimate
    largest: float
    right_rms: Estimate
