"""Figures of latency: how the times of single answers are distributed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from matplotlib.figure import Figure

from release import format as text
from release.evals.drawing import COLOURS, LINES, MARKERS, WIDTH, Figures
from release.evals.engine.statistics import Floats
from release.evals.forms import digits_of
from release.evals.latency.result import Latency, LatencyPart
from release.evals.latency.table import MODELS, file_name

MOST_MARKERS = 12
"""On one line: more would hide its course."""


def figures(results: Sequence[Latency], evaluation: Path) -> Figures:
    """Draw `latency` where single answers were timed, and one more for each further engine."""
    drawn = {one.name: _latency(one, evaluation / file_name(one.engine)) for one in results}
    return {"latency": None, **drawn}


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
    figure = Figure(figsize=(WIDTH, 3.6))
    for index, (name, part) in enumerate(shown.items()):
        axes = figure.add_subplot(1, len(shown), index + 1)
        for model in MODELS:
            _distribution(axes, model, times[model][index] * 1000)
        digits = digits_of(part.ratio)
        ratio = f"{text.fixed(part.ratio.value, digits)} [{text.interval(part.ratio, digits)}]"
        axes.set_title(f"{name}\n{ratio}", loc="left")
        axes.set_xlabel("milliseconds")
        axes.set_ylim(0, 1.02)
        axes.yaxis.set_major_formatter(lambda share, _: text.percent(share, 0))
        axes.tick_params(labelleft=index == 0)
    where = f"{text.one_line(latency.device)}, {latency.dtype}"
    by = "" if latency.engine == "transformers" else f" by {latency.engine}"
    title = f"Time of {text.count(latency.items)} answers{by} on {where}"
    figure.suptitle(f"{title}\npruned / dense [95 % interval]", fontsize="medium", x=0.01, ha="left")
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
