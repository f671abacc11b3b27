"""Digests of files, read in pieces of any size of file."""

import hashlib
from pathlib import Path

from release.frozen import Frozen
from release.names import FileName


class FileDigest(Frozen):
    """One file as it lies on disk.

    Attributes:
        name: Path relative to the model folder, with forward slashes; it leads nowhere else.
        bytes: Size in bytes.
        sha256: Hexadecimal SHA-256 of the whole file.
    """

    name: FileName
    bytes: int
    sha256: str


def sha256_file(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def git_blob_sha1(content: bytes | Path) -> str:
    """Return the name git gives to a file's content: SHA-1 of `blob <size>`, a zero byte, and the bytes."""
    data = content.read_bytes() if isinstance(content, Path) else content
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def digest_of(path: Path, name: str | None = None) -> FileDigest:
    """Read a whole file and return its size and SHA-256, under its own name or the one given."""
    return FileDigest(name=name or path.name, bytes=path.stat().st_size, sha256=sha256_file(path))
