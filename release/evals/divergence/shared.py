"""The dense model's log-probabilities as the tasks of a sweep share them: read once, and gone when the sweep ends."""

import hashlib
import json
from collections.abc import Iterable
from io import FileIO
from pathlib import Path

import torch
from filelock import BaseFileLock, Timeout

from release import files
from release.evals.divergence.kept import KeptLogProbs
from release.format import size
from release.progress import Console

WAITS_FOR = 900.0
"""Seconds to wait for another task that reads the same dense model; one that takes longer is not waited for."""
TAKEN = "Take over the dense model's log-probabilities"
"""The step that a journal shows where nothing had to be read."""


class SharedLogProbs(KeptLogProbs):
    """Log-probabilities in a file that bears a name once it is whole.

    Whoever comes first reads the model, and holds a lock meanwhile; the others wait, and take its file.

    Args:
        folder: Where the files lie; made where it is missing.
        shape: Positions of each window, and V.
        asked: What they depend on besides the model: the windows' tokens, the arithmetic, the machine.
        windows: Numbers of all that are kept.
        console: Is told where another task is waited for, and what is taken over.
    """

    def __init__(
        self, folder: Path, shape: tuple[int, int], asked: str, windows: Iterable[int], console: Console
    ) -> None:
        super().__init__(folder, *shape)
        self._asked = hashlib.sha256(json.dumps([*shape, asked]).encode()).hexdigest()[:16]
        self._order = {window: place for place, window in enumerate(sorted(windows))}
        self._console = console
        self._path: Path | None = None
        self._lock: BaseFileLock | None = None
        self._whole = False

    def require_room(self, windows: int) -> None:
        """Refuse what the disk cannot hold, unless it is there already; see `KeptLogProbs.require_room`."""
        if not any(self.folder.glob(f"{self._asked}-*")):
            super().require_room(windows)

    def holds(self, of: str) -> frozenset[int]:
        """Return the windows that are kept of a model, by this task or another, which is waited for."""
        found = super().holds(of)
        if found or self._lock:
            return found
        self.folder.mkdir(parents=True, exist_ok=True)
        self._path = self.folder / f"{self._asked}-{hashlib.sha256(of.encode()).hexdigest()[:16]}.f4"
        if not self._path.is_file():
            self._lock = self._acquired(self._path)
        if self._path.is_file():
            self._take(self._path)
        return frozenset(self._places)

    def put(self, window: int, rows: torch.Tensor) -> None:
        """Keep one window's; the file gets its name with the last of them."""
        if self._whole or window not in self._order:
            return
        self._places.setdefault(window, self._order[window])
        super().put(window, rows)
        if self._path and self._lock and len(self._places) == len(self._order):
            self._publish(self._path)

    def close(self) -> None:
        """Let go of the file; one that is whole stays for the others."""
        super().close()
        if self._lock and self._path:
            files.remove(_partial(self._path))
        self._whole = False
        self._let_go()

    def _acquired(self, path: Path) -> BaseFileLock | None:
        """Be the one that reads the model; None where another takes too long, and this task reads it for itself."""
        for patience in (0.0, WAITS_FOR):
            lock = files.lock_at(path.with_suffix(".lock"), patience)
            try:
                return lock.acquire().lock
            except Timeout:
                if not patience:
                    self._console.say("Another task of the sweep is reading the dense model; it is waited for.")
        self._console.say("The other task takes long, so this one reads the dense model for itself.")
        return None

    def _publish(self, path: Path) -> None:
        self._opened().close()  # on Windows nothing that is open gets another name
        files.sync_file(_partial(path))
        files.put_in_place(_partial(path), path)
        self._file, self._whole = FileIO(path, "r"), True
        self._let_go()

    def _take(self, path: Path) -> None:
        total = len(self._order) * self.nbytes
        with self._console.step(f"{TAKEN} ({size(total)})", 1) as advance:
            self._file = FileIO(path, "r")
            self._places, self._whole = dict(self._order), True
            advance(1)
        self._let_go()

    def _let_go(self) -> None:
        if self._lock:
            self._lock.release()
        self._lock = None

    def _new_file(self) -> FileIO:
        """Begin anew what a kill left half; without the lock, a file of one's own."""
        return FileIO(_partial(self._path), "w+") if self._path and self._lock else super()._new_file()


def _partial(path: Path) -> Path:
    return path.with_suffix(".partial")
