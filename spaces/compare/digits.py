"""How a metric's numbers are written: with the digits that its interval is worth, as on a release's card.

They end where half the interval's width has one digit, or two where these begin with 1 to 3.5, as the Particle Data
Group rounds (Review of Particle Physics, Introduction, 5.3 Rounding).
"""

import math
from typing import NamedTuple

MOST_DECIMALS, MOST_OF_SMALL = 4, 9
FIGURES = 3
"""Significant figures of a number that no interval says more of."""
ROUNDED_TO_TWO = 3.55
SCORE_DIGITS = 2
"""Decimals of a score without an interval."""


class RecordedChange(NamedTuple):
    """A difference or a ratio, with the ends of its interval; None where it has none."""

    value: float | None
    low: float | None
    high: float | None

    @property
    def spread(self) -> float | None:
        """Half the width of its interval."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2

    @property
    def is_open_to_zero(self) -> bool:
        """Whether its interval holds a zero."""
        return self.low is not None and self.high is not None and self.low <= 0 <= self.high


class Forms(NamedTuple):
    """Python's formats of the dense model's value, of the pruned model's, and of the change."""

    dense: str
    pruned: str
    change: str


def forms(kind: str, dense: float | None, pruned: float | None, change: RecordedChange) -> Forms:
    """Return how a line is written.

    Args:
        kind: `score`, whose change is a difference, or `perplexity` and `seconds`, whose change is a ratio.
    """
    if kind == "score":
        digits = _of_difference(change)
        return Forms(f",.{digits}f", f",.{digits}f", f"+,.{digits}f")
    ratio = f",.{showing(change.value, _decimals(change.spread, _figures(change.value)))}f"
    if kind == "seconds":
        return Forms(kind, kind, ratio)
    return Forms(*(f",.{_of_side(side, change)}f" for side in (dense, pruned)), ratio)


def _of_difference(change: RecordedChange) -> int:
    digits = _decimals(change.spread, min(SCORE_DIGITS, _figures(change.value)))
    return digits if change.is_open_to_zero else showing(change.value, digits)


def _of_side(side: float | None, ratio: RecordedChange) -> int:
    """Return the decimals of one side of a ratio, which is known as well as the ratio, relatively."""
    spread = None if side is None or ratio.spread is None or not ratio.value else side * ratio.spread / ratio.value
    return _decimals(spread, showing(side, _figures(side)))


def _decimals(spread: float | None, otherwise: int) -> int:
    if not spread or not math.isfinite(spread):
        return otherwise
    if spread < 10.0**-MOST_DECIMALS:
        return MOST_DECIMALS
    place = math.floor(math.log10(spread))
    return min(MOST_DECIMALS, max(0, (spread / 10.0**place < ROUNDED_TO_TWO) - place))


def showing(number: float | None, digits: int) -> int:
    """Return `digits`, or more of a number that would read as zero with these."""
    if not number or not math.isfinite(number):
        return digits
    first = -math.floor(math.log10(abs(number)))
    return digits if first <= digits else min(MOST_OF_SMALL, first + 1)


def _figures(number: float | None) -> int:
    if not number or not math.isfinite(number):
        return FIGURES - 1
    exponent = int(f"{number:.{FIGURES - 1}e}".partition("e")[2])  # of the rounded number: 9.996 is written 10.0
    return min(MOST_DECIMALS, max(0, FIGURES - 1 - exponent))
