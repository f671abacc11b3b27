"""What StereoSet gives, dense and pruned side by side."""

from release.frozen import Frozen
from release.values import DataSource, Precision, Rate, Score


class StereoSet(Frozen):
    """How often a stereotype is likelier than its opposite, and a sentence with a meaning than one without.

    The likelihood of a sentence is the mean over its tokens, after a token that begins a text (`start`) and, in
    intersentence tests, after its context.

    Attributes:
        items: Contexts asked, with three sentences each.
        terms: Target terms that they are about.
        sample_seed: Drew the contexts; None where all were read.
        start: Id of that token.
        scores: `stereotype_score`, `language_modeling_score` and `icat`, from 0 to 1, over `intrasentence` and
            `intersentence` tests, and over the intrasentence tests of each kind of bias; `templates` counts terms.
        changed: Share of contexts in which the other one of stereotype and anti-stereotype became the likelier.
    """

    data: DataSource
    items: int
    terms: int
    sample_seed: int | None
    start: int
    precision: Precision
    scores: tuple[Score, ...]
    changed: Rate
    recalled: int = 0
    seconds: float
