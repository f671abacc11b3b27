"""How much of a file lies on the disk: whoever reads it while it is written waits for what is not there yet."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from release.checkpoint.disk import PieceReader
from release.checkpoint.files import KEEP, PIECE, FileReader, Folder
from release.checkpoint.header import Raw
from release.checkpoint.steady import Stamp, changed, stamp_of
from release.errors import ReleaseError


class NeverWritten(ReleaseError):
    """A file that was given up before it was read to its end."""


class Landed:
    """One file that one thread writes, from its first byte to its last, while another reads it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._path: Path | None = None
        self._reader: PieceReader | None = None
        self._bytes = 0
        self._stamp: Stamp | None = None
        self._given_up = False

    def begin(self, path: Path, nbytes: int) -> None:
        """Say where the file lies, and how much of it is there.

        It is opened at once, by the thread that writes it and that gives it another name when it is whole.
        """
        self._path, self._reader = path, _opened(path)
        self.reach(nbytes)

    def reach(self, nbytes: int) -> None:
        """Say that all up to some place is on the disk."""
        with self._changed:
            self._bytes = nbytes
            self._changed.notify_all()

    def finish(self, path: Path) -> None:
        """Say that the file is whole; from now on it may not change."""
        found = path.stat()
        self._stamp = stamp_of(found)
        self.reach(found.st_size)

    def whole(self, path: Path) -> None:
        """Say that the file is there, whole and under its last name; it is opened when it is read."""
        self._path = path  # a model of hundreds of files would hold more open than macOS lets a process
        self.finish(path)

    def give_up(self) -> None:
        """Let nobody wait or read any longer: whoever wrote has failed, or was told to stop."""
        with self._changed:
            self._given_up = True
            self._changed.notify_all()

    def read(self, start: int, nbytes: int) -> Raw:
        """Read a piece, once it is there.

        Raises:
            NeverWritten: It was given up.
            UnusableBase: The file was cut meanwhile.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._given_up or self._bytes >= start + nbytes)
            if self._path is None or self._given_up:
                raise NeverWritten("The file is not written or read any further.", "Run the same command again.")
            self._reader = self._reader or _opened(self._path)
        return self._reader.read(start, nbytes)

    def close(self) -> None:
        """Close the file; what was read stays readable."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def require_unchanged(self, path: Path) -> None:
        """Refuse a file that is not, under its last name, what it was when it was whole.

        Raises:
            UnusableBase: Names it.
        """
        if self._stamp != stamp_of(path.stat()):
            raise changed(path.name)


def _opened(path: Path) -> PieceReader:
    """Read past the page cache, as suits what was written past it."""
    return PieceReader(path, PIECE, KEEP, direct=True, growing=True)


@dataclass(frozen=True)
class LandingFolder(Folder):
    """A folder whose files are read while they are written.

    Attributes:
        landed: By file name.
    """

    landed: Mapping[str, Landed] = field(default_factory=dict)

    def open(self, name: str) -> FileReader:
        """Read a file in pieces, none of which is read before it is there."""
        return self.landed[name]
