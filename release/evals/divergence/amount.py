"""On how many of perplexity's windows the distributions are compared, and on which."""

from collections.abc import Iterator

AUTO_BYTES = 16_000_000_000
"""What the dense model's log-probabilities may take on disk where nobody asked for a number."""
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


def evenly(windows: int, count: int) -> Iterator[int]:
    """Return the numbers of so many windows that lie evenly among all: each one's middle of n equal parts."""
    return ((2 * part + 1) * windows // (2 * count) for part in range(count))
