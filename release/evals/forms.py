"""How a metric's numbers are written: on the card at a glance, and on screen."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from release import decimals
from release import format as text
from release.evals.line import Line
from release.evals.metric import Form
from release.values import Estimate, Rate

HUGE = 1e6
"""Perplexity of a model in ruins, whose cents say nothing."""
NOTHING = "–"
"""Stands on the card where there can be no interval."""


class Cells(NamedTuple):
    """The four cells of one line."""

    dense: str
    pruned: str
    change: str
    interval: str


class NumberStyle(NamedTuple):
    """How one kind of number is written.

    Attributes:
        card: Makes the cells of a line at a glance.
        screen: Makes those on screen.
        unit: Follows the name on screen.
    """

    card: Callable[[Line], Cells]
    screen: Callable[[Line], Cells]
    unit: str = ""


def ends(estimate: Estimate, form: str) -> str:
    """Write the ends of an interval for the screen."""
    if estimate.low is None or estimate.high is None:
        return text.UNDEFINED
    return f"{estimate.low:{form}} … {estimate.high:{form}}"


def number(value: float | None, form: str) -> str:
    """Write a number for the screen."""
    return text.UNDEFINED if value is None else format(value, form)


def digits_of(change: Estimate) -> int:
    """Return the decimals that a difference or ratio is worth, and both sides of a difference."""
    return decimals.of_difference(change.value, change.low, change.high)


def percent_digits(rate: Rate) -> int:
    """Return the decimals that a share in per cent is worth."""
    spread = None if rate.low is None or rate.high is None else (rate.high - rate.low) * 50
    return decimals.decimals(spread, 1)


def digits_beside(side: float | None, ratio: Estimate) -> int:
    """Return the decimals that one side of a ratio is worth."""
    return decimals.of_side(side, ratio.value, ratio.low, ratio.high)


def _difference(line: Line) -> Cells:
    change, digits = line.change, digits_of(line.change)
    sides = text.fixed(line.dense, digits), text.fixed(line.pruned, digits)
    return Cells(*sides, text.signed(change.value, digits), text.signed_interval(change, digits))


def _difference_in_words(line: Line) -> Cells:
    digits = max(0, digits_of(line.change) - 2)
    sides = text.percent(line.dense, digits), text.percent(line.pruned, digits)
    return at_a_glance(line)._replace(dense=sides[0], pruned=sides[1])


def _difference_on_screen(line: Line) -> Cells:
    digits = digits_of(line.change)
    sides = number(line.dense, f",.{digits}f"), number(line.pruned, f",.{digits}f")
    return Cells(*sides, number(line.change.value, f"+.{digits}f"), ends(line.change, f"+.{digits}f"))


def _ratio(side: Callable[[float | None, int], str]) -> Callable[[Line], Cells]:
    def cells(line: Line) -> Cells:
        ratio, digits = line.change, decimals.of_ratio(line.change.value, line.change.low, line.change.high)
        dense, pruned = (side(value, digits_beside(value, ratio)) for value in (line.dense, line.pruned))
        return Cells(dense, pruned, f"× {text.fixed(ratio.value, digits)}", text.interval(ratio, digits))

    return cells


def _ratio_on_screen(side: Callable[[float | None], str]) -> Callable[[Line], Cells]:
    def cells(line: Line) -> Cells:
        ratio = line.change
        return Cells(side(line.dense), side(line.pruned), f"× {number(ratio.value, ',.4g')}", ends(ratio, ",.4g"))

    return cells


def _bytes(line: Line) -> Cells:
    dense, pruned, change = (text.size(int(each or 0)) for each in (line.dense, line.pruned, line.change.value))
    return Cells(dense, pruned, change if line.change.value else "none", NOTHING)


def _bytes_on_screen(line: Line) -> Cells:
    dense, pruned, change = ((each or 0) / 1e6 for each in (line.dense, line.pruned, line.change.value))
    return Cells(f"{dense:,.1f}", f"{pruned:,.1f}", f"{change:+,.1f}", "")


def _rate(line: Line) -> Cells:
    return Cells("", number(line.pruned, "d"), text.percent(line.change.value, 1), text.interval(line.change, 3))


def _rate_on_screen(line: Line) -> Cells:
    return Cells("", number(line.pruned, "d"), number(line.change.value, ".1%"), ends(line.change, ".1%"))


def _count(line: Line) -> Cells:
    return Cells("", number(line.pruned, "d"), "", "")


def _perplexity(value: float | None) -> str:
    return number(value, ",.2f" if (value or 0) < HUGE else ",.4g")


def _milliseconds(value: float | None) -> str:
    return number(None if value is None else value * 1000, ",.0f")


def _seconds(value: float | None, _: int) -> str:
    return text.UNDEFINED if value is None else text.seconds(value)


STYLES: Mapping[Form, NumberStyle] = {
    "score": NumberStyle(_difference, _difference_on_screen),
    "perplexity": NumberStyle(_ratio(text.fixed), _ratio_on_screen(_perplexity)),
    "seconds": NumberStyle(_ratio(_seconds), _ratio_on_screen(_milliseconds), ", ms"),
    "bytes": NumberStyle(_bytes, _bytes_on_screen, ", MB"),
    "rate": NumberStyle(_rate, _rate_on_screen),
    "count": NumberStyle(_count, _count),
}


def at_a_glance(line: Line) -> Cells:
    """Write a line for the card."""
    return STYLES[line.metric.form].card(line)


def in_words(line: Line) -> Cells:
    """Write a line for a sentence: a share as per cent."""
    return _difference_in_words(line) if line.metric.form == "score" else at_a_glance(line)


def kept(line: Line) -> str | None:
    """Say how much of the dense model's score the pruned one keeps; None where more is not better."""
    if line.metric.better != "higher" or line.metric.form != "score" or not line.dense or line.pruned is None:
        return None
    return f"{text.percent(line.pruned / line.dense, 0)} kept" if line.dense > 0 else None


def on_screen(line: Line) -> tuple[str, ...]:
    """Write a line for the terminal: its name, the four cells, and n."""
    style = STYLES[line.metric.form]
    n = "" if line.n is None else str(line.n)
    return (f"{line.metric.screen}{line.suffix}{style.unit}", *style.screen(line), n)
