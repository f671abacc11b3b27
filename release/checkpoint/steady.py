"""Files that must not change while they are read: a base is read for hours, and anybody may write to it meanwhile."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from release.errors import UnusableBase

Stamp = tuple[int, int, int]
"""Bytes, time of the last change, and inode: they differ where a file was cut, written to or replaced."""


def stamp_of(found: os.stat_result) -> Stamp:
    """What tells a file that stayed as it was."""
    return found.st_size, found.st_mtime_ns, found.st_ino


def changed(name: str) -> UnusableBase:
    """The error for a file that somebody cut, wrote to, replaced or removed while it was read."""
    return UnusableBase(
        f"{name} was cut or changed while it was read.",
        "Fetch or copy it again, leave it alone, and run the same command again.",
    )


@contextmanager
def steady(stamps: Mapping[Path, Stamp]) -> Iterator[None]:
    """Refuse what was made of files that were changed meanwhile, and say so where that made something else fail.

    Args:
        stamps: Of each file, as it was when its header was read.

    Raises:
        UnusableBase: Names the first that is not as it was.
    """
    try:
        yield
    except Exception:
        _require_unchanged(stamps)
        raise
    _require_unchanged(stamps)


def _require_unchanged(stamps: Mapping[Path, Stamp]) -> None:
    for path, stamp in stamps.items():
        try:
            now = stamp_of(path.stat())
        except OSError:
            raise changed(path.name) from None
        if now != stamp:
            raise changed(path.name)
