"""What is known of each cell of a sweep: one small file a cell, that any machine which sees the folder can read."""

import hashlib
import os
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

import psutil

from release import files, machine
from release.digests import sha256_file
from release.frozen import Frozen
from release.schema.record import FILE_NAME
from release.sweep.grid import GridCell

GRID = "grid.json"
"""The grid, as it stood when the last run began."""
CELLS, BEATS = "cells", "beats"
BEAT_EVERY = 15.0
"""Seconds between two signs of life for other machines."""
LOST_AFTER = 300.0
"""Seconds without a sign of life after which another machine's process counts as lost; clocks differ by less."""
CLOCK_MOVES = 60.0
"""Seconds by which a clock that is set may put the start of a process after what it did."""
Status = Literal["planned", "running", "interrupted", "failed", "done"]


class CellState(Frozen):
    """What one run left of a cell.

    Attributes:
        plan: Digest of what was asked for.
        host: Name of the machine that works or worked on it.
        pid: Its process there.
        started: Seconds since 1970.
        ended: Likewise; None while it runs.
        folder: Of the finished release, within the folder of all releases.
        record: SHA-256 of its release.json.
        error: Why it failed, and what to do.
        kind: Of the cell, by which others are alike.
        memory: The most bytes that its process held by then.
    """

    plan: str
    status: Status
    host: str
    pid: int
    started: float
    ended: float | None = None
    folder: str | None = None
    record: str | None = None
    error: tuple[str, str] | None = None
    kind: str = ""
    memory: int | None = None

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        return None if self.ended is None else self.ended - self.started


PLANNED = CellState(plan="", status="planned", host="", pid=0, started=0.0)


class Board:
    """The states of a sweep's cells.

    A sweep's folder may lie on storage that several machines share: a cell's file is written whole and renamed, without
    a lock, since one process at a time writes it.

    Args:
        work: The sweep's own folder.
        out: The folder of all releases.
    """

    def __init__(self, work: Path, out: Path) -> None:
        self.work = work
        self.out = out

    def state(self, cell: GridCell) -> CellState:
        """Return what is known of a cell now; what was left of another plan of this name counts as nothing."""
        known = files.recall(self._file(cell), CellState.model_validate_json)
        if known is None or known.plan != digest(cell):
            return PLANNED
        if known.status == "running" and not self.lives(known.host, known.pid, known.started):
            return known.model_copy(update={"status": "interrupted"})
        if known.status == "done" and not self._is_whole(known):
            return PLANNED
        return known

    def beat(self) -> None:
        """Give a sign of life of this process; one that cannot be given is given later."""
        beat = self._beat(socket.gethostname(), os.getpid())
        with suppress(OSError):
            beat.parent.mkdir(parents=True, exist_ok=True)
            beat.touch()

    def rest(self) -> None:
        """Say that no further signs of life of this process are to come."""
        with suppress(OSError):
            self._beat(socket.gethostname(), os.getpid()).unlink(missing_ok=True)

    def begin(self, cell: GridCell, where: str | None = None) -> None:
        """Say that this process works on a cell, or somebody elsewhere whom this machine cannot ask."""
        known = _now(cell, "running")
        self._write(cell, known.model_copy(update={"host": where, "pid": 0}) if where else known)

    def done(self, cell: GridCell, folder: Path) -> None:
        """Say that a cell's release is whole."""
        record = sha256_file(folder / "model" / FILE_NAME)
        done = {"status": "done", "folder": folder.name, "record": record}
        self._end(cell, {**done, "kind": cell.kind, "memory": machine.memory_held()})

    def recorded(self, cell: GridCell) -> None:
        """Take in that a finished cell's release.json says more than when it was built: where to report errors."""
        known = files.recall(self._file(cell), CellState.model_validate_json)
        if known is not None and known.folder and known.record:
            record = sha256_file(self.out / known.folder / "model" / FILE_NAME)
            if record != known.record:
                self._write(cell, known.model_copy(update={"record": record}))

    def failed(self, cell: GridCell, seen: str, remedy: str) -> None:
        """Say why there is no release of a cell."""
        self._end(cell, {"status": "failed", "error": (seen, remedy)})

    def forget(self, cells: Sequence[GridCell]) -> None:
        """Have cells that failed before tried again."""
        for cell in cells:
            if self.state(cell).status == "failed":
                files.remove(self._file(cell))

    def missing(self, cells: Sequence[GridCell]) -> list[GridCell]:
        """Return the cells that are neither done nor have failed."""
        return [cell for cell in cells if self.state(cell).status not in ("done", "failed")]

    def record_of(self, cell: GridCell) -> Path | None:
        """Return a finished cell's release.json."""
        state = self.state(cell)
        return self.out / state.folder / "model" / FILE_NAME if state.status == "done" and state.folder else None

    def _end(self, cell: GridCell, what: dict[str, object]) -> None:
        known = files.recall(self._file(cell), CellState.model_validate_json)
        if known is None or known.plan != digest(cell):  # it ended before it began
            known = _now(cell, "running")
        self._write(cell, CellState.model_validate({**dict(known), **what, "ended": time.time()}))

    def _write(self, cell: GridCell, state: CellState) -> None:
        self._file(cell).parent.mkdir(parents=True, exist_ok=True)
        files.write(self._file(cell), state.model_dump_json(indent=1))

    def _file(self, cell: GridCell) -> Path:
        return self.work / CELLS / f"{cell.key}.json"

    def _beat(self, host: str, pid: int) -> Path:
        return self.work / BEATS / hashlib.sha256(f"{host} {pid}".encode()).hexdigest()[:16]

    def lives(self, host: str, pid: int, since: float) -> bool:
        """Whether a process is there; another machine's counts until its signs of life end.

        Args:
            since: When it was there, in seconds since 1970.
        """
        if host == socket.gethostname():
            return _runs(pid, since)
        try:
            return time.time() - self._beat(host, pid).stat().st_mtime < LOST_AFTER
        except OSError:  # it has not given any yet
            return True

    def _is_whole(self, known: CellState) -> bool:
        path = self.out / str(known.folder) / "model" / FILE_NAME
        return path.is_file() and sha256_file(path) == known.record


def digest(cell: GridCell) -> str:
    """Name what a cell asks for, whatever folder it is built in."""
    asked = cell.plan.model_dump_json(exclude={"out"})
    return hashlib.sha256(asked.encode()).hexdigest()


def _now(cell: GridCell, status: Status) -> CellState:
    return CellState(plan=digest(cell), status=status, host=socket.gethostname(), pid=os.getpid(), started=time.time())


def _runs(pid: int, since: float) -> bool:
    """Whether a process of this machine is there; not one that ended unasked, or got the number of one that ended."""
    try:
        process = psutil.Process(pid)
        return bool(process.status() != psutil.STATUS_ZOMBIE) and process.create_time() < since + CLOCK_MOVES
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True
