"""Which formats a metric's numbers have: with the digits that its interval is worth, as on a release's card."""

from typing import NamedTuple

import decimals


class RecordedChange(NamedTuple):
    """A difference or a ratio, with the ends of its interval; None where it has none."""

    value: float | None
    low: float | None
    high: float | None


class Forms(NamedTuple):
    """Python's formats of the dense model's value, of the pruned model's, of the change, and of its interval's ends."""

    dense: str
    pruned: str
    change: str
    low: str
    high: str


def forms(kind: str, dense: float | None, pruned: float | None, change: RecordedChange) -> Forms:
    """Return how a line is written.

    Args:
        kind: `score`, whose change is a difference, or `perplexity` and `seconds`, whose change is a ratio.
    """
    if kind == "score":
        digits = decimals.of_difference(*change)
        return Forms(*[f",.{digits}f"] * 2, *[f"+,.{digits}f"] * 3)
    digits = decimals.of_ratio(*change)
    ratio = [f",.{each}f" for each in (digits, *(decimals.showing(end, digits) for end in change[1:]))]
    if kind == "seconds":
        return Forms(kind, kind, *ratio)
    return Forms(*(f",.{decimals.of_side(side, *change)}f" for side in (dense, pruned)), *ratio)
