"""Each metric against sparsity, a curve a method: as SVG that a page can hold."""

import io
from collections import defaultdict
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from release.comparison.masks import RATIOS
from release.comparison.rows import SOUGHT, ComparedRelease
from release.evals.drawing import INK, STYLE
from release.evals.line import Line

COLORS = ("#2b7fd4", "#c85a12", "#3f8f5b", "#a0569b", "#8a7a1f", "#c2415f", "#5b6abf", "#4f8a8b")
MARKERS = "osD^vP*X"
BAND = 0.18
"""How much of the page the band of the dense model's interval covers."""
COLUMNS = 4
"""Of a legend."""
APART = 0.5
"""Percentage points between two methods of one sparsity."""
Point = tuple[float, Line]


def curves(releases: Sequence[ComparedRelease]) -> Mapping[str, str]:
    """Draw every headline metric that two releases of a base have; SVG by base and label."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        return {name: _svg(_drawn(points)) for name, points in _points(releases).items()}


def _points(releases: Sequence[ComparedRelease]) -> Mapping[str, Mapping[str, list[Point]]]:
    found: dict[str, dict[str, list[Point]]] = defaultdict(lambda: defaultdict(list))
    for release in releases:
        if release.record is None or release.zeros is None:
            continue
        recipe = release.record.pruning
        method = f"{recipe.method} {recipe.pattern}" if recipe.pattern else recipe.method
        for line in release.headlines:
            if line.pruned is not None and line.metric.form in SOUGHT:
                found[f"{release.record.base.id}: {line.metric.titled}{line.suffix}"][method].append(
                    (release.zeros, line)
                )
    return {name: methods for name, methods in found.items() if sum(map(len, methods.values())) > 1}


def _drawn(methods: Mapping[str, list[Point]]) -> Figure:
    figure = Figure(figsize=(7.3, 3.2))
    axes = figure.subplots()
    first = next(iter(methods.values()))[0][1]
    _levels(axes, [line for points in methods.values() for _, line in points])
    for place, (method, points) in enumerate(sorted(methods.items())):
        offset = APART * (place - (len(methods) - 1) / 2)
        _curve(axes, method, sorted(points, key=lambda point: point[0]), place, offset)
    if first.metric.form == "perplexity":
        axes.set_yscale("log")
        for which in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
            which(LogFormatter(labelOnlyBase=False, minor_thresholds=(2, 0.5)))
    axes.set_xlabel("zeros among the prunable weights, %")
    axes.set_ylabel(first.metric.titled)
    # Above the axes: no place inside is free of dots for certain.
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0, ncols=min(len(methods), COLUMNS))
    return figure


def _levels(axes: Axes, lines: Sequence[Line]) -> None:
    """What to read the curves against: the dense model, with its own interval as a band, and what guessing gives."""
    for low, high in {(line.dense_interval.low, line.dense_interval.high) for line in lines}:
        if low is not None and high is not None:
            axes.axhspan(low, high, color=INK, alpha=BAND, linewidth=0)
    dense, guessing = {line.dense for line in lines if line.dense is not None}, lines[0].metric.guessing
    for value in dense:
        axes.axhline(value, color=INK, linewidth=1, linestyle=":")
    if guessing is not None:
        axes.axhline(guessing, color=INK, linewidth=0.8, linestyle="-.")
    named = {"dense": max(dense, default=None), "guessing": guessing}
    for name, place in named.items():
        if place is not None:
            axes.text(1.0, place, f" {name}", transform=axes.get_yaxis_transform(), va="center", color=INK)


def _curve(axes: Axes, method: str, points: Sequence[Point], place: int, offset: float) -> None:
    """A dot a mask with the interval of its change, and a line through the means of masks."""
    color, marker = COLORS[place % len(COLORS)], MARKERS[place % len(MARKERS)]
    shares = np.array([100 * zeros for zeros, _ in points])
    values = np.array([line.pruned for _, line in points], dtype=float)
    ends = np.array([_reach(line) for _, line in points]).T
    # Methods at one sparsity stand beside each other, or they would hide one another.
    axes.errorbar(
        shares + offset, values, yerr=ends, fmt=marker, color=color, markersize=5, linewidth=1, capsize=2, label=method
    )
    rounded = shares.round(1)
    levels = sorted(set(rounded.tolist()))
    axes.plot(
        np.array(levels) + offset, [values[rounded == level].mean() for level in levels], color=color, linewidth=1.2
    )


def _reach(line: Line) -> tuple[float, float]:
    """How far the interval of the change reaches, laid at the pruned value, below and above it."""
    change, pruned, dense = line.change, line.pruned or 0.0, line.dense
    if change.low is None or change.high is None or dense is None:
        return 0.0, 0.0
    low, high = ((dense * end if line.metric.form in RATIOS else dense + end) for end in (change.low, change.high))
    return max(0.0, pruned - low), max(0.0, high - pruned)


def _svg(figure: Figure) -> str:
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = written.getvalue()
    return text[text.index("<svg") :]
