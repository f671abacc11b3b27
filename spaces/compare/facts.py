"""What the page says about a pruned model: plain text without markup, which the page has to escape."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from decimals import showing

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
LONGEST = 300
"""Characters of one fact that are shown."""
LONGEST_PROSE = 700
"""Characters of a warning or a caveat; what is longer ends with its last whole sentence."""

LOST_LANGUAGE = 10
"""Times the dense model's perplexity from which on a copy is said to write language no longer."""

LARGE = 1e6
"""From here on a number is written without decimals."""
UNDEFINED = "n/a"

Values = tuple[tuple[str, str], ...]
"""The parts of a tile, each with its name ("" where there is none)."""


@dataclass(frozen=True)
class Measured:
    """A metric as numbers.

    Attributes:
        dense: The dense model's value.
        pruned: The pruned model's.
        low: Lower end of the 95 % interval of the change, laid at the dense value.
        high: Upper end.
        form: Python's format of these numbers but the dense value, or `seconds`.
        count: How many questions, pairs or tokens it was measured on; None where that is not stated.
        form_dense: Python's format of the dense value, or `seconds`.
    """

    pruned: float
    dense: float | None = None
    low: float | None = None
    high: float | None = None
    form: str = ",.4g"
    count: int | None = None
    form_dense: str = ",.4g"


@dataclass(frozen=True)
class Said:
    """What the evidence says of one claim.

    Attributes:
        verdict: The claim's title and its verdict.
        words: The same in whole sentences.
    """

    verdict: str
    words: str


class ShownNumber(NamedTuple):
    """One of the two numbers that say what pruning did, written out as on the card."""

    label: str
    dense: str
    pruned: str
    change: str


@dataclass(frozen=True)
class Facts:
    """What the page says about one pruned model.

    Attributes:
        method: The pruning method's name.
        sparsity: The share of zeros among the prunable weights, or else the target, 0 to 1.
        sentence: What pruning did, in one sentence; None where its release does not say so.
        headline: The numbers that go with it, two at most.
        configuration: How it was pruned: tiles by label.
        measurements: What was measured on its files: tiles by label.
        numbers: The same as numbers, by the metric's key.
        claims: What the evidence says of each claim.
        warnings: What stands above everything else, as text.
        research_only: Whether the model is restricted to research.
        license: That of the weights; None where none is stated.
        base: Hub id of the dense model.
        paper: arXiv id of the paper that it goes back to.
        bbq_prompt: How BBQ was asked: how its prompts were rendered, and read, where not by letters.
        trouble: Why nothing is known, where nothing is.
    """

    method: str | None = None
    sparsity: float | None = None
    sentence: str | None = None
    headline: tuple[ShownNumber, ...] = ()
    configuration: tuple[tuple[str, Values], ...] = ()
    measurements: tuple[tuple[str, Values], ...] = ()
    numbers: Mapping[str, Measured] = field(default_factory=dict)
    claims: tuple[Said, ...] = ()
    warnings: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()
    research_only: bool = False
    license: str | None = None
    base: str | None = None
    paper: str | None = None
    bbq_prompt: str | None = None
    trouble: str | None = None


def lost_language(facts: Facts) -> float | None:
    """Return how many times its perplexity rose where that is beyond `LOST_LANGUAGE`."""
    found = facts.numbers.get("perplexity")
    if found is None or not found.dense or found.pruned < LOST_LANGUAGE * found.dense:
        return None
    return found.pruned / found.dense


def one_line(text: str, most: int = LONGEST) -> str:
    """Put a text from outside on one line of limited length."""
    return " ".join(text[: 4 * most].split())[:most]


def whole_sentences(text: str) -> str:
    """Shorten a text to its whole sentences within the limit."""
    if len(text) <= LONGEST_PROSE:
        return text
    return text[:LONGEST_PROSE].rpartition(". ")[0] + " …"


def written(value: float | None, form: str) -> str:
    """Write a number: in powers of ten from a thousand million on, a minus as "−", and no sign before a zero."""
    if value is None or not math.isfinite(value):
        return UNDEFINED
    if form == "seconds":
        return _seconds(value)
    if LARGE <= abs(value) < 1e9 and form.endswith("f"):
        form = f"{form.partition('.')[0]}.0f"
    text = format(value, form if abs(value) < 1e9 or form.endswith(".0f") else form.replace("f", "e"))
    return text.lstrip("+-") if not text.strip("+-0.,") else text.replace("-", "−", 1)[:LONGEST]


def _seconds(value: float) -> str:
    if value < 60:
        return f"{value:.{showing(value, 3) if value < 1 else 2 if value < 10 else 1}f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
