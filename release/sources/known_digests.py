"""SHA-256 of files that this machine hashed before, kept for as long as the files stay as they were.

What is trusted is the file system: a file whose path, device, inode, size, time of change and time of status change are
what they were holds what it held. No call sets the time of status change, so that a file that was written to and given
its old time is hashed anew. Nothing is taken over from whoever published a file: what is kept was hashed here.
"""

import hashlib
import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from release import files
from release.checkpoint.steady import changed
from release.digests import FileDigest, sha256_file
from release.frozen import Frozen
from release.sources.cache import Digest, checks_folder, keep

SETTLED = 2_000_000_000
"""Nanoseconds that a file must have stayed as it was before it is hashed: a change right after another may bear the
same time, and the coarsest clock of a file system counts two seconds."""


class FileState(Frozen):
    """What tells that a file stayed as it was.

    Attributes:
        changed: Time of the last change, in nanoseconds.
        status_changed: Time of the last change of its bytes, name, owner or permissions, in nanoseconds.
    """

    bytes: int
    changed: int
    status_changed: int
    inode: int
    device: int

    @property
    def is_settled(self) -> bool:
        """Whether any change from now on will show: Windows tells when a file was made, not when its status changed."""
        return sys.platform != "win32" and self.status_changed < time.time_ns() - SETTLED


class KnownDigest(Frozen):
    """A file as it was when it was hashed."""

    state: FileState
    sha256: str


def state_of(path: Path) -> FileState:
    """Look at a file, without reading it."""
    found = path.stat()
    return FileState(
        bytes=found.st_size,
        changed=found.st_mtime_ns,
        status_changed=found.st_ctime_ns,
        inode=found.st_ino,
        device=found.st_dev,
    )


def recall(path: Path) -> str | None:
    """Return the SHA-256 of a file that is as it was when it was hashed; None where it has to be hashed."""
    known = files.recall(_place(path), KnownDigest.model_validate_json)
    return known.sha256 if known is not None and known.state == state_of(path) else None


@dataclass(frozen=True)
class KnownFiles:
    """Some files before they are read, and the SHA-256 of those that were hashed before.

    Attributes:
        states: As they were then, by path.
        settled: Those of which a later change would show.
        digests: By path.
    """

    states: Mapping[Path, FileState]
    settled: frozenset[Path]
    digests: Mapping[Path, str]

    @classmethod
    def of(cls, paths: Iterable[Path]) -> Self:
        """Look at files, and for what is known of them."""
        states = {path: state_of(path) for path in paths}
        found = {path: recall(path) for path in states}
        settled = frozenset(path for path, state in states.items() if state.is_settled)
        return cls(states, settled, {path: sha256 for path, sha256 in found.items() if sha256 is not None})

    def confirmed(self, digests: Sequence[FileDigest]) -> tuple[FileDigest, ...]:
        """Return the files' digests once they were read, and keep those that were not known.

        Args:
            digests: In the order of `states`.

        Raises:
            UnusableBase: A file is not as it was.
        """
        self._confirm([digest.sha256 for digest in digests])
        return tuple(digests)

    def read_as(self, sha256: str) -> str:
        """Return the SHA-256 of the only file, as `confirmed`; a name that no release may have is one here."""
        self._confirm([sha256])
        return sha256

    def _confirm(self, found: Sequence[str]) -> None:
        for (path, before), sha256 in zip(self.states.items(), found, strict=True):
            if state_of(path) != before:
                raise changed(path.name)
            if path in self.settled and path not in self.digests:
                keep(_place(path), KnownDigest(state=before, sha256=sha256).model_dump_json())


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, from the last time where it is known.

    Raises:
        UnusableBase: The file was changed while it was hashed.
    """
    known = KnownFiles.of([path])
    return known.read_as(known.digests.get(path) or sha256_file(path))


def _place(path: Path) -> Path:
    """Where the digest of a file is kept; the path itself is not."""
    return checks_folder() / "digests" / f"{hashlib.sha256(os.fsencode(path.absolute())).hexdigest()}.json"


class LargeFileDigest(Digest):
    """What a large file's SHA-256 must be: hashed once, and again when the file is not as it was."""

    def _of(self, path: Path) -> str:
        return sha256_of(path)
