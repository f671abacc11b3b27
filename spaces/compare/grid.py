"""All variants in one picture: sparsity against bias and perplexity, as each release states them, as SVG."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from facts import Facts, Measured, written
from metrics import METRICS, ShownMetric

WIDTH, HEIGHT = 420, 250
LEFT, RIGHT, TOP, BOTTOM = 58, 22, 12, 40
PANELS = tuple(metric for metric in METRICS if metric.note)
ARROWS = {"lower": " ↓", "higher": " ↑"}
MARKERS = ("circle", "square", "triangle", "diamond", "cross")


@dataclass(frozen=True)
class Point:
    """One variant in one panel."""

    name: str
    method: str
    sparsity: float
    value: Measured


@dataclass(frozen=True)
class AxisScale:
    """From a value to a place between 0 and 1.

    Attributes:
        low: The value at 0.
        high: The value at 1.
    """

    low: float
    high: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        """Return the place of a value."""
        low, high, at = (
            map(math.log, (self.low, self.high, value)) if self.logarithmic else (self.low, self.high, value)
        )
        return (at - low) / (high - low)

    def ticks(self) -> list[float]:
        """Return some round values within."""
        if self.logarithmic:
            first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            stride = max(1, (last - first) // 4)
            return [10.0**power for power in range(first, last + 1, stride)] or [self.low, self.high]
        rough = (self.high - self.low) / 4
        unit = 10 ** math.floor(math.log10(rough))
        step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
        return [index * step for index in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]


def panels_of(variants: Mapping[str, Facts]) -> tuple[ShownMetric, ...]:
    """Return the panels to draw: what is not measured as a rule has one only where a variant states it."""
    return tuple(each for each in PANELS if each.expected or any(each.key in v.numbers for v in variants.values()))


def points(variants: Mapping[str, Facts], metric: ShownMetric) -> list[Point]:
    """Return the variants of which a sparsity and this measurement are known."""
    found = ((name, facts, facts.numbers.get(metric.key)) for name, facts in variants.items())
    return [
        Point(name, facts.method or "not stated", facts.sparsity, value)
        for name, facts, value in found
        if value is not None and facts.sparsity is not None and _plottable(metric, value)
    ]


def _plottable(metric: ShownMetric, value: Measured) -> bool:
    numbers = [each for each in (value.pruned, value.dense, value.low, value.high) if each is not None]
    return all(math.isfinite(each) and (each > 0 or not metric.logarithmic) for each in numbers)


def picture(variants: Mapping[str, Facts]) -> str:
    """Return the panels and their legend as HTML."""
    shown = panels_of(variants)
    methods = sorted({point.method for panel in shown for point in points(variants, panel)})
    if not methods:
        return "<p>None of these variants states a measurement, so there is nothing to draw.</p>"
    panels = "".join(_panel(panel, points(variants, panel), methods) for panel in shown)
    keys = "".join(f"<li>{_key(_marker(6, 6, index))} {escape(name)}</li>" for index, name in enumerate(methods))
    dense = '<line x1="0" x2="12" y1="6" y2="6" class="dense"/>'
    return (
        f'<ul class="legend">{keys}<li>{_key(dense)} dense model</li></ul><div class="panels">{panels}</div>'
        "<p>A bar is the 95 % interval of the change from dense to pruned, laid at the dense value.</p>"
    )


def _key(shape: str) -> str:
    return f'<svg viewBox="0 0 12 12" width="12" height="12" aria-hidden="true">{shape}</svg>'


def _panel(metric: ShownMetric, found: Sequence[Point], methods: Sequence[str]) -> str:
    head = f"<h3>{escape(metric.label)}{ARROWS.get(metric.better, '')}</h3><p>{escape(metric.note or '')}</p>"
    if not found:
        return f"<figure>{head}<p>Not measured.</p></figure>"
    scale = _scale(found, metric.logarithmic)
    told = "; ".join(f"{each.name}: {100 * each.sparsity:.0f} % zeros, {_pruned(each.value)}" for each in found)
    drawn = "".join((_axes(scale), _dense(found, scale), *(_mark(each, scale, methods) for each in found)))
    label = escape(f"{metric.label}. {told}")
    return f'<figure>{head}<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{drawn}</svg></figure>'


def _scale(found: Sequence[Point], logarithmic: bool) -> AxisScale:
    values = [
        each
        for point in found
        for each in (point.value.pruned, point.value.dense, point.value.low, point.value.high)
        if each is not None
    ]
    low, high = min(values), max(values)
    if logarithmic:
        return AxisScale(low / 1.5, high * 1.5, logarithmic=True)
    room = 0.08 * (high - low) or 0.1
    return AxisScale(low - room, high + room)


def _x(sparsity: float) -> float:
    return LEFT + sparsity * (WIDTH - LEFT - RIGHT)


def _y(scale: Callable[[float], float], value: float) -> float:
    return HEIGHT - BOTTOM - scale(value) * (HEIGHT - TOP - BOTTOM)


def _axes(scale: AxisScale) -> str:
    parts = []
    for tick in scale.ticks():
        y = _y(scale, tick)
        parts.append(f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_short(tick)}</text>')
    for percent in range(0, 101, 20):
        x = _x(percent / 100)
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{percent} %</text>')
    middle = _x(0.5)
    parts.append(f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">zeros among the prunable weights</text>')
    return "".join(parts)


def _short(value: float) -> str:
    if abs(value) >= 1e5:
        return f"1e{round(math.log10(abs(value)))}"
    return f"{value:,.4g}".replace("-", "−")


def _dense(found: Sequence[Point], scale: AxisScale) -> str:
    values = {point.value.dense for point in found if point.value.dense is not None}
    lines = (
        f'<line class="dense" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>' for y in _ys(values, scale)
    )
    return "".join(lines)


def _ys(values: set[float], scale: AxisScale) -> list[float]:
    return [_y(scale, value) for value in sorted(values)]


def _mark(point: Point, scale: AxisScale, methods: Sequence[str]) -> str:
    index, value = methods.index(point.method), point.value
    # Methods at one sparsity stand beside each other.
    x = _x(point.sparsity) + 9 * (index - (len(methods) - 1) / 2)
    bar = ""
    if value.low is not None and value.high is not None:
        top, bottom = _y(scale, value.high), _y(scale, value.low)
        bar = f'<path class="m{index % len(MARKERS)}" d="M{x - 4:.1f} {top:.1f}h8m-4 0V{bottom:.1f}m-4 0h8"/>'
    title = f"<title>{escape(point.name)}: {_pruned(value)}</title>"
    return f"<g>{title}{bar}{_marker(x, _y(scale, value.pruned), index)}</g>"


def _marker(x: float, y: float, index: int) -> str:
    """A shape of its own for each method, so that colour is not needed to tell them apart."""
    paths = {
        "circle": "m-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0",
        "square": "m-4.5 -4.5h9v9h-9z",
        "triangle": "m0 -5.5l5.5 10h-11z",
        "diamond": "m0 -6l6 6l-6 6l-6 -6z",
        "cross": "m-2 -6h4v4h4v4h-4v4h-4v-4h-4v-4h4z",
    }
    return f'<path class="dot m{index % len(MARKERS)}" d="M{x:.1f} {y:.1f}{paths[MARKERS[index % len(MARKERS)]]}"/>'


def table(variants: Mapping[str, Facts]) -> str:
    """Return the same numbers as a table."""
    shown = panels_of(variants)
    head = "".join(
        f'<th scope="col">{escape(name)}</th>'
        for name in ("Variant", "Method", "Zeros", *(panel.label for panel in shown))
    )
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(facts.method or "not stated")}</td>'
        f"<td>{'not stated' if facts.sparsity is None else f'{100 * facts.sparsity:.2f} %'}</td>"
        f"{''.join(f'<td>{_cell(facts.numbers.get(panel.key))}</td>' for panel in shown)}</tr>"
        for name, facts in variants.items()
    )
    body = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    # What scrolls sideways must be reachable by the keyboard.
    return f'<div class="scroll" tabindex="0" role="region" aria-label="All variants">{body}</div>'


def _cell(value: Measured | None) -> str:
    if value is None:
        return "not measured"
    dense, low, high = (written(each, value.form) for each in (value.dense, value.low, value.high))
    parts = [_pruned(value)]
    if value.dense is not None:
        parts.append(f"<small>dense {dense}</small>")
    if value.low is not None and value.high is not None:
        parts.append(f"<small>interval {low} to {high}</small>")
    return "<br>".join(parts)


def _pruned(value: Measured) -> str:
    return written(value.pruned, value.form)
