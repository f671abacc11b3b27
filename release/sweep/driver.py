"""The process that drives a sweep: one at a time, seen from every machine, and told when the grid's file changes."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from release import files
from release.errors import OutputConflict
from release.frozen import Frozen
from release.progress import Console
from release.sweep.changes import since_it_was_read
from release.sweep.grid import file_digest
from release.sweep.job import Sweep
from release.sweep.state import BEAT_EVERY, Board

DRIVER = "driver.json"
LOOK_EVERY = 5.0
"""Seconds between two looks at the grid's file."""


class Driver(Frozen):
    """A process that drives a sweep.

    Attributes:
        started: Seconds since 1970.
    """

    host: str
    pid: int
    started: float

    @property
    def said(self) -> str:
        """Which one it is."""
        return f"process {self.pid} on {self.host}"


def driver_of(board: Board) -> Driver | None:
    """Return who drives a sweep now; None where nobody does, or whoever did was killed."""
    known = files.recall(board.work / DRIVER, Driver.model_validate_json)
    return known if known and board.lives(known.host, known.pid, known.started) else None


@contextmanager
def driving(job: Sweep, console: Console) -> Iterator[None]:
    """Be the one that drives a sweep; meanwhile a change of the grid's file is said, and signs of life are given.

    Raises:
        OutputConflict: Another one does; names it.
    """
    with _alone(job):
        own = Driver(host=socket.gethostname(), pid=os.getpid(), started=time.time())
        files.write(job.work / DRIVER, own.model_dump_json())
        ended = threading.Event()
        threading.Thread(target=_watch, args=(job, console, ended), daemon=True).start()
        try:
            yield
        finally:
            ended.set()
            (job.work / DRIVER).unlink(missing_ok=True)
            job.board.rest()


@contextmanager
def _alone(job: Sweep) -> Iterator[None]:
    with ExitStack() as held:
        try:
            held.enter_context(files.locked(job.work / "run"))
        except OutputConflict as error:
            if (other := driver_of(job.board)) is None:
                raise
            seen = f"The grid {job.grid.name} is being built by {other.said}, in {job.work}."
            raise OutputConflict(seen, f"See how far it is with --status. {error.remedy}") from None
        yield


def _watch(job: Sweep, console: Console, ended: threading.Event) -> None:
    known = last = job.digest
    beaten = 0.0
    while not ended.wait(LOOK_EVERY):
        if time.monotonic() - beaten >= BEAT_EVERY:
            beaten = time.monotonic()
            job.board.beat()
        before, last = last, file_digest(job.file)
        if last not in (before, known):
            continue  # it may be half written
        if last != known:
            known = last
            console.say(since_it_was_read(job) or f"{job.file.name} is again what this run began with.")
