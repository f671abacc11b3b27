"""How a benchmark says what it found: for people in lines of its own, and for the page in a line that begins so."""

import json
from collections.abc import Sequence

MARK = "RESULT "


def say(key: str, values: Sequence[float], peak: int | None = None) -> None:
    """Print a result.

    Args:
        key: The row of the page (`benchmarks.rows`).
        values: One for each round: the ratio to what stands beside it, or seconds.
        peak: Bytes of memory at the peak, where they are of interest.
    """
    found = {"key": key, "values": [round(value, 4) for value in values], "peak_mib": peak and round(peak / 2**20)}
    print(MARK + json.dumps(found), flush=True)
