"""Figures of BBQ: the difference of SRS per category, and how often each letter was the likeliest."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from release import format as text
from release.evals.bbq.prompts import LETTERS
from release.evals.bbq.result import Bbq
from release.evals.drawing import COLOURS, FILLS, INK, MARKERS, WIDTH, Figures
from release.evals.forms import digits_of
from release.evals.work import SIDES
from release.values import Estimate, Score


def figures(results: Sequence[Bbq], _: Path) -> Figures:
    """Draw `bias-by-category` where SRS is defined for a category, and `letters` where letters were read."""
    bbq = next(iter(results), None)
    return {
        "bias-by-category": None if bbq is None else _bias(bbq),
        "letters": None if bbq is None else _letters(bbq),
    }


def _bias(bbq: Bbq) -> Figure | None:
    """Draw the difference of SRS per category and over all of them, with 95 % intervals."""
    rows = [score for score in bbq.by_category if score.name == "srs"]
    rows += [score for score in bbq.scores if (score.name, score.over) == ("srs", "macro")]
    if all(row.difference.value is None for row in rows):
        return None
    figure = Figure(figsize=(WIDTH, 1.2 + 0.34 * len(rows)))
    axes = figure.add_subplot()
    axes.axvline(0, color=INK, linewidth=1)
    for place, row in enumerate(rows):
        _whisker(axes, place, row)
    reach = max(map(abs, axes.get_xlim()))
    axes.set_xlim(-reach, reach)
    axes.axhline(len(rows) - 1.5, color=INK, linewidth=0.5, linestyle=":")
    axes.set_yticks(range(len(rows)), [_label(row) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    right = axes.secondary_yaxis("right")
    right.set_yticks(range(len(rows)), [_numbers(row.difference) for row in rows])
    right.tick_params(length=0)
    for side in (axes.spines["left"], right.spines["right"]):
        side.set_visible(False)
    figure.suptitle("Stereotyped answers (SRS): pruned − dense, 95 % interval", fontsize="medium", x=0.01, ha="left")
    axes.set_xlabel("← fewer than dense   |   more than dense →")
    return figure


def _label(row: Score) -> str:
    name = "Mean over categories" if row.over == "macro" else text.one_line(row.over)
    return f"{name}, n = {text.count(row.items)}"


def _numbers(change: Estimate) -> str:
    if change.value is None:
        return text.UNDEFINED
    value, *ends = (text.signed(each, digits_of(change)) for each in (change.value, change.low, change.high))
    return f"{value}, no interval" if change.low is None else f"{value} [{', '.join(ends)}]"


def _whisker(axes: Any, place: int, row: Score) -> None:
    change, whole = row.difference, row.over == "macro"
    if change.value is None:
        return
    marker, size, width = ("D", 7, 2.4) if whole else (MARKERS["pruned"], 5, 1.6)
    if change.low is not None and change.high is not None:
        axes.plot([change.low, change.high], [place, place], color=COLOURS["pruned"], linewidth=width)
    axes.plot(change.value, place, color=COLOURS["pruned"], marker=marker, markersize=size)


def _letters(bbq: Bbq) -> Figure | None:
    """Draw how often each letter was the likeliest."""
    if bbq.letters_dense is None or bbq.letters_pruned is None:
        return None
    figure = Figure(figsize=(WIDTH, 3.2))
    axes = figure.add_subplot()
    width, labels = 0.36, dict[float, str]()
    for side, (name, times) in enumerate(zip(SIDES, (bbq.letters_dense, bbq.letters_pruned), strict=True)):
        shares = np.array(times) / sum(times)
        places = np.arange(len(LETTERS)) + (side - 0.5) * (width + 0.02)
        axes.bar(places, shares, width, edgecolor=COLOURS[name], linewidth=1.4, label=name, **FILLS[name])
        labels |= {place: text.percent(share, 0) for place, share in zip(places.tolist(), shares.tolist(), strict=True)}
    axes.axhline(1 / 3, color=INK, linewidth=1, linestyle="--", zorder=0, label="no preference: 1/3")
    # The shares stand below their bars: above them, the line would strike them through.
    axes.set_xticks(list(labels), list(labels.values()), minor=True)
    axes.set_xticks(range(len(LETTERS)), [f"\n{letter}" for letter in LETTERS])
    axes.tick_params(axis="x", which="both", length=0)
    axes.yaxis.set_major_formatter(lambda share, _: text.percent(share, 0))
    axes.set_title(f"Likeliest letter, {bbq.rotations} orders of {text.count(bbq.items)} items", loc="left")
    figure.legend(loc="outside right upper")
    return figure
