"""How many digits a number is worth. The Space's app comes along with a copy of this file, so it imports nothing."""

import math

MOST_DECIMALS = 4
"""Of a number whose interval is narrow."""
MOST_OF_SMALL = 9
"""Of a number so small that fewer would write it as zero; a smaller one is the rounding of fp32, and reads as zero."""
FIGURES = 3
"""Significant figures of a number that no interval says more of."""
ROUNDED_TO_TWO = 3.55
"""Below it the first digits of an uncertainty are kept as two, beyond it as one."""
SCORE_DIGITS = 2
"""Decimals of a score without an interval."""


def decimals(spread: float | None, otherwise: int) -> int:
    """Return to how many decimals a number is worth writing.

    Its digits follow its interval: they end where the half-width has one digit, or two where these begin with 1 to 3.5,
    as the Particle Data Group rounds (Review of Particle Physics, Introduction, 5.3 Rounding).

    Args:
        spread: Half the width of its 95 % interval; None where it has none.
        otherwise: What a number without an interval gets, or one that cannot differ.
    """
    if not spread or not math.isfinite(spread):
        return otherwise
    if spread < 10.0**-MOST_DECIMALS:
        return MOST_DECIMALS
    place = math.floor(math.log10(spread))
    return min(MOST_DECIMALS, max(0, (spread / 10.0**place < ROUNDED_TO_TWO) - place))


def showing(number: float | None, digits: int) -> int:
    """Return `digits`, or as many decimals as write two digits of a number that would read as zero with these."""
    if not number or not math.isfinite(number):
        return digits
    first = -math.floor(math.log10(abs(number)))
    return min(MOST_OF_SMALL, first + 1) if digits < first <= MOST_OF_SMALL else digits


def figures(number: float | None) -> int:
    """Return the decimals that leave a number three significant figures: 2 of 8.94, 1 of 31.36, 0 of a million."""
    if not number or not math.isfinite(number):
        return FIGURES - 1
    exponent = int(f"{number:.{FIGURES - 1}e}".partition("e")[2])  # of the rounded number: 9.996 is written 10.0
    return min(MOST_DECIMALS, max(0, FIGURES - 1 - exponent))


def of_difference(value: float | None, low: float | None, high: float | None) -> int:
    """Return the decimals that a difference is worth, and both sides of it.

    They follow its interval; one that has none, or whose interval holds no zero, is never written as zero.
    """
    digits = decimals(spread_of(low, high), min(SCORE_DIGITS, figures(value)))
    open_to_zero = low is not None and high is not None and low <= 0 <= high
    return digits if open_to_zero else showing(value, digits)


def of_ratio(value: float | None, low: float | None, high: float | None) -> int:
    """Return the decimals that a ratio is worth."""
    return showing(value, decimals(spread_of(low, high), figures(value)))


def of_side(side: float | None, ratio: float | None, low: float | None, high: float | None) -> int:
    """Return the decimals that one side of a ratio is worth: it is known as well as the ratio, relatively."""
    spread = spread_of(low, high)
    own = None if side is None or spread is None or not ratio else side * spread / ratio
    return decimals(own, showing(side, figures(side)))


def spread_of(low: float | None, high: float | None) -> float | None:
    """Return half the width of an interval; None where there is none."""
    return None if low is None or high is None else (high - low) / 2
