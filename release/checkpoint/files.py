"""A model's files, wherever they lie: their names and sizes, and their bytes in order.

Reading and verifying need no more than `Files` promises. A folder on this disk is one kind; `release.sources.remote`
makes a repository on the Hub another.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Protocol

from release.checkpoint.disk import PieceReader
from release.checkpoint.header import Header, Raw, read_header
from release.digests import FileDigest
from release.errors import UnusableBase
from release.files import require_own
from release.names import is_eval_results, is_litter

PIECE = 4 << 20
"""Bytes read at a time: few enough that all threads find them in the processor's shared cache."""
KEEP = 5
"""Pieces that must stay as they were read, the latest among them."""
LARGEST_TEXT = 64 << 20
"""Bytes of a file that is read as a whole, at most; no config, index, record, table or card comes near."""

FOLDER = "a folder"


def is_hidden(name: str) -> bool:
    """Whether a file of a release is never published: a hidden one, or one that the app or a file manager left."""
    if is_eval_results(name):
        return False
    return is_litter(name) or any(part.startswith((".", "__pycache__")) for part in PurePosixPath(name).parts)


class FileReader(Protocol):
    """One file's bytes; quickest when they are asked for in order."""

    def read(self, start: int, nbytes: int) -> Raw:
        """Read a piece.

        Raises:
            ReleaseError: The file ends before, was changed meanwhile, or cannot be brought here.
        """

    def close(self) -> None:
        """Let go of the file; what was read stays readable."""


class Files(Protocol):
    """The files of one model."""

    @property
    def name(self) -> str:
        """What to call the whole in messages."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Path with forward slashes → bytes, of every file."""

    @property
    def others(self) -> Mapping[str, str]:
        """Path with forward slashes → what it is, of all that lies there and is no regular file."""

    def open(self, name: str) -> FileReader:
        """Open a file that is read in pieces of up to `PIECE` bytes, the latest `KEEP` of which stay as they were."""

    def header(self, name: str) -> Header:
        """Read and check the header of a safetensors file.

        Raises:
            UnusableBase: The file is cut, no safetensors, or empty.
        """

    def folder(self) -> Path:
        """A folder on this disk that holds the same model, for those who must read here and there."""


@dataclass(frozen=True)
class Folder:
    """The files of a folder on this disk.

    Attributes:
        direct: Read past the page cache, as suits files that were written past it.
    """

    path: Path
    direct: bool = False

    @property
    def name(self) -> str:
        """The folder's own name."""
        return f"{self.path.name}/"

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        """Path with forward slashes → bytes, of every file below."""
        return {name: path.stat().st_size for name, path in self._entries() if path.is_file()}

    @cached_property
    def others(self) -> Mapping[str, str]:
        """Path with forward slashes → what it is: a folder, a link to one, or what is no file at all."""
        return {name: _kind(path) for name, path in self._entries() if not path.is_file()}

    def _entries(self) -> Iterator[tuple[str, Path]]:
        for at, folders, names in os.walk(self.path, onerror=_refuse_closed):
            for path in (Path(at, name) for name in (*folders, *names)):
                yield path.relative_to(self.path).as_posix(), path

    def open(self, name: str) -> FileReader:
        """Open a file that is read in pieces; a link that leads out of the folder is not followed."""
        return PieceReader(require_own(self.path, name), PIECE, KEEP, self.direct)

    def header(self, name: str) -> Header:
        """Read and check the header of a safetensors file."""
        return read_header(require_own(self.path, name))

    def folder(self) -> Path:
        """The folder itself."""
        return self.path


def _kind(path: Path) -> str:
    if path.is_dir():
        return "a link to a folder" if path.is_symlink() else FOLDER
    return "a link to nothing" if path.is_symlink() and not path.exists() else "no regular file"


def _refuse_closed(error: OSError) -> None:
    """Let a folder that may not be looked into count as a trouble: what lies there would be taken for missing."""
    if isinstance(error, PermissionError):
        raise error


def pieces(files: Files, name: str) -> Iterator[Raw]:
    """Read a file from its first byte to its last; a piece holds until the next is asked for."""
    size, reader = files.sizes[name], files.open(name)
    try:
        for start in range(0, size, PIECE):
            yield reader.read(start, min(PIECE, size - start))
    finally:
        reader.close()


def digest(files: Files, name: str) -> FileDigest:
    """Read a whole file and return its size and SHA-256."""
    sha = hashlib.sha256()
    for piece in pieces(files, name):
        sha.update(piece.data)
    return FileDigest(name=name, bytes=files.sizes[name], sha256=sha.hexdigest())


def content(files: Files, name: str) -> bytes:
    """Read a small file.

    Raises:
        UnusableBase: It is far larger than what bears its name.
    """
    if files.sizes[name] > LARGEST_TEXT:
        seen = f"{name} of {files.name} has {files.sizes[name]:,} bytes; it is read as a whole up to {LARGEST_TEXT:,}."
        raise UnusableBase(seen, "Fetch it again, or look at what was put in its place.")
    return b"".join(piece.tobytes() for piece in pieces(files, name))
