"""What the user sees while work goes on: bars on a terminal, plain lines elsewhere, always on stderr."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console as RichConsole
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from release.text import shown

Advance = Callable[[float], None]

LINE_EVERY = 10.0
"""Seconds between two lines of one step where there is no terminal."""


class NobodyReads(Exception):
    """Whoever read what is printed has gone: a pipe was closed."""


class Screen(RichConsole):
    """A terminal or a pipe; a closed pipe is an error of its own, which no failure of the work is taken for."""

    def on_broken_pipe(self) -> None:
        """Say that nobody reads any more."""
        raise NobodyReads


class Console:
    """Reports steps and remarks on stderr, so that stdout stays free for results.

    Args:
        quiet: Say nothing at all.
    """

    def __init__(self, quiet: bool = False) -> None:
        self.rich = Screen(stderr=True, quiet=quiet, highlight=False, soft_wrap=True, emoji=False)

    def say(self, text: str) -> None:
        """Print one line; `text` is taken literally, without markup, and may come from anywhere."""
        self.rich.print(shown(text), markup=False)

    @contextmanager
    def step(self, text: str, total: float) -> Iterator[Advance]:
        """Show the progress of one step.

        Yields a function that is called with the amount of work just done, in the unit of `total`.
        """
        progress = self._bar(shown(text), total) if self.rich.is_terminal else self._lines(text, total)
        with progress as advance:
            yield advance

    @contextmanager
    def _bar(self, text: str, total: float) -> Iterator[Advance]:
        columns = (
            TextColumn("{task.description:<34}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.rich) as progress:
            task = progress.add_task(text, total=total)
            yield lambda amount: progress.advance(task, amount)

    @contextmanager
    def _lines(self, text: str, total: float) -> Iterator[Advance]:
        started = last = time.monotonic()
        done = 0.0
        self.say(f"{text} …")

        def advance(amount: float) -> None:
            nonlocal done, last
            done += amount
            now = time.monotonic()
            if now - last >= LINE_EVERY:
                last = now
                self.say(f"{text} … {min(done / total, 1):.0%}")

        yield advance
        self.say(f"{text} … done in {time.monotonic() - started:.1f} s")
