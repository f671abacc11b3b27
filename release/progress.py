"""What the user sees while work goes on: bars on a terminal, plain lines elsewhere, always on stderr."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console as RichConsole
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from release.format import seconds, shown

Advance = Callable[[float], None]
Tell = Callable[[str, float], None]

LINE_EVERY = 10.0
"""Seconds between two lines of one step where there is no terminal."""


def _left(passed: float, done: float, total: float) -> str:
    """Say how long a step will still take, at the rate it had so far; nothing before there is a rate."""
    if not 0 < done < total:
        return ""
    return f", about {seconds(passed * (total - done) / done)} left"


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
                self.say(f"{text} … {min(done / total, 1):.0%}{_left(now - started, done, total)}")

        yield advance
        self.say(f"{text} … done in {time.monotonic() - started:.1f} s")

    @contextmanager
    def waiting(self, text: str, limit: float, safe: str = "Ctrl-C is safe") -> Iterator[Tell]:
        """Show that something is waited for that takes its own time.

        Yields a function that is called with the state and with the seconds waited, as often as one likes. A terminal
        shows them at once; elsewhere a line comes when the state changes, and every ten seconds.

        Args:
            limit: Seconds after which the wait is given up.
            safe: What becomes of a wait that is broken off.
        """

        def told(state: str, waited: float) -> str:
            return f"{text} … {state}, {waited:,.0f} s of at most {limit:,.0f} s. {safe}."

        with self._spinner(shown(text), told) if self.rich.is_terminal else self._told(text, told) as tell:
            yield tell

    @contextmanager
    def _spinner(self, text: str, told: Callable[[str, float], str]) -> Iterator[Tell]:
        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False))
        with Progress(*columns, console=self.rich) as progress:
            task = progress.add_task(f"{text} …", total=None)
            yield lambda state, waited: progress.update(task, description=shown(told(state, waited)))

    @contextmanager
    def _told(self, text: str, told: Callable[[str, float], str]) -> Iterator[Tell]:
        last_state, last = "", 0.0
        self.say(f"{text} …")

        def tell(state: str, waited: float) -> None:
            nonlocal last_state, last
            if state != last_state or waited - last >= LINE_EVERY:
                last_state, last = state, waited
                self.say(told(state, waited))

        yield tell
