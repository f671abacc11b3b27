"""Figures of what was measured, as SVG and PNG: the same record gives the same bytes."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from release.evals.drawing import STYLE
from release.evals.registry import EVALS
from release.files import replacing
from release.schema.measurements import Measurements

DPI = 150


def draw(measurements: Measurements, evaluation: Path, folder: Path) -> tuple[Path, ...]:
    """Draw what was measured, and remove older figures of what was not.

    Args:
        measurements: What to draw.
        evaluation: Holds the tables that the evaluations wrote.
        folder: Receives an SVG and a PNG of each figure; made where it is missing.

    Returns:
        The files written, in the order of the evaluations.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever the user's own settings are
        matplotlib.rcParams.update(STYLE)
        drawn = [row.figures(row.results(measurements), evaluation) for row in EVALS]
        return tuple(
            path for figures in drawn for name, figure in figures.items() for path in _save(figure, folder / name)
        )


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
