"""How a metric's numbers are written: on the card at a glance, and on screen."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from release import format as text
from release.evals.line import Line
from release.evals.metric import Form
from release.values import Estimate

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


class Way(NamedTuple):
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


def _difference(line: Line) -> Cells:
    change = line.change
    sides = text.fixed(line.dense, 4), text.fixed(line.pruned, 4)
    return Cells(*sides, text.signed(change.value, 4), text.signed_interval(change, 4))


def _difference_on_screen(line: Line) -> Cells:
    sides = number(line.dense, ",.3f"), number(line.pruned, ",.3f")
    return Cells(*sides, number(line.change.value, "+.3f"), ends(line.change, "+.3f"))


def _ratio(side: Callable[[float | None], str]) -> Callable[[Line], Cells]:
    def cells(line: Line) -> Cells:
        ratio = line.change
        return Cells(side(line.dense), side(line.pruned), f"× {text.fixed(ratio.value, 3)}", text.interval(ratio, 3))

    return cells


def _ratio_on_screen(side: Callable[[float | None], str]) -> Callable[[Line], Cells]:
    def cells(line: Line) -> Cells:
        ratio = line.change
        return Cells(side(line.dense), side(line.pruned), f"× {number(ratio.value, ',.4g')}", ends(ratio, ",.4g"))

    return cells


def _bytes(line: Line) -> Cells:
    dense, pruned, change = (text.size(int(each or 0)) for each in (line.dense, line.pruned, line.change.value))
    return Cells(dense, pruned, change, NOTHING)


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


def _seconds(value: float | None) -> str:
    return text.UNDEFINED if value is None else text.seconds(value)


WAYS: Mapping[Form, Way] = {
    "score": Way(_difference, _difference_on_screen),
    "perplexity": Way(_ratio(lambda value: text.fixed(value, 2)), _ratio_on_screen(_perplexity)),
    "seconds": Way(_ratio(_seconds), _ratio_on_screen(_milliseconds), ", ms"),
    "bytes": Way(_bytes, _bytes_on_screen, ", MB"),
    "rate": Way(_rate, _rate_on_screen),
    "count": Way(_count, _count),
}


def at_a_glance(line: Line) -> Cells:
    """Write a line for the card."""
    return WAYS[line.metric.form].card(line)


def on_screen(line: Line) -> tuple[str, ...]:
    """Write a line for the terminal: its name, the four cells, and n."""
    way = WAYS[line.metric.form]
    n = "" if line.n is None else str(line.n)
    return (f"{line.metric.screen}{line.beside}{way.unit}", *way.screen(line), n)
