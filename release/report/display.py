"""One JSON object on stdout, or plain tables for people."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import RenderableType

from release.checkpoint.prunable import LeftDense
from release.format import escaped, shown
from release.progress import Screen

WIDTH = 160
"""Columns a table may take where the terminal has fewer, or where there is none."""
MOST_LISTED = 5
"""Lists of blocks named on screen; the record holds all."""


NOTHING: Mapping[str, str] = {}
SAME_LINE = {"Do it": "the same command line without --dry-run"}
"""What follows a dry run."""


def display(
    data: dict[str, Any], as_json: bool, tables: Iterable[RenderableType], following: Mapping[str, str] = NOTHING
) -> None:
    """Print a result: its data as one JSON object, or the tables and the command lines that people go on with.

    Args:
        following: What for → command line.
    """
    console = Screen(highlight=False, soft_wrap=True, emoji=False)
    console.width = max(console.width, WIDTH)  # a cell that is cut short loses what it says
    if as_json:
        _write(console, escaped(json.dumps(data, indent=2, ensure_ascii=not _takes_all(console))))
        return
    for table in (*tables, *(("", listing("Next", following)) if following else ())):
        console.print(table, markup=False)


def _write(console: Screen, text: str) -> None:
    """Write as it is what nobody colors or wraps; megabytes of it would otherwise be laid out for seconds."""
    try:
        console.file.write(f"{text}\n")
        console.file.flush()
    except BrokenPipeError:
        console.on_broken_pipe()


def _takes_all(console: Screen) -> bool:
    """Whether every letter can be printed; on Windows that is not so of a pipe or file."""
    return console.encoding.lower().replace("-", "").startswith("utf")


def listing(title: str, facts: Mapping[str, str]) -> str:
    """Write one fact a line; lines are never broken, so that what is read from a pipe is whole."""
    named = {shown(name): shown(value) for name, value in facts.items()}
    width = max(map(len, named), default=0)
    lines = [f"{name:<{width}}  {value}".rstrip() for name, value in named.items()]
    return "\n".join([title, *lines] if title else lines)


def left_dense(lists: Sequence[LeftDense]) -> dict[str, str]:
    """What is told of blocks that stay dense, where there are any."""
    names = ", ".join(f"{each.blocks} ({each.parameters:,} weights)" for each in lists[:MOST_LISTED])
    more = f" and {len(lists) - MOST_LISTED} more" if len(lists) > MOST_LISTED else ""
    return {"Left dense": shown(names + more)} if lists else {}
