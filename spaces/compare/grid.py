"""All variants in one picture: sparsity against what was measured, as each release states it, as SVG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from axes import HEIGHT, LEFT, RIGHT, WIDTH, AxisScale, axes, plottable, scale_of, x_of, y_of
from facts import Facts, Measured, written
from metrics import METRICS, ShownMetric

PANELS = tuple(metric for metric in METRICS if metric.note)
DIRECTIONS = {"lower": "Lower is better.", "higher": "Higher is better.", "neither": "Neither direction is better."}
SHAPES = (
    "m-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0",
    "m-4.5 -4.5h9v9h-9z",
    "m0 -5.5l5.5 10h-11z",
    "m0 -6l6 6l-6 6l-6 -6z",
    "m-2 -6h4v4h4v4h-4v4h-4v-4h-4v-4h4z",
)
"""A shape for each method, so that color is not needed to tell them apart: circle, square, triangle, diamond, cross."""


@dataclass(frozen=True)
class Point:
    """One variant in one panel."""

    name: str
    method: str
    sparsity: float
    value: Measured

    @property
    def sample(self) -> tuple[float | None, int | None]:
        """What tells one sample from another: the dense model's value on it, and its size."""
        return self.value.dense, self.value.count


def panels_of(variants: Mapping[str, Facts]) -> tuple[ShownMetric, ...]:
    """Return the panels to draw: what is not measured as a rule has one only where a variant states it."""
    return tuple(each for each in PANELS if each.expected or any(each.key in v.numbers for v in variants.values()))


def points(variants: Mapping[str, Facts], metric: ShownMetric) -> list[Point]:
    """Return the variants of which a sparsity and this measurement are known."""
    found = ((name, facts, facts.numbers.get(metric.key)) for name, facts in variants.items())
    return [
        Point(name, facts.method or "not stated", facts.sparsity, value)
        for name, facts, value in found
        if value is not None and facts.sparsity is not None and plottable(value, metric.logarithmic)
    ]


def picture(variants: Mapping[str, Facts], here: float | None = None) -> str:
    """Return the panels and their legend as HTML.

    Args:
        here: A sparsity, 0 to 1, at which every panel gets an upright line.
    """
    shown = panels_of(variants)
    methods = sorted({point.method for panel in shown for point in points(variants, panel)})
    if not methods:
        return "<p>None of these variants states a measurement, so there is nothing to draw.</p>"
    panels = "".join(_panel(panel, points(variants, panel), methods, here) for panel in shown)
    keys = "".join(f"<li>{_key(_marker(6, 6, index))} {escape(name)}</li>" for index, name in enumerate(methods))
    dense = '<line x1="0" x2="12" y1="6" y2="6" class="dense"/>'
    guess = '<line x1="0" x2="12" y1="6" y2="6" class="guess"/>'
    return (
        f'<ul class="legend">{keys}<li>{_key(dense)} original (dense)</li><li>{_key(guess)} guessing</li></ul>'
        f'<div class="panels">{panels}</div><p>Bars: 95 % interval of the change, laid at the dense value. '
        "Thin lines join what one method gave on one sample.</p>"
    )


def _key(shape: str) -> str:
    return f'<svg viewBox="0 0 12 12" width="12" height="12" aria-hidden="true">{shape}</svg>'


def _panel(metric: ShownMetric, found: Sequence[Point], methods: Sequence[str], here: float | None) -> str:
    said = f"<b>{DIRECTIONS[metric.better]}</b> {escape(metric.note or '')} {_sizes(metric, found)}"
    head = f"<h3>{escape(metric.label)}</h3><p>{said}</p>"
    if not found:
        return f"<figure>{head}<p>Not measured.</p></figure>"
    scale = scale_of([each.value for each in found], metric.logarithmic, metric.guessing)
    told = "; ".join(f"{each.name}: {100 * each.sparsity:.0f} % zeros, {_pruned(each.value)}" for each in found)
    lines = (_guess(metric, scale), _dense(found, scale), _curves(found, scale, methods), _here(here))
    drawn = "".join((axes(scale), *lines, *(_mark(each, scale, methods) for each in found)))
    label = escape(f"{metric.label}. {told}")
    return f'<figure>{head}<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{drawn}</svg></figure>'


def _sizes(metric: ShownMetric, found: Sequence[Point]) -> str:
    """Say on how much it was measured, and whether the variants were measured on different samples."""
    counts = sorted({each.value.count for each in found if each.value.count})
    if not counts or metric.unit is None:
        return ""
    if len({each.sample for each in found}) == 1:
        return f"n = {counts[0]:,} {metric.unit}."
    each = " or ".join(f"{count:,}" for count in counts)
    return (
        f"n = {each} {metric.unit}. <b>Different samples:</b> hold each variant against the original on its own sample."
    )


def _across(kind: str, y: float, words: str, low: bool = False) -> str:
    at = y + 12 if low else y - 4
    line = f'<line class="{kind}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
    return f'{line}<text class="on" x="{WIDTH - RIGHT}" y="{at:.1f}" text-anchor="end">{escape(words)}</text>'


def _guess(metric: ShownMetric, scale: AxisScale) -> str:
    if metric.guessing is None:
        return ""
    named = "1/3" if round(metric.guessing * 3, 6) == 1 else f"{metric.guessing:g}"
    return _across("guess", y_of(scale, metric.guessing), f"guessing, {named}", low=True)


def _dense(found: Sequence[Point], scale: AxisScale) -> str:
    """Draw the dense model's line once for each sample, with its size where there are several."""
    samples = sorted({each.sample for each in found if each.value.dense is not None}, key=str)
    lines = []
    for index, (value, count) in enumerate(samples):
        size = f", n = {count:,}" if count and len(samples) > 1 else ""
        names = [each.name for each in found if each.sample == (value, count)]
        other = f", {names[0]}" if len({size for _, size in samples}) < len(samples) else ""
        lines.append(_across("dense", y_of(scale, value or 0), f"original{size}{other}"[:48], low=index % 2 == 1))
    return "".join(lines)


def _curves(found: Sequence[Point], scale: AxisScale, methods: Sequence[str]) -> str:
    """Join the variants of one method that were measured on one sample, from the dense model on."""
    drawn = []
    for group in sorted({(each.method, each.sample) for each in found}, key=str):
        method, (dense, _) = group
        same = sorted((each.sparsity, each.value.pruned) for each in found if (each.method, each.sample) == group)
        path = same if dense is None else [(0.0, dense), *same]
        places = " ".join(f"{x_of(share):.1f},{y_of(scale, value):.1f}" for share, value in path)
        drawn.append(f'<polyline class="curve m{methods.index(method) % len(SHAPES)}" points="{places}"/>')
    return "".join(drawn)


def _here(sparsity: float | None) -> str:
    if sparsity is None:
        return ""
    x = x_of(sparsity)
    return f'<line class="here" x1="{x:.1f}" x2="{x:.1f}" y1="6" y2="{HEIGHT - 40}"/>'


def _mark(point: Point, scale: AxisScale, methods: Sequence[str]) -> str:
    index, value = methods.index(point.method), point.value
    x, bar = x_of(point.sparsity), ""
    if value.low is not None and value.high is not None:
        top, bottom = y_of(scale, value.high), y_of(scale, value.low)
        bar = f'<path class="m{index % len(SHAPES)}" d="M{x - 4:.1f} {top:.1f}h8m-4 0V{bottom:.1f}m-4 0h8"/>'
    title = f"<title>{escape(point.name)}: {_pruned(value)}{_of(value)}</title>"
    return f'<g data-variant="{escape(point.name)}">{title}{bar}{_marker(x, y_of(scale, value.pruned), index)}</g>'


def _of(value: Measured) -> str:
    return f", n = {value.count:,}" if value.count else ""


def _marker(x: float, y: float, index: int) -> str:
    kind = index % len(SHAPES)
    return f'<path class="dot m{kind}" d="M{x:.1f} {y:.1f}{SHAPES[kind]}"/>'


def table(variants: Mapping[str, Facts], chosen: str | None = None) -> str:
    """Return the same numbers as a table whose rows choose their variant.

    Args:
        chosen: The variant that is chosen already.
    """
    shown = panels_of(variants)
    heads = ("Variant", "Method", "Zeros", *(panel.label for panel in shown))
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    rows = "".join(_row(name, facts, shown, name == chosen) for name, facts in variants.items())
    body = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    # What scrolls sideways must be reachable by the keyboard.
    return f'<div class="scroll" tabindex="0" role="region" aria-label="All variants">{body}</div>'


def _row(name: str, facts: Facts, shown: Sequence[ShownMetric], is_chosen: bool) -> str:
    zeros = "not stated" if facts.sparsity is None else f"{100 * facts.sparsity:.2f} %"
    cells = [("Method", escape(facts.method or "not stated")), ("Zeros", zeros)]
    cells += [(panel.label, _cell(facts.numbers.get(panel.key))) for panel in shown]
    said = "".join(f'<td data-label="{escape(label)}">{value}</td>' for label, value in cells)
    pressed = "true" if is_chosen else "false"
    button = f'<button type="button" aria-pressed="{pressed}" title="Choose this variant">{escape(name)}</button>'
    return f'<tr data-variant="{escape(name)}"><th scope="row">{button}</th>{said}</tr>'


def _cell(value: Measured | None) -> str:
    if value is None:
        return "not measured"
    low, high = (written(each, value.form) for each in (value.low, value.high))
    parts = [_pruned(value)]
    if value.dense is not None:
        parts.append(f"<small>original {written(value.dense, value.form_dense)}</small>")
    if value.low is not None and value.high is not None:
        parts.append(f"<small>interval {low} to {high}</small>")
    if value.count:
        parts.append(f"<small>n = {value.count:,}</small>")
    return f"<span>{'<br>'.join(parts)}</span>"


def _pruned(value: Measured) -> str:
    return written(value.pruned, value.form)
