"""How far a sweep is, at one moment: its cells, who drives it, what its file says by now, and how long it will take."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from release.sweep.changes import since_last_run
from release.sweep.driver import Driver, driver_of
from release.sweep.grid import GridCell
from release.sweep.job import Sweep
from release.sweep.journal import SharedWork, shared_work
from release.sweep.state import CellState

SETTLED = ("done", "failed")


@dataclass(frozen=True)
class Outlook:
    """How far a sweep is.

    Attributes:
        states: Every cell beside what is known of it.
        driver: None where nobody drives it.
        seconds_left: Until all cells are settled, with as many at a time as now; None where that is not known.
        changed: In what the grid's file differs from what the run at work, or the last one, began with.
        shared: What its cells shared; None where nothing was written down.
    """

    job: Sweep
    states: Sequence[tuple[GridCell, CellState]]
    driver: Driver | None
    seconds_left: float | None
    changed: str | None
    shared: SharedWork | None

    @property
    def settled(self) -> bool:
        """Whether nothing is left to build."""
        return all(state.status in SETTLED for _, state in self.states)

    @property
    def moves(self) -> bool:
        """Whether anything is going to change while one looks."""
        runs = any(state.status == "running" for _, state in self.states)
        return not self.settled and (self.driver is not None or runs)


def look(job: Sweep, earlier: Mapping[str, float]) -> Outlook:
    """Look at a sweep; nothing is written.

    Args:
        earlier: Seconds that a cell took before, by its kind; what this sweep's own cells took counts for more.
    """
    states = job.states()
    found = since_last_run(job)
    return Outlook(
        job,
        states,
        driver_of(job.board),
        time_left(states, earlier),
        found.said if found else None,
        shared_work(job.work, job.cells),
    )


def time_left(states: Sequence[tuple[GridCell, CellState]], earlier: Mapping[str, float]) -> float | None:
    """Return the seconds until all cells are settled; None where no cell of some kind that is left was ever built."""
    took = defaultdict(list)
    for cell, state in states:
        if state.status == "done" and state.seconds is not None:
            took[cell.kind].append(state.seconds)
    expected = {**earlier, **{kind: fmean(each) for kind, each in took.items()}}
    left, at_work = 0.0, 0
    for cell, state in states:
        if state.status in SETTLED:
            continue
        if cell.kind not in expected:
            return None
        runs = state.status == "running"
        at_work += runs
        left += max(0.0, expected[cell.kind] - (time.time() - state.started if runs else 0.0))
    return left / max(1, at_work)
