"""One cut through the whole model (`--scope global`): how many zeros each tensor gets so that it holds.

The cut is found digit by digit: a pass counts how often each value of the highest sixteen bits of |w| occurs, the next
pass those of the following sixteen bits among the weights that share the highest with the cut, and so on; weights of
two bytes need one. After that every tensor's share is known, and each is pruned by itself: exact, and streaming.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from release.checkpoint.count import Place, places, read_tensor
from release.checkpoint.folder import Checkpoint
from release.checkpoint.header import Bits, Tensor
from release.checkpoint.rewrite import in_order
from release.errors import UnusableBase
from release.progress import BYTES, Advance, Console
from release.pruning.budget import Budgets, given, rounded_share, spread

DIGIT = 16
CHUNK = 1 << 18
"""Weights counted at a time: few enough that their wide copies stay in cache, many beside the 2^16 counters."""


@dataclass(frozen=True)
class Digits:
    """How often each value of one digit occurs in a tensor, among the weights that begin as the cut does.

    Attributes:
        values: The values that occur, ascending.
        counts: How often.
    """

    values: NDArray[np.int64]
    counts: NDArray[np.int64]

    def below(self, value: int) -> int:
        """Weights whose digit is smaller."""
        return int(self.counts[: np.searchsorted(self.values, value)].sum())

    def at(self, value: int) -> int:
        """Weights that have this digit."""
        place = int(np.searchsorted(self.values, value))
        return int(self.counts[place]) if place < len(self.values) and self.values[place] == value else 0


def global_budgets(
    base: Checkpoint, names: Sequence[str], sparsity: Decimal, console: Console, threads: int
) -> Budgets:
    """Zeros of each tensor where the R(s·N) smallest magnitudes of the whole model go.

    Weights that tie at the cut are shared out over the tensors in proportion to how many each holds.

    Args:
        names: The prunable tensors, in name order.

    Raises:
        UnusableBase: They are not all stored in one type.
    """
    known = {name: place for name, place in places(base).items() if name in set(names)}
    width = _common_width(known)
    sizes = {name: known[name].tensor.numel for name in names}
    due = rounded_share(sparsity, sum(sizes.values()))
    below, prefix, tied = np.zeros(len(names), dtype=np.int64), 0, np.zeros(len(names), dtype=np.int64)
    nbytes = sum(known[name].tensor.nbytes for name in names)
    with console.step("Find the cut through all weights", nbytes * (width // DIGIT), BYTES) as advance:
        for shift in range(width - DIGIT, -1, -DIGIT):
            digits = _pass([known[name] for name in names], prefix, shift, threads, advance)
            digit = _digit_of_cut(digits, due - int(below.sum()))
            below += [d.below(digit) for d in digits]
            tied = np.array([d.at(digit) for d in digits])
            prefix = prefix << DIGIT | digit
    zeros = below + spread(due - int(below.sum()), tied)
    return given(dict(zip(names, map(int, zeros), strict=True)), sizes)


def _common_width(known: Mapping[str, Place]) -> int:
    kinds = sorted({place.tensor.dtype for place in known.values()})
    if len(kinds) > 1:
        raise UnusableBase(
            f"The prunable weights are stored as {' and '.join(kinds)}; one cut cannot go through different types.",
            "Leave --scope global out, or store the model in one type.",
        )
    tensor = next(iter(known.values())).tensor
    return 8 * tensor.nbytes // tensor.numel


def _pass(tensors: Sequence[Place], prefix: int, shift: int, threads: int, advance: Advance) -> list[Digits]:
    def work(place: Place) -> tuple[int, Digits]:
        data = read_tensor(place)
        return data.size, _count(place.tensor, place.tensor.bits(data), prefix, shift)

    result = []
    for nbytes, digits in in_order(work, tensors, threads):
        advance(nbytes)
        result.append(digits)
    return result


def _count(tensor: Tensor, bits: Bits, prefix: int, shift: int) -> Digits:
    totals = np.zeros(1 << DIGIT, dtype=np.int64)
    for start in range(0, bits.size, CHUNK):
        magnitude = tensor.magnitude(bits[start : start + CHUNK])
        if shift + DIGIT < 8 * bits.itemsize:
            magnitude = magnitude[magnitude >> (shift + DIGIT) == prefix]
        digit = (magnitude >> shift & ((1 << DIGIT) - 1)).astype(np.uint16)
        totals += np.bincount(digit, minlength=1 << DIGIT)
    values = np.flatnonzero(totals)
    return Digits(values, totals[values])


def _digit_of_cut(digits: Sequence[Digits], rank: int) -> int:
    """The digit that the `rank`-th smallest weight (counted from 1) has; 0 where there is none to find."""
    totals = np.zeros(1 << DIGIT, dtype=np.int64)
    for each in digits:
        totals[each.values] += each.counts
    return int(np.searchsorted(np.cumsum(totals), max(1, rank), side="left"))
