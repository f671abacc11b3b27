"""The process that builds the cells of one task; it ends with the process that started it.

    python -m release.sweep.worker GRID.json TASK

Cells of a task share a base, what it is asked, and all of a recipe but its size: one bench serves them all, one read
makes those that differ in sparsity alone, and the dense model's readings are recalled after the first.
"""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from release import files
from release.build import Bench, PlannedRelease, build, claimed, open_bench
from release.errors import DiskFull
from release.evals.engine.turn import turns_by
from release.foreseen import ErrorMessage, foreseen
from release.progress import Console
from release.release_folder import ReleaseFolder
from release.sources.cache import shared_in
from release.sweep.grid import GridCell
from release.sweep.journal import JournalConsole
from release.sweep.state import BEAT_EVERY, Board
from release.sweep.task import LOGPROBS, SETTLED, SweepTask
from release.sweep.turns import DenseTurns
from release.workspace import Workspace

LOOK_EVERY = 1.0
"""Seconds between two looks at whether the parent is there."""
ROOM = "Free some space there, then run the same command with --retry-failed."


def run(task: SweepTask, console: Console, board: Board | None = None) -> None:
    """Build the cells of a task; why one has failed is kept in its state, and the others go on.

    Args:
        board: Is told how far each is; by default the states in the sweep's own folder.
    """
    journal = JournalConsole(task.work, console.rich.quiet)
    with shared_in(task.work / LOGPROBS), turns_by(DenseTurns(task, journal)):
        _build(task.cells, board or Board(task.work, task.out), journal)


def _build(cells: Sequence[GridCell], board: Board, console: JournalConsole) -> None:
    """Build cells that share a bench; where one of several cannot be, each gets a bench of its own."""
    _begin(cells[0], board, console)
    left: dict[Path, GridCell] = {}
    try:
        bench = open_bench([cell.plan for cell in cells], console)
        planned = [_planned(cell, bench) for cell in cells]
        left = {each.workspace.folder.root: cell for each, cell in zip(planned, cells, strict=True)}
        with claimed(bench, planned):
            for release in build(bench, planned):
                board.done(left.pop(release.folder), release.folder)
                if left:
                    _begin(next(iter(left.values())), board, console)
    except Exception as error:
        if (told := _told(error)) is None:
            raise
        _go_on(cells, list(left.values()) or list(cells), board, console, told)


def _begin(cell: GridCell, board: Board, console: JournalConsole) -> None:
    board.begin(cell)
    console.turn_to(cell)


def _go_on(
    cells: Sequence[GridCell], left: list[GridCell], board: Board, console: JournalConsole, told: ErrorMessage
) -> None:
    """Build the rest. Of several of which none is built, or whose turn it was is not known, each is built alone."""
    if len(cells) == 1:
        board.failed(cells[0], told.seen, told.remedy)
        return
    for cell in left:
        _build([cell], board, console)


def _told(error: Exception) -> ErrorMessage | None:
    """What a cell's state says of an error that was foreseen; of a full disk it names the machine."""
    told = foreseen(error)
    if told and (isinstance(error, DiskFull) or (isinstance(error, OSError) and error.errno in files.NO_ROOM)):
        return told._replace(seen=f"No room on a disk of {socket.gethostname()}: {told.seen}", remedy=ROOM)
    return told


def _planned(cell: GridCell, bench: Bench) -> PlannedRelease:
    folder = ReleaseFolder(cell.plan.out / cell.plan.name(bench.base.slug))
    return PlannedRelease(cell.plan, Workspace(folder))


def die_with(parent: int, board: Board) -> None:
    """End this process, with all that it started, as soon as its parent is another: who started it was killed.

    Meanwhile it gives signs of life, for machines that cannot ask this one.
    """
    beaten = 0.0
    while os.getppid() == parent:
        if time.monotonic() - beaten >= BEAT_EVERY:
            beaten = time.monotonic()
            board.beat()
        time.sleep(LOOK_EVERY)
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(signal.SIGTERM)


def main(path: Path) -> None:
    """Build what a file says."""
    task = SweepTask.model_validate_json(path.read_bytes())
    board = Board(task.work, task.out)
    threading.Thread(target=die_with, args=(os.getppid(), board), daemon=True).start()
    run(task, Console())
    left = board.missing(task.cells)
    files.write(path.with_name(SETTLED), "\n".join(cell.key for cell in task.cells if cell not in left))
    board.rest()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
