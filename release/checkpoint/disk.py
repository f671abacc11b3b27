"""Large files past the page cache, where the system can.

Writing through the cache copies every byte, fills memory with a file that is not read again soon, and leaves the disk
idle until much is waiting. It costs 0.4 s of a core a GB, and 1.5 s and more where free memory is not at hand (on a
virtual machine whose host takes back what is free); straight to the disk costs 0.2 s, mostly for the copy to an aligned
place. What was written so is not in the cache, and is best read back the same way: then the disk itself is verified.
"""

import errno
import mmap
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np

from release.checkpoint.header import Raw
from release.checkpoint.steady import Stamp, changed, stamp_of
from release.files import to_disk

BLOCK = 4096
"""Where a direct transfer starts in the file and in memory, and how long it is, are multiples of this."""
STAGE = 4 << 20
"""Bytes gathered before they are written, where they do not lie in memory as they will in the file."""
TRANSFER = 64 << 20
"""Bytes written by one call, at most."""
MOST = 1 << 30
"""Bytes read by one call, at most: macOS refuses 2 GiB."""
BINARY: int = getattr(os, "O_BINARY", 0)
"""Windows would take some bytes for ends of lines."""
_MOVING = threading.Lock()


def room_for(nbytes: int) -> Raw:
    """Return uninitialised memory; numpy asks for huge pages, so that touching it first costs little."""
    return np.empty(nbytes, dtype=np.uint8)


def read_at(file: BinaryIO, offset: int, target: Raw) -> None:
    """Fill `target` from `offset` on, without moving the file's position (threads share it).

    Raises:
        UnusableBase: The file ends before.
    """
    view, got = target.data, 0
    while got < len(view):
        count = _read_some(file.fileno(), view[got:], offset + got)
        if not count:
            raise changed(Path(file.name).name)
        got += count


class DiskWriter:
    """A file that grows at its end.

    Args:
        size: Bytes that are there already and stay; what lies behind them goes.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._file = _RawFile(path, os.O_RDWR | os.O_CREAT, direct=True)
        self._stage = _pages(STAGE)
        self._start = size - size % BLOCK
        self._filled = self._file.read(self._stage[: size % BLOCK], self._start)
        os.ftruncate(self._file.cached, size)

    def write(self, data: Raw) -> None:
        """Append bytes, without a copy where `data` lies in its page as it will in the file; the last few may wait."""
        if (place_in_page(data) - self._filled) % BLOCK == 0:
            head = -self._filled % BLOCK
            self._gather(data[:head])
            data = data[head:]
            whole = data.size // BLOCK * BLOCK
            if whole:
                self._flush()
                self._transfer(data[:whole])
            data = data[whole:]
        self._gather(data)

    @property
    def landed(self) -> int:
        """Bytes from the file's first on that were given to the disk; what waits in memory is not among them."""
        return self._start

    def finish(self) -> None:
        """Return when all is on the disk."""
        self._flush()
        to_disk(self._file.cached)

    def close(self) -> None:
        """Close the file; what waits in memory is lost."""
        self._file.close()

    def _gather(self, data: Raw) -> None:
        while data.size:
            part = data[: STAGE - self._filled]
            # numpy copies without holding the GIL.
            np.copyto(self._stage[self._filled : self._filled + part.size], part)
            self._filled += part.size
            data = data[part.size :]
            if self._filled == STAGE:
                self._flush()

    def _flush(self) -> None:
        self._transfer(self._stage[: self._filled])
        self._filled = 0

    def _transfer(self, data: Raw) -> None:
        for at in range(0, data.size, TRANSFER):
            self._file.write(data[at : at + TRANSFER], self._start + at)
        self._start += data.size


class PieceReader:
    """A file that is read piece by piece, into memory that is used again.

    Args:
        largest: Bytes of the largest piece.
        keep: How many pieces, with the latest, stay as they were read.
        direct: Past the page cache.
        growing: Whether it is still written to.
    """

    def __init__(self, path: Path, largest: int, keep: int, direct: bool, *, growing: bool = False) -> None:
        self._path = path
        self._file = _RawFile(path, os.O_RDONLY, direct)
        self._stamp = None if growing else self._now()
        self._buffers = cycle([_pages(largest + 2 * BLOCK) for _ in range(keep)])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; what was read stays readable."""
        self._file.close()

    def read(self, start: int, nbytes: int) -> Raw:
        """Read a piece.

        Raises:
            UnusableBase: The file ends before, or was changed since it was opened, unless it grows.
        """
        skip = start % BLOCK
        whole = -(-(skip + nbytes) // BLOCK) * BLOCK
        room = next(self._buffers)
        got = self._file.read(room[:whole], start - skip)
        if got < skip + nbytes or self._stamp not in (None, self._now()):
            raise changed(self._path.name)
        return room[skip : skip + nbytes]

    def _now(self) -> Stamp:
        return stamp_of(os.fstat(self._file.cached))


class SteadyReader:
    """A file whose pieces are read through the page cache, by any thread, into memory of the caller's.

    Not by mmap: a base that was cut while it was mapped ended the run with SIGBUS and not a word.

    Args:
        stamp: Of the file, as it was when its header was read.

    Raises:
        UnusableBase: It was changed since.
    """

    def __init__(self, path: Path, stamp: Stamp | None = None) -> None:
        self._path = path
        self._file = path.open("rb")
        self._stamp = stamp or stamp_of(os.fstat(self._file.fileno()))
        self.require_unchanged()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; what was read stays readable."""
        self._file.close()

    def read(self, start: int, target: Raw) -> None:
        """Fill memory with the bytes from `start` on.

        Raises:
            UnusableBase: The file ends before.
        """
        read_at(self._file, start, target)

    def require_unchanged(self) -> None:
        """Refuse a file that is not what it was when its header was read.

        Raises:
            UnusableBase: Names it.
        """
        if self._stamp != stamp_of(os.fstat(self._file.fileno())):
            raise changed(self._path.name)


class _RawFile:
    """One file opened twice: through the cache, and past it where that is wanted and the file system lets."""

    def __init__(self, path: Path, flags: int, direct: bool) -> None:
        self.cached = os.open(path, flags | BINARY, 0o666)
        self._direct: int | None = None
        if direct and hasattr(os, "O_DIRECT"):
            with _unless_refused():
                self._direct = os.open(path, flags | os.O_DIRECT)

    def read(self, room: Raw, start: int) -> int:
        """Fill `room`, and return how many bytes there were."""
        got = 0
        with _unless_refused():
            got = _read_some(self._direct, room.data, start) if self._direct is not None else 0
        while got < room.size and (more := _read_some(self.cached, room[got:].data, start + got)):
            got += more
        return got

    def write(self, data: Raw, start: int) -> None:
        done = 0
        with _unless_refused():
            done = _write_some(self._direct, data.data, start) if self._direct is not None else 0
        while done < data.size:
            done += _write_some(self.cached, data[done:].data, start + done)

    def close(self) -> None:
        for handle in (self.cached, self._direct):
            if handle is not None:
                os.close(handle)


@contextmanager
def _unless_refused() -> Iterator[None]:
    """Go on where the system cannot do this directly: the file system lacks it, or the transfer is not aligned."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise


def _read_some(handle: int, room: memoryview, start: int) -> int:
    """Read at a place in a file, as much as there is or one call gives, and return how much."""
    room = room[:MOST]
    if hasattr(os, "preadv"):
        return os.preadv(handle, [room], start)
    if hasattr(os, "pread"):  # a macOS before 11, or a Python made for one
        data = os.pread(handle, len(room), start)
    else:  # Windows has one position in a file, which its readers share
        with _MOVING:
            os.lseek(handle, start, os.SEEK_SET)
            data = os.read(handle, len(room))
    room[: len(data)] = data
    return len(data)


def _write_some(handle: int, data: memoryview, start: int) -> int:
    """Write at a place in a file, as much as one call takes, and return how much."""
    if hasattr(os, "pwrite"):
        return os.pwrite(handle, data, start)
    with _MOVING:
        os.lseek(handle, start, os.SEEK_SET)
        return os.write(handle, data)


def place_in_page(data: Raw) -> int:
    """How far into its block of memory an array begins."""
    return int(data.__array_interface__["data"][0]) % BLOCK


def _pages(nbytes: int) -> Raw:
    """Memory that begins with a page."""
    return np.frombuffer(mmap.mmap(-1, nbytes), dtype=np.uint8)
