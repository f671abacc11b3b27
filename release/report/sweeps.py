"""A sweep: its cells, and how far each is."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.table import Table

from release.format import shown
from release.report.display import display, listing

if TYPE_CHECKING:
    from release.comparison.rows import ComparedRelease
    from release.preview import Preview
    from release.sweep.grid import GridCell
    from release.sweep.state import CellState
    from release.sweep.sweep import Sweep
    from release.sweep.uploading import PublishedGrid


def show_sweep(job: "Sweep", as_json: bool, published: "PublishedGrid | None" = None) -> None:
    """Show how far each cell of a sweep is, and where it was published."""
    states = job.states()
    facts = {
        "ok": all(state.status == "done" for _, state in states),
        "name": job.grid.name,
        "folder": str(job.work),
        "cells": [_facts(cell, state) for cell, state in states],
        "published": published.model_dump(mode="json") if published else None,
    }
    display(facts, as_json, [*_tables(job, states), *_published(published)])


def _published(published: "PublishedGrid | None") -> "Iterator[str]":
    if published:
        facts = {
            "Published": "now" if published.changed else "already, and nothing was changed",
            "Models": f"{len(published.models):,}, the first {published.models[0]}",
            **({"Space": ", ".join(published.spaces)} if published.spaces else {}),
            **({"Data set": published.report} if published.report else {}),
            **({"Collection": published.collection} if published.collection else {}),
        }
        yield listing("", facts)


def show_planned_sweep(job: "Sweep", previews: "dict[str, Preview]", as_json: bool) -> None:
    """Show what a sweep would do: its cells, and what each would write."""
    cells = [
        {**_facts(cell, state), "bytes_to_write": previews[cell.key].bytes_to_write, "release": previews[cell.key].name}
        for cell, state in job.states()
    ]
    display({"name": job.grid.name, "cells": cells}, as_json, _planned(job, previews))


def show_comparison(releases: "Sequence[ComparedRelease]", out: Path, as_json: bool) -> None:
    """Show where a report was written, and where a card and its files disagree."""
    failed = {each.name: [check for check in each.checks or () if check.ok is False] for each in releases}
    facts = {
        "ok": not any(failed.values()),
        "folder": str(out),
        "releases": [
            {
                "name": each.name,
                "target_sparsity": each.target,
                "actual_sparsity": each.zeros,
                "agrees": each.agrees,
                "failed": [check.model_dump(mode="json") for check in failed[each.name]],
            }
            for each in releases
        ],
    }
    table = Table(box=None, pad_edge=False)
    for name in ("release", "zeros", "card and files"):
        table.add_column(name)
    for each in releases:
        wrong = "; ".join(f"{check.name}: {check.detail}" for check in failed[each.name])
        zeros = "unknown" if each.zeros is None else f"{each.zeros:.4%}"
        table.add_row(shown(each.name), zeros, shown(wrong) or "agree")
    display(facts, as_json, [listing("", {"Report": str(out / "report.html")}), table])


def _facts(cell: "GridCell", state: "CellState") -> dict[str, Any]:
    return {
        "cell": cell.key,
        **cell.place.model_dump(mode="json"),
        **state.model_dump(mode="json", include={"status", "host", "folder", "error"}),
        "seconds": state.seconds,
    }


def _tables(job: "Sweep", states: "list[tuple[GridCell, CellState]]") -> "Iterator[RenderableType]":
    done = [state.seconds for _, state in states if state.status == "done" and state.seconds is not None]
    counts = {name: sum(state.status == name for _, state in states) for name in ("done", "running", "failed")}
    facts = {
        "Sweep": str(job.grid.name),
        "Cells": f"{len(states)}: {', '.join(f'{count} {name}' for name, count in counts.items())}",
        "Folder": str(job.out),
        **({"Report": str(job.report / "report.html")} if job.report.is_dir() else {}),
    }
    yield listing("", {**facts, **({"A cell took": f"{sum(done) / len(done):,.0f} s on average"} if done else {})})
    table = Table(box=None, pad_edge=False)
    for name in ("cell", "state", "seconds", "why"):
        table.add_column(name, justify="right" if name == "seconds" else "left")
    for cell, state in states:
        seconds = "" if state.seconds is None else f"{state.seconds:,.0f}"
        place = f"{state.status} on {state.host}" if state.status == "running" else state.status
        table.add_row(shown(cell.key), shown(place), seconds, shown(" ".join(state.error or ())))
    yield table


def _planned(job: "Sweep", previews: "dict[str, Preview]") -> "Iterator[RenderableType]":
    sizes = [preview.bytes_to_write for preview in previews.values()]
    total = None if None in sizes else sum(size for size in sizes if size is not None)
    first = next(iter(previews.values()))
    written = "unknown" if total is None else f"{total:,} bytes"
    facts = {"Sweep": str(job.grid.name), "Cells": str(len(job.cells)), "To write": written}
    yield listing("", {**facts, "Disk free": f"{first.disk_free:,} bytes"})
    table = Table(box=None, pad_edge=False)
    for name in ("cell", "state", "release", "to zero"):
        table.add_column(name, justify="right" if name == "to zero" else "left")
    for cell, state in job.states():
        preview = previews[cell.key]
        table.add_row(shown(cell.key), state.status, shown(preview.name), f"{preview.zeroed_parameters:,}")
    yield table
