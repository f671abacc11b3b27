"""Figures of what was measured, as SVG and PNG: the same record gives the same bytes.

Their background is transparent and their colours lie half-way between white and a dark page, so that one file is
readable on both. Dense and pruned differ in shape as well as in colour.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pyarrow.parquet as pq
from matplotlib.figure import Figure

from release import format as text
from release.evals.bbq.prompts import LETTERS
from release.evals.bbq.result import Bbq
from release.evals.engine.statistics import Floats
from release.evals.latency.result import Latency, LatencyPart
from release.evals.latency.table import MODELS, file_name
from release.files import replacing
from release.schema.measurements import Measurements
from release.values import Estimate, Score

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
WIDTH = 8.0
"""Inches: a model card's column."""
DPI = 150
MOST_MARKERS = 12
"""On one line: more would hide its course."""

STYLE = {
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": "medium",
    "figure.constrained_layout.use": True,
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "hatch.linewidth": 1.2,
    "legend.frameon": False,
    "svg.hashsalt": "release",  # ids in an SVG are random otherwise
    "text.color": INK,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "xtick.color": INK,
    "ytick.color": INK,
}


def draw(measurements: Measurements, evaluation: Path, folder: Path) -> tuple[Path, ...]:
    """Draw what was measured, and remove older figures of what was not.

    Args:
        measurements: What to draw.
        evaluation: Holds the tables of answers' times, where latency was measured.
        folder: Receives an SVG and a PNG of each figure; made where it is missing.

    Returns:
        The files written: `bias-by-category` where SRS is defined for a category, `letters` where letters were read,
        `latency` where single answers were timed, and one more for each further engine.
    """
    bbq = measurements.bbq
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever the user's own settings are
        matplotlib.rcParams.update(STYLE)
        figures = {
            "bias-by-category": None if bbq is None else _bias(bbq),
            "letters": None if bbq is None else _letters(bbq),
            "latency": None,
            **{one.name: _latency(one, evaluation / file_name(one.engine)) for one in measurements.latencies},
        }
        return tuple(path for name, figure in figures.items() for path in _save(figure, folder / name))


def _save(figure: Figure | None, path: Path) -> list[Path]:
    # What is left out of the metadata would be the day and matplotlib's version.
    forms: Mapping[str, dict[str, None]] = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}
    paths = []
    for form, metadata in forms.items():
        target = path.with_name(f"{path.name}.{form}")
        if figure is None:
            target.unlink(missing_ok=True)
            continue
        with replacing(target) as temporary:
            figure.savefig(temporary, format=form, metadata=metadata, transparent=True, dpi=DPI)
        paths.append(target)
    return paths


def _bias(bbq: Bbq) -> Figure | None:
    """Draw the difference of SRS per category and over all of them, with 95 % intervals."""
    rows = [score for score in bbq.by_category if score.name == "srs"]
    rows += [score for score in bbq.scores if (score.name, score.over) == ("srs", "macro")]
    if all(row.difference.value is None for row in rows):
        return None
    figure = Figure(figsize=(WIDTH, 1.1 + 0.3 * len(rows)))
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
    beside = axes.secondary_yaxis("right")
    beside.set_yticks(range(len(rows)), [_numbers(row.difference) for row in rows])
    beside.tick_params(length=0)
    for side in (axes.spines["left"], beside.spines["right"]):
        side.set_visible(False)
    axes.set_title("Stereotyped answers (SRS): pruned − dense, 95 % interval", loc="left")
    axes.set_xlabel("← fewer than dense   |   more than dense →")
    return figure


def _label(row: Score) -> str:
    name = "Mean over categories" if row.over == "macro" else text.one_line(row.over)
    return f"{name}, n = {text.count(row.items)}"


def _numbers(change: Estimate) -> str:
    if change.value is None:
        return text.UNDEFINED
    if change.low is None:
        return f"{text.signed(change.value, 3)}, no interval"
    return f"{text.signed(change.value, 3)} [{text.signed(change.low, 3)}, {text.signed(change.high, 3)}]"


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
    figure = Figure(figsize=(WIDTH, 2.8))
    axes = figure.add_subplot()
    width, labels = 0.36, dict[float, str]()
    for side, (name, times) in enumerate(zip(MODELS, (bbq.letters_dense, bbq.letters_pruned), strict=True)):
        shares = np.array(times) / sum(times)
        places = np.arange(len(LETTERS)) + (side - 0.5) * (width + 0.02)
        axes.bar(places, shares, width, edgecolor=COLOURS[name], linewidth=1.4, label=name, **FILLS[name])
        labels |= {place: text.percent(share, 1) for place, share in zip(places.tolist(), shares.tolist(), strict=True)}
    axes.axhline(1 / 3, color=INK, linewidth=1, linestyle="--", zorder=0, label="no preference: 1/3")
    # The shares stand below their bars: above them, the line would strike them through.
    axes.set_xticks(list(labels), list(labels.values()), minor=True)
    axes.set_xticks(range(len(LETTERS)), [f"\n{letter}" for letter in LETTERS])
    axes.tick_params(axis="x", which="both", length=0)
    axes.yaxis.set_major_formatter(lambda share, _: text.percent(share, 0))
    axes.set_title(f"Likeliest letter, {bbq.rotations} orders of {text.count(bbq.items)} items", loc="left")
    figure.legend(loc="outside right upper")
    return figure


def _latency(latency: Latency, path: Path) -> Figure | None:
    """Draw how the times of single answers are distributed: of whole answers, and of their parts."""
    if not path.is_file():
        return None
    parts: dict[str, LatencyPart | Latency | None] = {
        "Whole answer": latency,
        "First new token": latency.prefill,
        f"Other {latency.new_tokens - 1} tokens": latency.decode,
    }
    shown = {name: part for name, part in parts.items() if part is not None}
    times = _times(path)
    figure = Figure(figsize=(WIDTH, 3.1))
    for index, (name, part) in enumerate(shown.items()):
        axes = figure.add_subplot(1, len(shown), index + 1)
        for model in MODELS:
            _distribution(axes, model, times[model][index] * 1000)
        axes.set_title(f"{name}\n{text.fixed(part.ratio.value, 3)} [{text.interval(part.ratio, 3)}]", loc="left")
        axes.set_xlabel("milliseconds")
        axes.set_ylim(0, 1.02)
        axes.yaxis.set_major_formatter(lambda share, _: text.percent(share, 0))
        axes.tick_params(labelleft=index == 0)
    where = f"{text.one_line(latency.device)}, {latency.dtype}"
    by = "" if latency.engine == "transformers" else f" by {latency.engine}"
    title = f"Time of {text.count(latency.items)} answers{by} on {where}"
    figure.suptitle(f"{title}; pruned / dense with 95 % interval", fontsize="medium", x=0.01, ha="left")
    figure.axes[0].set_ylabel("answers that took no longer")
    figure.axes[0].legend(loc="lower right")
    return figure


def _times(path: Path) -> dict[str, tuple[Floats, Floats, Floats]]:
    """Read the seconds of whole answers, of first tokens, of other tokens, each (n,), by model."""
    found = {}
    for model in MODELS:
        table = pq.read_table(path, filters=[("model", "=", model), ("counted", "=", True)])
        prefill, decode = (table[name].to_numpy() for name in ("prefill_seconds", "decode_seconds"))
        found[model] = (prefill + decode, prefill, decode)
    return found


def _distribution(axes: Any, model: str, values: Floats) -> None:
    """Draw the share of values that are no larger, (n,)."""
    axes.plot(
        np.sort(values),
        np.arange(1, len(values) + 1) / len(values),
        color=COLOURS[model],
        linestyle=LINES[model],
        marker=MARKERS[model],
        markersize=4,
        markevery=max(1, len(values) // MOST_MARKERS),
        markerfacecolor=COLOURS[model] if model == "dense" else "none",
        drawstyle="steps-post",
        label=model,
    )
