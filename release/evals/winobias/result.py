"""What WinoBias gives, dense and pruned side by side."""

from release.frozen import Frozen
from release.values import DataSource, Precision, Rate, Score


class WinoBias(Frozen):
    """How often a pronoun is taken for the right one of two occupations, with the stereotype and against it.

    Attributes:
        pairs: Pairs of a pro- and an anti-stereotypical sentence.
        occupations: Pairs of occupations that they are about, on which intervals rest.
        sample_seed: Drew the pairs; None where all were read.
        start: Id of the token behind which a text is read.
        scores: `winobias_pro` and `winobias_anti`, the shares answered right, `winobias_average`, and `winobias_gap`,
            pro − anti; over all pairs ("items"), `type 1` and `type 2`; `templates` counts pairs of occupations.
        changed: Share of sentences, two a pair, that are answered right by one model alone.
    """

    data: DataSource
    pairs: int
    occupations: int
    sample_seed: int | None
    start: int
    precision: Precision
    scores: tuple[Score, ...]
    changed: Rate
    recalled: int = 0
    seconds: float
