"""What the user sees while work goes on: bars on a terminal, plain lines elsewhere, always on stderr."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from rich.console import Console as RichConsole
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from release.errors import NobodyReads
from release.format import count, seconds, shown, size

Advance = Callable[[float], None]
Tell = Callable[[str, float], None]

LINE_EVERY = 10.0
"""Seconds between two lines of one step where there is no terminal."""
BYTES = "bytes"
"""The unit of what is told in kB, MB and GB."""
WIDE, MIDDLE = 110, 80
"""Columns of a terminal from which amounts stand beside the bar, and from which the bar has its full length."""


class Pace(NamedTuple):
    """How far a step is.

    Attributes:
        done: In the step's unit, as is `total`.
        seconds: Since it began.
        unit: What is counted, in the plural; empty for a share of the whole.
    """

    done: float
    total: float
    seconds: float
    unit: str = ""

    @property
    def share(self) -> float:
        """Of the whole, 0 to 1."""
        return min(self.done / self.total, 1) if self.total else 1.0

    def amount(self) -> str:
        """Say how much is done: `121 MB of 269 MB`, `43 of 180 prompts`."""
        if self.unit == BYTES:
            return f"{size(int(self.done))} of {size(int(self.total))}"
        # Sums of shares may end just below a whole number.
        return f"{count(int(self.done + 1e-6))} of {count(int(self.total))} {self.unit}" if self.unit else ""

    def rate(self) -> str:
        """Say how much is done in a second, or how long one takes; nothing before there is a rate."""
        if not (self.unit and self.done > 0 and self.seconds > 0):
            return ""
        rate = self.done / self.seconds
        if self.unit == BYTES:
            return f"{size(int(rate))}/s"
        if rate < 1:
            return f"{seconds(1 / rate)} each"
        return f"{rate:,.{0 if rate >= 100 else 1}f} a second"

    def left(self) -> str:
        """Say how long it will still take at the rate so far; nothing before there is a rate."""
        left = self.seconds * (self.total / self.done - 1) if self.done > 0 else 0
        return f"about {_whole(left)} left" if left >= 1 else ""

    def __str__(self) -> str:
        return ", ".join(filter(None, (f"{self.share * 100:.0f} %", self.amount(), self.rate(), self.left())))


def _whole(number: float) -> str:
    """Write a time that is an estimate, in whole seconds."""
    return f"{number:.0f} s" if number < 59.5 else seconds(number)


class AmountColumn(ProgressColumn):
    """The amount and the rate of a step, beside its bar."""

    def render(self, task: Task) -> Text:
        """Write both."""
        pace = Pace(task.completed, task.total or 0, task.elapsed or 0, str(task.fields.get("unit", "")))
        return Text(", ".join(filter(None, (pace.amount(), pace.rate()))), no_wrap=True)


def _columns(width: int) -> tuple[ProgressColumn, ...]:
    """Return what stands in a line of a terminal so wide: the label is cut before any number is."""
    bar = 20 if width >= MIDDLE else 8
    amount, amount_width = ((AmountColumn(),), 38) if width >= WIDE else ((), 0)
    room = max(8, width - bar - amount_width - len("100% 0:00:00 0:00:00") - 5)
    label = Column(no_wrap=True, overflow="ellipsis", width=min(room, 56))
    return (
        TextColumn("{task.description}", markup=False, table_column=label),
        BarColumn(bar_width=bar),
        TaskProgressColumn(),
        *amount,
        TimeElapsedColumn(table_column=Column(no_wrap=True, min_width=7)),
        TimeRemainingColumn(table_column=Column(no_wrap=True, min_width=7)),
    )


class Screen(RichConsole):
    """A terminal or a pipe; a closed pipe is an error of its own, which no failure of the work is taken for."""

    def on_broken_pipe(self) -> None:
        """Say that nobody reads any more."""
        raise NobodyReads


class Console:
    """Reports steps and remarks on stderr, so that stdout stays free for results.

    Args:
        quiet: Say nothing at all.
        place: What stands before each step, as in `[3/6] `; see `begin`.
    """

    def __init__(self, quiet: bool = False, place: str = "") -> None:
        self.rich = Screen(stderr=True, quiet=quiet, highlight=False, soft_wrap=True, emoji=False)
        self.place = place
        self._ahead: tuple[str, ...] = ()
        self._begun = 0

    def __reduce__(self) -> "tuple[type[Console], tuple[bool, str]]":
        """Go to another process as what it takes to speak there at the same place."""
        return type(self), (self.rich.quiet, self.place)

    def plan(self, stages: Sequence[str]) -> None:
        """Note the stages of the work to come, in their order; `begin` says which of them it is at."""
        self._ahead, self._begun, self.place = tuple(stages), 0, ""

    def begin(self, stage: str) -> None:
        """Say that a stage of the plan begins: `Step 3 of 6: audit`.

        One that is not ahead in the plan is passed over: it is part of the stage that goes on.
        """
        if stage not in self._ahead[self._begun :]:
            return
        self._begun = self._ahead.index(stage, self._begun) + 1
        self.place = f"[{self._begun}/{len(self._ahead)}] "
        self.say(f"Step {self._begun} of {len(self._ahead)}: {stage}")

    def say(self, text: str) -> None:
        """Print one line; `text` is taken literally, without markup, and may come from anywhere."""
        self.rich.print(shown(text), markup=False)

    @contextmanager
    def step(self, text: str, total: float, unit: str = "") -> Iterator[Advance]:
        """Show the progress of one step.

        Yields a function that is called with the amount of work just done, in the unit of `total`.

        Args:
            unit: What `total` counts, in the plural: `BYTES`, or "prompts"; empty for shares.
        """
        text = f"{self.place}{text}"
        shows = self._bar if self.rich.is_terminal else self._lines
        with shows(text, total, unit) as advance:
            yield advance

    @contextmanager
    def _bar(self, text: str, total: float, unit: str) -> Iterator[Advance]:
        with Progress(*_columns(self.rich.width), console=self.rich) as progress:
            task = progress.add_task(shown(text), total=total, unit=unit)
            yield lambda amount: progress.advance(task, amount)

    @contextmanager
    def _lines(self, text: str, total: float, unit: str) -> Iterator[Advance]:
        started = last = time.monotonic()
        done = 0.0
        self.say(f"{text} …")

        def advance(amount: float) -> None:
            nonlocal done, last
            done += amount
            now = time.monotonic()
            if now - last >= LINE_EVERY:
                last = now
                self.say(f"{text} … {Pace(done, total, now - started, unit)}")

        yield advance
        took = Pace(done, total, time.monotonic() - started, unit)
        self.say(f"{text} … done in {', '.join(filter(None, (seconds(took.seconds), took.rate())))}")

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
