"""A sweep as it goes on, in a terminal: what is at work and what failed, as far as the screen reaches."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from release.progress import Screen
from release.report.sweeps import head, rows

if TYPE_CHECKING:
    from release.sweep.outlook import Outlook

ORDER = ("running", "failed", "interrupted", "planned", "done")
"""Of the rows: what one looks for first."""
AROUND = 4
"""Lines besides the table's rows and the head: its own head, the rest, how to end, and the cursor's."""


def is_watched() -> bool:
    """Whether somebody looks: a result that goes into a file or a pipe is shown once."""
    return Screen().is_terminal


@contextmanager
def watching() -> Iterator[Callable[["Outlook"], None]]:
    """Show a sweep in place, again and again; what was shown is gone at the end.

    Yields a function that shows how far it is now.
    """
    console = Screen(highlight=False, emoji=False)
    with Live(console=console, transient=True, auto_refresh=False) as live:
        yield lambda outlook: live.update(_screen(outlook, console.height), refresh=True)


def _screen(outlook: "Outlook", height: int) -> RenderableType:
    """Lay it out in so many lines."""
    first = Text(head(outlook), no_wrap=True, overflow="ellipsis")
    room = max(1, height - len(first.plain.splitlines()) - AROUND)
    states = sorted(outlook.states, key=lambda each: ORDER.index(each[1].status))
    table = rows(states[:room])
    for column in table.columns:
        column.no_wrap, column.overflow = True, "ellipsis"
    rest = Counter(state.status for _, state in states[room:])
    told = ", ".join(f"{count:,} {name}" for name, count in rest.items())
    last = [Text(f"and {told}")] if told else []
    return Group(first, table, *last, Text("Ctrl-C ends this view alone.", style="dim"))
