"""A figure of shares: the dense and the pruned model's on one line for each, and the interval of their difference."""

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from release import format as text
from release.evals.drawing import COLOURS, INK, MARKERS, WIDTH
from release.evals.forms import digits_of
from release.evals.work import SIDES
from release.values import Estimate, Score

Rows = Sequence[tuple[str, Score]]


def dumbbells(rows: Rows, title: str, axis: str, even: float | None = None) -> Figure | None:
    """Draw a line for each row, from the dense model's value to the pruned one's; None without rows.

    Args:
        rows: What each is called, and the score.
        even: Where a dashed line stands: the value of who prefers neither, or guesses.
    """
    if not rows:
        return None
    figure = Figure(figsize=(WIDTH, 1.3 + 0.34 * len(rows)))
    axes = figure.add_subplot()
    if even is not None:
        axes.axvline(even, color=INK, linewidth=1, linestyle="--", zorder=0)
    for place, (_, score) in enumerate(rows):
        _dumbbell(axes, place, score)
    axes.set_yticks(range(len(rows)), [f"{text.one_line(name)}, n = {text.count(score.items)}" for name, score in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.margins(x=0.06)
    axes.tick_params(axis="y", length=0)
    right = axes.secondary_yaxis("right")
    right.set_yticks(range(len(rows)), [_numbers(score.difference) for _, score in rows])
    right.tick_params(length=0)
    for side in (axes.spines["left"], right.spines["right"]):
        side.set_visible(False)
    axes.set_xlabel(axis)
    figure.suptitle(f"{title}\npruned − dense, 95 % interval", fontsize="medium", x=0.01, ha="left")
    figure.legend(*_legend(axes), loc="upper right", ncols=2, columnspacing=1.0, handletextpad=0.2)
    return figure


def _dumbbell(axes: Any, place: int, score: Score) -> None:
    ends = [getattr(score, name).value for name in SIDES]
    if None not in ends:
        axes.plot(ends, [place, place], color=INK, linewidth=1.4, zorder=1)
    for name, value in zip(SIDES, ends, strict=True):
        if value is not None:
            face = COLOURS[name] if name == "dense" else "none"
            style = {"color": COLOURS[name], "marker": MARKERS[name], "markerfacecolor": face, "linestyle": "none"}
            axes.plot(value, place, markersize=7, markeredgewidth=1.6, label=name, zorder=2, **style)


def _legend(axes: Any) -> tuple[list[Any], list[str]]:
    """Return each side once."""
    found = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    return list(found.values()), list(found)


def _numbers(change: Estimate) -> str:
    if change.value is None:
        return text.UNDEFINED
    value, *ends = (text.signed(each, digits_of(change)) for each in (change.value, change.low, change.high))
    return value if change.low is None else f"{value} [{', '.join(ends)}]"
