"""How a figure looks: its background is transparent, its colors lie half-way between white and a dark page.

So one file is readable on both. Dense and pruned differ in shape as well as in colour.
"""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

Figures = Mapping[str, Figure | None]
"""By the name of the file without its ending; None removes a figure that an earlier run drew."""

INK = "#747b87"
"""Text and lines."""
COLOURS = {"dense": "#2b7fd4", "pruned": "#c85a12"}
"""Blue and vermilion: apart for every common kind of colour vision, and as bright as INK."""
MARKERS = {"dense": "o", "pruned": "s"}
LINES = {"dense": "-", "pruned": "--"}
FILLS: dict[str, dict[str, Any]] = {
    "dense": {"facecolor": COLOURS["dense"]},
    "pruned": {"facecolor": "none", "hatch": "////"},
}
WIDTH = 7.0
"""Inches, of 100 pixels each: a model card's column on the Hub."""

STYLE = {
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": "medium",
    "figure.constrained_layout.use": True,
    "font.family": ["DejaVu Sans"],
    "font.size": 11,
    "hatch.linewidth": 1.2,
    "legend.frameon": False,
    "svg.hashsalt": "release",  # ids in an SVG are random otherwise
    "text.color": INK,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "xtick.color": INK,
    "ytick.color": INK,
}
