"""The dense model's log-probabilities, on disk for as long as they are needed.

They are too many for memory (32 windows of 256 tokens over 49,152 tokens are 1.6 GB), and the two models shall never
have to be in memory together. The file has no name where the system allows it, so that nothing is left of it however a
run ends.
"""

import shutil
import tempfile
import weakref
from io import FileIO
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from release.errors import DiskFull
from release.files import NO_ROOM
from release.format import size

SINGLE = np.dtype("<f4")
Rows = NDArray[np.float32]
SPARE = 1 << 30
"""Bytes that must stay free beside the file."""
REMEDY = (
    "Free some space, name a folder on a larger disk in RELEASE_CACHE, compare fewer windows with --divergence N, or "
    "leave it out: --divergence off."
)


class KeptLogProbs:
    """Log-probabilities of windows, (positions, V) each in fp32; one window at a time is in memory.

    Args:
        folder: Where the file lies; made where it is missing.
        positions: Of each window.
        vocabulary: V.
    """

    def __init__(self, folder: Path, positions: int, vocabulary: int) -> None:
        self.folder, self.shape = folder, (positions, vocabulary)
        self._file: FileIO | None = None
        self._places: dict[int, int] = {}
        self._of = ""

    @property
    def nbytes(self) -> int:
        """Bytes of one window."""
        return self.shape[0] * self.shape[1] * SINGLE.itemsize

    def require_room(self, windows: int) -> None:
        """Refuse before any work what the disk cannot hold.

        Raises:
            DiskFull: Says how much is needed, how much is free, and where.
        """
        at = next(each for each in (self.folder, *self.folder.parents) if each.exists())
        needed, free = windows * self.nbytes + SPARE, shutil.disk_usage(at).free
        if needed > free:
            raise DiskFull(
                f"The dense model's log-probabilities on {windows} windows take {size(needed)}; {size(free)} are free "
                f"in {self.folder}.",
                REMEDY,
            )

    def holds(self, of: str) -> frozenset[int]:
        """Return the windows that are kept of a model; those of another one are let go of."""
        if of != self._of:
            self.close()
            self._of = of
        return frozenset(self._places)

    def put(self, window: int, rows: torch.Tensor) -> None:
        """Keep one window's, (positions, V).

        Raises:
            DiskFull: There is no room left.
        """
        file = self._opened()
        place = self._places.get(window, len(self._places))
        try:
            file.seek(place * self.nbytes)
            _write(file, rows.float().cpu().contiguous().numpy().astype(SINGLE, copy=False))
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            raise DiskFull("There was no room left for the dense model's log-probabilities.", REMEDY) from None
        self._places[window] = place

    def of(self, window: int, device: torch.device) -> torch.Tensor:
        """Bring one window's back, (positions, V); it is read from the disk as it is looked at, and copied nowhere."""
        place = self._places[window] * self.nbytes
        rows = np.memmap(self._opened(), SINGLE, "c", place, self.shape)
        return torch.from_numpy(rows).to(device)

    def close(self) -> None:
        """Give the room on the disk back; what was kept is gone."""
        if self._file is not None:
            self._file.close()
        self._file, self._places = None, {}

    def _opened(self) -> FileIO:
        if self._file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = self._new_file()
            weakref.finalize(self, self._file.close)
        return self._file

    def _new_file(self) -> FileIO:
        return tempfile.TemporaryFile(dir=self.folder, buffering=0)


def _write(file: FileIO, rows: Rows) -> None:
    left = rows.data.cast("B")
    while left:
        left = left[file.write(left) :]
