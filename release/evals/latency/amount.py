"""How many prompts are timed: a number that was asked for, or as many as make the interval narrow.

"auto" is Stein's two-stage design (1945): the spread of the first `FIRST` ratios settles how many are needed for an
interval of half width `HALF_WIDTH`, and so many more are timed at once. What the first ratios are on average has no
say in it, so that nobody stops at a favourable moment. Student's interval over all of them covers 94 to 97 % then
(`docs/latency.md`).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from release.errors import UnusableData
from release.evals.bbq.items import Item
from release.evals.bbq.sample import draw, order
from release.evals.engine.statistics import Floats, quantile
from release.evals.latency.table import WARMUP
from release.settings.shared import AMOUNT

AUTO = "auto"
FIRST, MOST = 24, 96
"""Prompts that "auto" times at least, and at most: beyond four times the time, a quieter machine is the better way."""
HALF_WIDTH = 0.03
"""Of the interval of the ratio, on the logarithmic scale."""


class Amount(NamedTuple):
    """Prompts that are timed and counted: the least, and the most where the first do not settle it."""

    least: int
    most: int

    @classmethod
    def of(cls, text: str) -> "Amount":
        """Read --latency: "auto" or a number.

        Raises:
            UnusableData: It is neither, as in a record that nobody vouches for.
        """
        if text == AUTO:
            return cls(FIRST, MOST)
        if not AMOUNT.fullmatch(text):
            raise UnusableData(f"{text[:40]!a} is no number of prompts.", "Fetch the release again.")
        return cls(int(text), int(text))

    def within(self, there: int) -> "Amount":
        """Return it for a set of so many prompts."""
        return Amount(min(self.least, there), min(self.most, there))

    def needed(self, logs: Floats, busy: bool) -> int:
        """Return how many prompts the first ones ask for, within the bounds; no more on a busy machine.

        There is no verdict from a busy machine, however many prompts are timed: the demo beside a test suite once took
        all 96 for nothing.

        Args:
            logs: (n,), natural logarithms of pruned / dense of the first prompts.
            busy: Whether others kept the machine busy while these were timed.
        """
        if len(logs) < 2 or busy:
            return self.least
        reach = quantile(len(logs) - 1) * float(logs.std(ddof=1)) / HALF_WIDTH
        return min(max(self.least, math.ceil(reach**2)), self.most)


def drawn(items: Sequence[Item], text: str, seed: int) -> tuple[Item, ...]:
    """Draw the items that may be timed, those for warming up first.

    Those that "auto" may leave out come last, so that any beginning holds all categories.

    Args:
        text: As for --latency.

    Raises:
        UnusableData: See `Amount.of`.
    """
    most = Amount.of(text).most + WARMUP
    return tuple(order(items, seed)[:most]) if text == AUTO else draw(items, str(most), seed).items
