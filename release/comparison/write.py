"""Writes a comparison into a folder: a page, Markdown, CSV and Parquet."""

import csv
import io
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from release import __version__, files
from release import format as text
from release.card.templates import environment as markdown
from release.comparison.curves import curves
from release.comparison.fronts import front
from release.comparison.masks import OverMasks, over_masks
from release.comparison.reported import reported
from release.comparison.rows import SOUGHT, ComparedRelease, column
from release.comparison.significance import significance
from release.comparison.table import table
from release.evals.forms import at_a_glance
from release.evals.line import Line
from release.resources import resource

NAMES = ("report.html", "report.md", "report.csv", "report.parquet")


def write_comparison(releases: Sequence[ComparedRelease], folder: Path, title: str) -> tuple[Path, ...]:
    """Write the report of some releases; the same releases give the same bytes.

    Args:
        folder: Receives the four files; made where it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    columns, rows = table(releases)
    context = report_of(releases, title)
    files.write(folder / "report.html", _pages().get_template("comparison/report.html.j2").render(context))
    files.write(folder / "report.md", markdown().get_template("comparison/report.md.j2").render(context))
    files.write(folder / "report.csv", _csv(columns, rows))
    files.write(folder / "report.parquet", _parquet(columns, rows))
    return tuple(folder / name for name in NAMES)


def report_of(releases: Sequence[ComparedRelease], title: str) -> dict[str, Any]:
    """Return what the templates of a report are rendered with."""
    counts = significance(releases)
    names = list(dict.fromkeys(column(line) for line in _each_headline(releases)))
    sought = [column(line) for line in _each_headline(releases) if line.metric.form in SOUGHT]
    labels = {column(line): f"{line.metric.titled}{line.suffix}" for line in _each_headline(releases)}
    bases = list(dict.fromkeys(each.record.base.id for each in releases if each.record))
    return {
        "title": title,
        "version": __version__,
        "releases": [_row(release, names) for release in releases],
        "checked": any(release.checks is not None for release in releases),
        "headlines": [labels[name] for name in names],
        "curves": curves(releases),
        "masks": [_masks(each) for each in over_masks(releases)],
        "count": f"{len(releases):,}",
        "significance": counts.said if counts.asked else "",
        "studies": reported(releases, counts),
        "fronts": [
            (base, labels[name], found)
            for base in bases
            for name in dict.fromkeys(sought)
            if (found := _front(releases, base, name))
        ],
    }


def _each_headline(releases: Sequence[ComparedRelease]) -> list[Line]:
    return [line for release in releases for line in release.headlines]


def _front(releases: Sequence[ComparedRelease], base: str, name: str) -> str:
    of_base = [release for release in releases if release.record and release.record.base.id == base]
    return ", ".join(release.name for release in front(of_base, name)) if len(of_base) > 1 else ""


def _row(release: ComparedRelease, names: Sequence[str]) -> dict[str, Any]:
    lines = {column(line): line for line in release.headlines}
    failed = [f"{check.name}: {check.detail}" for check in release.checks or () if check.ok is False]
    return {
        "name": release.name,
        "target": text.percent(release.target, 2),
        "zeros": text.percent(release.zeros, 2),
        "agrees": {True: "yes", False: "no", None: "not checked"}[release.agrees],
        "failed": failed,
        "cells": [_cell(lines.get(name)) for name in names],
    }


def _cell(line: Line | None) -> dict[str, str]:
    if line is None:
        return {"sides": "not measured", "change": ""}
    cells = at_a_glance(line)
    interval = "" if line.change.low is None else f" ({cells.interval})"
    return {"sides": f"{cells.dense} → {cells.pruned}", "change": f"{cells.change}{interval}"}


def _masks(found: OverMasks) -> dict[str, str]:
    cells = at_a_glance(found.line._replace(change=found.mean))
    return {
        "recipe": found.recipe,
        "metric": f"{found.line.metric.titled}{found.line.suffix}",
        "seeds": ", ".join(map(str, found.seeds)),
        "change": cells.change,
        "interval": cells.interval,
        "between": f"{found.between:.3g}",
        "sampling": f"{found.sampling:.3g}",
    }


@cache
def _pages() -> Environment:
    """The environment of HTML; the one of Markdown is the card's."""
    return Environment(
        loader=FileSystemLoader(resource("templates")),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _csv(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    written = io.StringIO()
    writer = csv.DictWriter(written, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return written.getvalue()


def _parquet(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> bytes:
    written = pa.BufferOutputStream()
    pq.write_table(pa.table({name: [row.get(name) for row in rows] for name in columns}), written)
    return bytes(written.getvalue())
