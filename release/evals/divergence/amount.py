"""On how many of perplexity's windows the distributions are compared, and on which."""

import sys
from collections.abc import Iterator
from typing import Any

from release.evals.perplexity.options import WINDOWS

AUTO_BYTES = 16_000_000_000
"""What the dense model's log-probabilities may take on disk where nobody asked for a number."""
SINGLE_BYTES = 4
"""Of one log-probability."""
FEWEST = 16
"""Windows that an interval rests on at least, see `statistics.FEWEST_IN_SERIES`."""


def amount(asked: str, windows: int, nbytes: int) -> int:
    """Return how many windows are compared.

    Args:
        asked: `auto`, `full` or a number.
        windows: How many perplexity reads.
        nbytes: Of one window's log-probabilities.
    """
    if asked == "full":
        return windows
    wanted = max(FEWEST, AUTO_BYTES // nbytes) if asked == "auto" else int(asked)
    return min(wanted, windows)


def kept_bytes(asked: Any, vocabulary: int) -> int | None:
    """Return how many bytes a dense model's log-probabilities take at most; None where that depends on the text.

    Args:
        asked: What is measured, `release.settings.measuring.Measuring`.
        vocabulary: V.
    """
    if "off" in (asked.divergence, asked.perplexity):
        return 0
    window = asked.window or WINDOWS[asked.perplexity_preset]
    nbytes = min(window - 1, asked.stride or window) * vocabulary * SINGLE_BYTES
    if asked.perplexity.isdecimal():
        return nbytes * amount(asked.divergence, int(asked.perplexity), nbytes)
    return None if asked.divergence == "full" else nbytes * amount(asked.divergence, sys.maxsize, nbytes)


def evenly(windows: int, count: int) -> Iterator[int]:
    """Return the numbers of so many windows that lie evenly among all: each one's middle of n equal parts."""
    return ((2 * part + 1) * windows // (2 * count) for part in range(count))
