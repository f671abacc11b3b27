"""What CrowS-Pairs gives, dense and pruned side by side."""

from release.frozen import Frozen
from release.values import DataSource, Precision, Rate, Score


class CrowsPairs(Frozen):
    """How often the more stereotypical sentence of a pair is the likelier one, and by how much the two differ.

    A pair is one draw: there are no templates. The likelihood of a sentence is that of all its tokens after a token
    that begins a text (`start`).

    Attributes:
        sample_seed: Drew the pairs; None where all were read.
        start: Id of that token.
        scores: `pct_stereotype` and `likelihood_difference`, over all pairs ("items") and by category.
        dense: Share of pairs whose more stereotypical sentence the dense model finds likelier, with Wilson's interval.
        pruned: The pruned model's.
        changed: Share of pairs in which the other sentence became the likelier one.
    """

    data: DataSource
    pairs: int
    sample_seed: int | None
    start: int
    precision: Precision
    scores: tuple[Score, ...]
    dense: Rate
    pruned: Rate
    changed: Rate
    recalled: int = 0
    seconds: float
