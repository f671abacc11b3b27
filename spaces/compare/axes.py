"""The axes of a panel: sparsity to the right, a measurement upwards."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from facts import Measured

WIDTH, HEIGHT = 420, 250
LEFT, RIGHT, TOP, BOTTOM = 58, 22, 16, 40


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


def plottable(value: Measured, logarithmic: bool) -> bool:
    """Return whether a scale can hold a value and its interval."""
    return all(math.isfinite(each) and (each > 0 or not logarithmic) for each in _numbers(value))


def _numbers(value: Measured) -> list[float]:
    return [each for each in (value.pruned, value.dense, value.low, value.high) if each is not None]


def scale_of(found: Sequence[Measured], logarithmic: bool, also: float | None = None) -> AxisScale:
    """Return a scale that holds values with their intervals, and one number more."""
    values = [each for value in found for each in _numbers(value)] + ([] if also is None else [also])
    low, high = min(values), max(values)
    if logarithmic:
        return AxisScale(low / 1.5, high * 1.5, logarithmic=True)
    room = 0.08 * (high - low) or 0.1
    return AxisScale(low - room, high + room)


def x_of(sparsity: float) -> float:
    """Return how far right a sparsity stands."""
    return LEFT + sparsity * (WIDTH - LEFT - RIGHT)


def y_of(scale: Callable[[float], float], value: float) -> float:
    """Return how far down a value stands."""
    return HEIGHT - BOTTOM - scale(value) * (HEIGHT - TOP - BOTTOM)


def axes(scale: AxisScale) -> str:
    """Return the rules, their numbers and the axis of sparsity as SVG."""
    parts = []
    for tick in scale.ticks():
        y = y_of(scale, tick)
        parts.append(f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_short(tick)}</text>')
    for percent in range(0, 101, 20):
        x = x_of(percent / 100)
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{percent} %</text>')
    middle = x_of(0.5)
    parts.append(f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">zeros among the prunable weights</text>')
    return "".join(parts)


def _short(value: float) -> str:
    if abs(value) >= 1e5:
        return f"1e{round(math.log10(abs(value)))}"
    return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:,.4g}".replace("-", "−")
