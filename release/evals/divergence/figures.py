"""The figure of the divergence: at how many tokens the distribution moved by how much."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from release import format as text
from release.decimals import showing
from release.evals.divergence.claims import MOVED
from release.evals.divergence.result import Divergence
from release.evals.divergence.table import FILE_NAME
from release.evals.drawing import COLOURS, INK, MARKERS, WIDTH, Figures
from release.evals.engine.statistics import Floats

POINTS = 400
"""On the curve, so that its file stays small."""
LEAST = 1e-6
"""Nats below which rounding is drawn; the curve begins here at the earliest."""


def figures(results: Sequence[Divergence], evaluation: Path) -> Figures:
    """Draw `divergence` where any distribution moved."""
    path = evaluation / FILE_NAME
    moved = [found for found in results if found.largest > LEAST and path.is_file()]
    return {"divergence": _shares(moved[0], path) if moved else None}


def _shares(found: Divergence, path: Path) -> Figure:
    """Draw the share of tokens at which the distributions lie further apart than so much."""
    values = np.sort(pq.read_table(path, columns=["divergence"])["divergence"].to_numpy().astype(np.float64))
    at, share = _curve(values)
    figure = Figure(figsize=(WIDTH, 3.4))
    axes = figure.add_subplot()
    axes.axvline(MOVED, color=INK, linewidth=1, linestyle="--", zorder=0, label=f"“moved” in the mean: {MOVED}")
    axes.plot(at, share, color=COLOURS["pruned"], linewidth=2)
    [mean] = (score.pruned.value for score in found.scores if score.name == "kl_divergence")
    marks = {
        "mean": (mean, "D"),
        "median": (found.median.value, MARKERS["pruned"]),
        "99 of 100 below": (found.p99.value, "^"),
    }
    for name, (value, marker) in marks.items():
        if value:
            label = f"{name}: {text.fixed(value, showing(value, 3))}"
            beyond = float(1 - np.searchsorted(values, value, side="right") / len(values))
            axes.plot(
                value, beyond, color=COLOURS["pruned"], marker=marker, linestyle="none", markersize=7, label=label
            )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda each, _: f"{each:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(-0.02, 1.02)
    axes.yaxis.set_major_formatter(lambda each, _: text.percent(each, 0))
    axes.set_xlabel("KL(dense ‖ pruned), nats per token")
    axes.set_ylabel("tokens beyond it")
    axes.legend(loc="best")
    tokens = text.count(found.windows * found.positions)
    title = f"How far the next-token distributions lie apart, {tokens} tokens"
    figure.suptitle(title, fontsize="medium", x=0.01, ha="left")
    return figure


def _curve(values: Floats) -> tuple[Floats, Floats]:
    """Return some values in order, and the share beyond each; the rare large ones have points of their own."""
    shares = np.unique(np.concatenate([np.linspace(0, 1, POINTS), 1 - np.geomspace(1 / len(values), 1, POINTS // 4)]))
    places = np.unique((shares * (len(values) - 1)).round().astype(np.int64))
    places = places[values[places] >= LEAST]
    return values[places], 1 - (places + 1) / len(values)
