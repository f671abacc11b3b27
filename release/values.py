"""Small records that several parts share: a value with its interval, a share, where data came from, an engine."""

import re
from typing import Annotated, Literal

from pydantic import Field

from release.frozen import Frozen

Reading = Literal["letters", "answers", "generate"]
"""How an answer is read from a model."""
Precision = Literal["float32", "bfloat16", "float16"]
"""Arithmetic of a forward pass."""
Tokens = tuple[int, ...]
"""Token ids of a text, as a model's own tokenizer numbers them."""
EngineName = Literal["transformers", "mlx"]
"""What runs a model."""
Positive = Annotated[float, Field(gt=0)]
"""Degrees of freedom and design effects; of none, no interval and no p-value is made."""


class Package(Frozen):
    """A package and its version."""

    name: str
    version: str


class DataSource(Frozen):
    """A data set or text that something was measured on.

    Attributes:
        revision: Commit or release of the data, as its origin names it; None for one's own folder or file.
        sha256: Digest over the bytes that were used.
    """

    name: str
    origin: str
    revision: str | None
    licence: str | None
    sha256: str

    @property
    def words(self) -> frozenset[str]:
        """The words of a published data set's name, by which its paper is cited; a file of one's own cites nothing."""
        return frozenset(re.findall(r"[a-z0-9]+", self.name.lower()) if self.revision else ())


class Estimate(Frozen):
    """A value with its 95 % interval.

    All are None where the value is not defined; the interval alone where what is known is too little for one.

    Attributes:
        df: Degrees of freedom of Student's t from which the interval was made, on the scale that suits the value
            (differences as they are, ratios by their logarithm); None where there is no interval, or where it rests on
            the normal distribution.
    """

    value: float | None
    low: float | None
    high: float | None
    df: Positive | None = None

    @property
    def spread(self) -> float | None:
        """Half the width of the interval; None where there is none."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


class Rate(Frozen):
    """A share with its 95 % interval: Wilson's, with the sample size that the question templates leave of `n`.

    Attributes:
        templates: Question templates that the n items come from; None where they were counted as independent.
        design_effect: Variance over that of independent items, and somewhat more, since few templates tell it only
            roughly; n / design_effect is the effective sample size.
    """

    count: int
    n: int
    value: float | None
    low: float | None
    high: float | None
    templates: int | None = None
    design_effect: Positive | None = None


class Score(Frozen):
    """One bias or accuracy score, dense and pruned, with the interval of the paired difference.

    Attributes:
        name: `srs`, `usr`, `anti`, `lean`, `unparsed`, `accuracy_ambiguous`, `accuracy_disambiguated`, `s_amb` or
            `s_dis`.
        over: `macro` (unweighted mean over categories), `items` (item-weighted), or a category's name.
        items: Items the score is taken over.
        difference: pruned − dense.
        ratio: pruned / dense, of shares over all categories; its interval is made on the logarithm.
        categories: Categories that the score is taken over: those where it is defined for both models.
        templates: Question templates that answer it, or what else items share: target terms, pairs of occupations.
    """

    name: str
    over: str
    items: int
    dense: Estimate
    pruned: Estimate
    difference: Estimate
    ratio: Estimate | None = None
    categories: int | None = None
    templates: int | None = None
