"""Fetched things on disk: where they lie, how they are written, and how their bytes are checked."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import platformdirs

from release import files
from release.digests import git_blob_sha1, sha256_file
from release.errors import DiskFull, NotHere, UnusableData

CRLF, LF = b"\r\n", b"\n"


def cache_folder() -> Path:
    """Return the folder of fetched things: `RELEASE_CACHE`, or the user's cache folder for `release`."""
    chosen = os.environ.get("RELEASE_CACHE")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("release", appauthor=False))


def checks_folder() -> Path:
    """Return the folder of what was found of files here before: `RELEASE_CHECKS`, or the cache folder."""
    chosen = os.environ.get("RELEASE_CHECKS")
    return Path(chosen) if chosen else cache_folder()


def keep(path: Path, found: str) -> None:
    """Keep what was found; where that cannot be, it will be found again."""
    with suppress(OSError, DiskFull):
        files.write(path, found)


_FETCHES: ContextVar[bool] = ContextVar("fetches", default=True)


@contextmanager
def nothing_fetched() -> Iterator[None]:
    """Let nothing be fetched inside: what is not on this disk is `NotHere`."""
    before = _FETCHES.set(False)
    try:
        yield
    finally:
        _FETCHES.reset(before)


def require_fetching(what: str) -> None:
    """Refuse to fetch something where nothing is to be fetched.

    Raises:
        NotHere: It is so.
    """
    if not _FETCHES.get():
        raise NotHere(f"{what} is not on this disk.", "It is fetched once, when it is needed.")


_SHARED: ContextVar[Path | None] = ContextVar("shared", default=None)


@contextmanager
def shared_in(folder: Path) -> Iterator[None]:
    """Let what is large and needed by others too, who name the same folder, be kept there by what runs inside."""
    before = _SHARED.set(folder)
    try:
        yield
    finally:
        _SHARED.reset(before)


def shared_folder() -> Path | None:
    """Return the folder of what is shared with others; None where nothing is."""
    return _SHARED.get()


@dataclass(frozen=True)
class Digest:
    """What a file's bytes must be.

    Attributes:
        algorithm: `sha256`, or `git` for the blob SHA-1 of a text, taken with LF line ends as git stores it.
        hex: The digest in hexadecimal.
    """

    algorithm: Literal["sha256", "git"]
    hex: str

    def check(self, path: Path, remedy: str) -> Path:
        """Return `path` if its bytes are the ones named.

        Raises:
            UnusableData: They are not; names the file and both digests.
        """
        seen = self._of(path)
        if seen != self.hex:
            kind = "SHA-256" if self.algorithm == "sha256" else "git blob SHA-1"
            raise UnusableData(f"{path} was altered: its {kind} is {seen}, not {self.hex}.", remedy)
        return path

    def _of(self, path: Path) -> str:
        if self.algorithm == "sha256":
            return sha256_file(path)
        return git_blob_sha1(path.read_bytes().replace(CRLF, LF))
