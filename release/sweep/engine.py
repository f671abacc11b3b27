"""What runs the tasks of a sweep: here, on a cluster, as Jobs. All of them settle cells by the same rule."""

import time
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from release.progress import Console
from release.sweep.grid import GridCell
from release.sweep.state import Board

CRASHED = "Look at its log, then run the same command with --retry-failed."
APART = "Let both machines see the same folder of releases, then run the same command with --retry-failed."
VISIBLE_WITHIN = 60.0
"""Seconds until what another machine wrote is seen here; network file systems keep what they know for some seconds."""
LOOK_EVERY = 0.5


class SweepEngine(Protocol):
    """Runs tasks somewhere.

    Attributes:
        console: Where it says what goes on.
    """

    console: Console

    def run(self, board: Board, groups: Sequence[Sequence[GridCell]]) -> None:
        """Build groups of cells; returns when each of them is done or has failed.

        Args:
            groups: Cells that one worker builds.

        Raises:
            ReleaseError: The engine itself cannot run.
        """


class WorkerEnd(NamedTuple):
    """How a worker ended.

    Attributes:
        code: Its exit code.
        said: What it said last.
        settled: Keys of the cells that it left done or failed, as the worker itself knows.
        error: What its machine lacks, and what to do; None where it could begin.
    """

    code: int
    said: str
    settled: tuple[str, ...] = ()
    error: tuple[str, str] | None = None


def remaining(board: Board, cells: Sequence[GridCell], ended: WorkerEnd) -> list[GridCell]:
    """Return the cells that a next worker is to build: a worker that broke off has failed in one."""
    for cell in cells:
        if cell.key in ended.settled and not _seen(board, cell):
            board.failed(cell, f"It was built, and is not seen here after {VISIBLE_WITHIN:.0f} seconds.", APART)
    left = board.missing(cells)
    if not left:
        return []
    broken = next((cell for cell in left if board.state(cell).status in ("interrupted", "running")), left[0])
    board.failed(
        broken, *(ended.error or (f"Its process broke off with exit code {ended.code}: {ended.said}", CRASHED))
    )
    return [cell for cell in left if cell is not broken]


def _seen(board: Board, cell: GridCell) -> bool:
    """Wait until it is seen here that a cell is settled; tell whether it is."""
    ends = time.monotonic() + VISIBLE_WITHIN
    while board.missing([cell]):
        if time.monotonic() >= ends:
            return False
        time.sleep(LOOK_EVERY)
    return True
