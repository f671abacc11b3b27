"""Turns to read a dense model: of several tasks at a time one reads it, and the others take over what it read."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from filelock import BaseFileLock, SoftFileLock, Timeout

from release import files
from release.progress import Console
from release.sweep import readings
from release.sweep.task import LOGPROBS, SweepTask

AT_ONCE = 0.0
FOR_EVER = -1.0
WAITS_FOR = 900.0
"""Seconds to wait where a lock may outlast a machine that was lost: on a file system without flock."""


class DenseTurns:
    """The turns of one task.

    A lock of the operating system's ends with the process that holds it, so it is waited for however long a reading
    takes. What makes a turn impossible costs a second reading, and stops nothing.

    Args:
        console: Is told where another task is waited for.
    """

    def __init__(self, task: SweepTask, console: Console) -> None:
        self._folder = task.work / LOGPROBS
        self._exchange = None if task.readings is None else readings.Exchange(task.work, task.readings)
        self._console = console

    @contextmanager
    def __call__(self, of: str) -> Iterator[None]:
        """Hold the turn to read what is named; see `release.evals.engine.turn`."""
        name = hashlib.sha256(of.encode()).hexdigest()[:16]
        lock = self._acquired(name)
        try:
            if self._exchange:
                self._exchange.take_over()
            yield
            if self._exchange:
                self._exchange.lay_down()
        finally:
            if lock:
                lock.release()

    def _acquired(self, name: str) -> BaseFileLock | None:
        """Return the lock; None where another task holds on to it, or none can be made."""
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = files.lock_at(self._folder / f"turn-{name}.lock", AT_ONCE)
            with suppress(Timeout):
                return lock.acquire().lock
            self._console.say("Another task of the sweep is reading the dense model; it is waited for.")
            with suppress(Timeout):
                return lock.acquire(timeout=WAITS_FOR if isinstance(lock, SoftFileLock) else FOR_EVER).lock
            self._console.say("The other task takes long, so this one reads the dense model for itself.")
        return None
