"""A sweep: its cells, and how far each is."""

import shlex
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.table import Table

from release.format import count, percent, shown, size
from release.format import seconds as duration
from release.report.display import SAME_LINE, display, listing

if TYPE_CHECKING:
    from release.comparison.rows import ComparedRelease
    from release.sweep.estimates import PlannedCell
    from release.sweep.grid import GridCell
    from release.sweep.job import Sweep
    from release.sweep.outlook import Outlook
    from release.sweep.state import CellState
    from release.sweep.uploading import PublishedGrid

TOTALS = ("bytes_to_read", "bytes_to_write", "bytes_to_upload", "seconds")
"""What the cells that are not done would take together."""
STATUSES = ("done", "running", "failed", "interrupted", "planned")


def show_sweep(outlook: "Outlook", as_json: bool, published: "PublishedGrid | None" = None) -> None:
    """Show how far each cell of a sweep is, and where it was published."""
    job, states = outlook.job, outlook.states
    facts = {
        "ok": all(state.status == "done" for _, state in states),
        "name": job.grid.name,
        "folder": str(job.work),
        "driver": outlook.driver.model_dump(mode="json") if outlook.driver else None,
        "seconds_left": outlook.seconds_left,
        "changed": outlook.changed,
        "shared": outlook.shared._asdict() if outlook.shared else None,
        "cells": [_facts(cell, state) for cell, state in states],
        "published": published.model_dump(mode="json") if published else None,
    }
    display(facts, as_json, [head(outlook), rows(states), *_remedy(outlook), *_published(published)])


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


def show_planned_sweep(job: "Sweep", planned: "dict[str, PlannedCell]", kept: int | None, as_json: bool) -> None:
    """Show what a sweep would do: its cells, what each would take, and which are done.

    Args:
        kept: Bytes at most that its folder holds of dense models until it ends.
    """
    states = job.states()
    left = [planned[cell.key] for cell, state in states if state.status != "done"]
    facts = {
        "ok": all(each.error is None for each in planned.values()),
        "name": job.grid.name,
        "disk_free": _disk_free(job.out),
        "bytes_kept_meanwhile": kept,
        "left": {name: _total(left, name) for name in TOTALS},
        "cells": [_plan_of(cell, state, planned[cell.key]) for cell, state in states],
    }
    display(facts, as_json, _planned(facts), SAME_LINE if facts["ok"] else {})


def _plan_of(cell: "GridCell", state: "CellState", planned: "PlannedCell") -> dict[str, Any]:
    """One row of the list: where a cell stands, how far it is, and what it would take."""
    known = state.model_dump(mode="json", include={"status", "host", "folder"})
    return {
        "cell": cell.key,
        **cell.place.model_dump(mode="json"),
        **known,
        **planned.model_dump(mode="json", exclude={"seconds", "memory", "error"}),
        "estimated_seconds": planned.seconds,
        "estimated_memory": planned.memory,
        "seconds": state.seconds,
        "memory": state.memory,
        "error": state.error or planned.error,
    }


def _total(cells: "Sequence[PlannedCell]", name: str) -> float | None:
    """Add up what all cells say; None where one says nothing."""
    values = [getattr(cell, name) for cell in cells]
    return None if None in values else sum(values)


def _disk_free(folder: Path) -> int:
    return shutil.disk_usage(next(each for each in (folder, *folder.parents) if each.is_dir())).free


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
        zeros = "unknown" if each.zeros is None else percent(each.zeros, 4)
        table.add_row(shown(each.name), zeros, shown(wrong) or "agree")
    following = {"See it": f"open {shlex.quote(str(out / 'report.html'))} in a browser"}
    display(facts, as_json, [listing("", {"Report": str(out / "report.html")}), table], following)


def _facts(cell: "GridCell", state: "CellState") -> dict[str, Any]:
    return {
        "cell": cell.key,
        **cell.place.model_dump(mode="json"),
        **state.model_dump(mode="json", include={"status", "host", "pid", "started", "folder", "error"}),
        "seconds": state.seconds,
    }


def head(outlook: "Outlook") -> str:
    """What there is to say of a sweep as a whole."""
    job, states = outlook.job, outlook.states
    done = [state.seconds for _, state in states if state.status == "done" and state.seconds is not None]
    counts = Counter[str](state.status for _, state in states)
    named = {name: counts[name] for name in STATUSES if counts[name] or name in ("done", "running", "failed")}
    facts = {
        "Sweep": str(job.grid.name),
        "Cells": f"{len(states)}: {', '.join(f'{count} {name}' for name, count in named.items())}",
        "Driver": outlook.driver.said if outlook.driver else "",
        "Time left": "" if outlook.settled else _left(outlook),
        "A cell took": f"{sum(done) / len(done):,.0f} s on average" if done else "",
        "Shared": outlook.shared.said if outlook.shared else "",
        "Changed": f"{job.file.name}: {outlook.changed}. {_built_by(outlook)}" if outlook.changed else "",
        "Folder": str(job.out),
        "Report": str(job.report / "report.html") if job.report.is_dir() else "",
    }
    return listing("", {name: value for name, value in facts.items() if value})


def _left(outlook: "Outlook") -> str:
    if outlook.seconds_left is None:
        return "unknown until a cell of each kind is done"
    about = f"about {duration(max(outlook.seconds_left, 1.0))}"
    return about if outlook.moves else f"{about} once it goes on; nobody is at work on it"


def _built_by(outlook: "Outlook") -> str:
    return "The run at work builds what it began with." if outlook.driver else "The next run builds what it says now."


def rows(states: "Sequence[tuple[GridCell, CellState]]") -> Table:
    """A row a cell: how far it is, where, how long it took or runs, and why it failed."""
    table = Table(box=None, pad_edge=False)
    for name in ("cell", "state", "seconds", "why"):
        table.add_column(name, justify="right" if name == "seconds" else "left")
    for cell, state in states:
        took = time.time() - state.started if state.status == "running" else state.seconds
        seconds = "" if took is None else f"{took:,.0f}"
        table.add_row(shown(cell.key), shown(_place(state)), seconds, shown(" ".join(state.error or ())))
    return table


def _place(state: "CellState") -> str:
    if state.status not in ("running", "interrupted"):
        return state.status
    return f"{state.status} on {state.host}" + (f", process {state.pid}" if state.pid else "")


def _remedy(outlook: "Outlook") -> "Iterator[str]":
    failed = sum(state.status == "failed" for _, state in outlook.states)
    if failed:
        cells = "The failed cell is" if failed == 1 else f"The {failed:,} failed cells are"
        yield f"\n{cells} tried again by the same command with --retry-failed, once the cause is gone."


def _planned(facts: dict[str, Any]) -> "Iterator[RenderableType]":
    cells, left = facts["cells"], facts["left"]
    statuses = Counter(cell["status"] for cell in cells)
    yield listing(
        "",
        {
            "Sweep": str(facts["name"]),
            "Cells": f"{len(cells):,}: {', '.join(f'{count:,} {name}' for name, count in statuses.items())}",
            "To read": _bytes(left["bytes_to_read"]),
            "To write": _bytes(left["bytes_to_write"]),
            "To upload": _bytes(left["bytes_to_upload"]),
            "Time": "unknown" if left["seconds"] is None else f"{duration(left['seconds'])}, one cell after the other",
            **_kept(facts["bytes_kept_meanwhile"]),
            "Disk free": _bytes(facts["disk_free"]),
        },
    )
    yield ""
    names = ("cell", "state", "release", "to zero", "to read", "to write", "time", "memory")
    yield "\n".join(_aligned([names, *(_row(cell) for cell in cells)]))
    yield from (f"{shown(cell['cell'])}: {shown(' '.join(cell['error']))}" for cell in cells if cell["error"])


def _kept(number: int | None) -> dict[str, str]:
    if number == 0:
        return {}
    most = "as much as the text asks for" if number is None else f"{size(number)} at most"
    return {"Kept meanwhile": f"{most}: log-probabilities of dense models, until the sweep ends"}


def _row(cell: dict[str, Any]) -> tuple[str, ...]:
    took = [cell[f"estimated_{name}"] if cell[name] is None else cell[name] for name in ("seconds", "memory")]
    numbers = (cell["zeroed_parameters"], cell["bytes_to_read"], cell["bytes_to_write"], *took)
    write = (count, size, size, duration, size)
    told = ("unknown" if number is None else say(round(number)) for say, number in zip(write, numbers, strict=True))
    return shown(cell["cell"]), cell["status"], shown(", ".join(cell["repositories"]) or cell["release"]), *told


def _bytes(number: int | None) -> str:
    return "unknown" if number is None else size(number)


def _aligned(rows: "Sequence[Sequence[str]]") -> "Iterator[str]":
    """Lines of columns, numbers to the right; a table of ten thousand rows is laid out at once."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        words, numbers = zip(row[:3], widths[:3], strict=True), zip(row[3:], widths[3:], strict=True)
        left = [word.ljust(width) for word, width in words]
        yield "  ".join([*left, *(number.rjust(width) for number, width in numbers)]).rstrip()
