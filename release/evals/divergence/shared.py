"""The dense model's log-probabilities as the tasks of a sweep share them: read once, and gone when the sweep ends."""

import hashlib
import json
import tempfile
from collections.abc import Iterable
from io import FileIO
from pathlib import Path

import torch

from release import files
from release.evals.divergence.kept import KeptLogProbs
from release.format import size
from release.progress import Console

TAKEN = "Take over the dense model's log-probabilities"
"""The step that a journal shows where nothing had to be read."""


class SharedLogProbs(KeptLogProbs):
    """Log-probabilities in a file that bears a name once it is whole.

    Whoever comes first reads the model, in its turn (see `release.evals.engine.turn`); the others take its file.

    Args:
        folder: Where the files lie; made where it is missing.
        shape: Positions of each window, and V.
        asked: What they depend on besides the model: the windows' tokens, the arithmetic, the machine.
        windows: Numbers of all that are kept.
        console: Is told what is taken over.
    """

    def __init__(
        self, folder: Path, shape: tuple[int, int], asked: str, windows: Iterable[int], console: Console
    ) -> None:
        super().__init__(folder, *shape)
        self._asked = hashlib.sha256(json.dumps([*shape, asked]).encode()).hexdigest()[:16]
        self._order = {window: place for place, window in enumerate(sorted(windows))}
        self._console = console
        self._path: Path | None = None
        self._partial: Path | None = None
        self._whole = False

    def require_room(self, windows: int) -> None:
        """Refuse what the disk cannot hold, unless it is there already; see `KeptLogProbs.require_room`."""
        if not any(self.folder.glob(f"{self._asked}-*")):
            super().require_room(windows)

    def holds(self, of: str) -> frozenset[int]:
        """Return the windows that are kept of a model, by this task or another."""
        if found := super().holds(of):
            return found
        self._path = self.folder / f"{self._asked}-{hashlib.sha256(of.encode()).hexdigest()[:16]}.f4"
        if self._path.is_file():
            self._take(self._path)
        return frozenset(self._places)

    def put(self, window: int, rows: torch.Tensor) -> None:
        """Keep one window's; the file gets its name with the last of them."""
        if self._whole or window not in self._order:
            return
        self._places.setdefault(window, self._order[window])
        super().put(window, rows)
        if self._path and self._partial and len(self._places) == len(self._order):
            self._publish(self._partial, self._path)

    def close(self) -> None:
        """Let go of the file; one that is whole stays for the others."""
        super().close()
        if self._partial:
            files.remove(self._partial)
        self._partial, self._whole = None, False

    def _publish(self, partial: Path, path: Path) -> None:
        self._opened().close()  # on Windows nothing that is open gets another name
        files.sync_file(partial)
        files.put_in_place(partial, path)
        self._file, self._partial, self._whole = FileIO(path, "r"), None, True

    def _take(self, path: Path) -> None:
        total = len(self._order) * self.nbytes
        with self._console.step(f"{TAKEN} ({size(total)})", 1) as advance:
            self._file = FileIO(path, "r")
            self._places, self._whole = dict(self._order), True
            advance(1)

    def _new_file(self) -> FileIO:
        """Begin a file of a name of its own: where no turn could be had, two tasks write at a time."""
        if self._path is None:
            return super()._new_file()
        handle, name = tempfile.mkstemp(".partial", f"{self._path.stem}-", self.folder)
        self._partial = Path(name)
        return FileIO(handle, "r+")
