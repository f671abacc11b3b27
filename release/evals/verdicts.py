"""From an interval to a verdict: above a bound, below it, or between two."""

from collections.abc import Callable
from typing import NamedTuple

from release import format as text
from release.evals.engine.statistics import PLAIN, Scale, p_against, p_of_share
from release.schema.record import Verdict
from release.values import Estimate, Rate


class Decision(NamedTuple):
    """A verdict and its p-value, before any words."""

    verdict: Verdict
    p_value: float | None


Side = Callable[[Estimate, float], Verdict]


def above(estimate: Estimate, bound: float) -> Verdict:
    """Decide "it is more than `bound`": by the interval, the bound itself counting against it."""
    if estimate.low is None or estimate.high is None:
        return "inconclusive"
    if estimate.low > bound:
        return "supported"
    return "contradicted" if estimate.high <= bound else "inconclusive"


def below(estimate: Estimate, bound: float) -> Verdict:
    """Decide "it is less than `bound`": `above`, mirrored."""
    if estimate.low is None or estimate.high is None:
        return "inconclusive"
    if estimate.high < bound:
        return "supported"
    return "contradicted" if estimate.low >= bound else "inconclusive"


def within(estimate: Estimate, low: float, high: float) -> Verdict:
    """Decide "it lies between `low` and `high`, both included"."""
    if estimate.low is None or estimate.high is None:
        return "inconclusive"
    if low <= estimate.low and estimate.high <= high:
        return "supported"
    return "contradicted" if estimate.high < low or estimate.low > high else "inconclusive"


def against(side: Side, estimate: Estimate, bound: float, scale: Scale = PLAIN) -> Decision:
    """Decide by one bound, with the p-value of its test."""
    return Decision(side(estimate, bound), p_against(estimate, bound, scale))


def share_against(side: Side, rate: Rate, bound: float) -> Decision:
    """Decide a share by one bound: `beside`, for the interval and the test of a share."""
    return Decision(side(ends(rate), bound), p_of_share(rate, bound))


def ends(rate: Rate) -> Estimate:
    """Return a share's value and interval."""
    return Estimate(value=rate.value, low=rate.low, high=rate.high)


def inside(estimate: Estimate, low: float, high: float, scale: Scale = PLAIN) -> Decision:
    """Decide by two bounds; where it lies between them, both have to be ruled out (two one-sided tests)."""
    ends = tuple(p_against(estimate, bound, scale) for bound in (low, high))
    known = [p for p in ends if p is not None]
    value = estimate.value
    if not known or value is None:
        return Decision(within(estimate, low, high), None)
    between = low <= value <= high
    return Decision(within(estimate, low, high), max(known) if between else min(known))


def all_of(*parts: Decision) -> Decision:
    """Decide "each of these": supported where all are, contradicted where one is.

    The p-value of all is the largest (Berger 1982); that against one of several is the smallest of those against, since
    a two-sided p-value is a one-sided one already doubled.
    """
    verdicts = [part.verdict for part in parts]
    refuting = [part.p_value for part in parts if part.verdict == "contradicted" and part.p_value is not None]
    if "contradicted" in verdicts:
        return Decision("contradicted", min(refuting) if refuting else None)
    p_values = [part.p_value for part in parts]
    largest = None if None in p_values else max(p for p in p_values if p is not None)
    return Decision("supported" if set(verdicts) == {"supported"} else "inconclusive", largest)


def ratio(what: str, found: Estimate) -> str:
    """Write pruned / dense as evidence."""
    return f"{what} pruned / dense {text.fixed(found.value, 4)}, 95 % interval {text.interval(found, 4)}"
