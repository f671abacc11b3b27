"""Write a large file past the page cache, where the system can.

Writing through the cache copies every byte, fills memory with a file that is not read again soon, and leaves the disk idle
until much is waiting. Where memory is not at hand, as on a virtual machine whose host takes back what is free, that cost
1.5 s a GB and more of a core's time; straight to the disk, 0.2 s, most of it the copy to an aligned place.
"""

import errno
import mmap
import os
from pathlib import Path

import numpy as np

from release.checkpoint.header import Raw

BLOCK = 4096
"""Place in the file, place in memory and length of a direct write are multiples of this."""
STAGE = 4 << 20
"""Bytes written at a time."""


class DiskFile:
    """A file that grows at its end.

    Args:
        size: Bytes that are there already and stay; what lies behind them goes.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._cached = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        os.ftruncate(self._cached, size)
        self._direct = _open_direct(path)
        self._stage: Raw = np.frombuffer(mmap.mmap(-1, STAGE), dtype=np.uint8)  # begins with a page
        self._start = size - size % BLOCK
        self._filled = os.preadv(self._cached, [self._stage[: size % BLOCK].data], self._start)

    def write(self, data: Raw) -> None:
        """Append bytes; those of the last stage may wait in memory."""
        while data.size:
            part = data[: STAGE - self._filled]
            # numpy copies without holding the GIL.
            np.copyto(self._stage[self._filled : self._filled + part.size], part)
            self._filled += part.size
            data = data[part.size :]
            if self._filled == STAGE:
                self._flush()

    def finish(self) -> None:
        """Return when all is on the disk."""
        self._write_cached(0)
        os.fsync(self._cached)

    def close(self) -> None:
        """Close the file; bytes that still wait are lost."""
        os.close(self._cached)
        if self._direct is not None:
            os.close(self._direct)

    def _flush(self) -> None:
        self._write_cached(self._write_direct())
        self._start += STAGE
        self._filled = 0

    def _write_direct(self) -> int:
        """Return how many bytes could be written so."""
        if self._direct is None:
            return 0
        try:
            return os.pwrite(self._direct, self._stage.data, self._start)
        except OSError as error:
            if error.errno != errno.EINVAL:  # some file systems open a file so, but do not write it so
                raise
            return 0

    def _write_cached(self, done: int) -> None:
        while done < self._filled:
            done += os.pwrite(self._cached, self._stage[done : self._filled].data, self._start + done)


def _open_direct(path: Path) -> int | None:
    if not hasattr(os, "O_DIRECT"):
        return None
    try:
        return os.open(path, os.O_WRONLY | os.O_DIRECT)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return None
