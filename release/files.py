"""Files that are there whole or not at all, and folders that one run at a time writes.

A kill or a full disk in the middle of a write once left an empty marker behind, and every rerun refused the folder. So
everything but the weight files, which are continued, is written here.
"""

import errno
import json
import os
import re
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout

from release.errors import DiskFull, OutputConflict, UnusableBase

LOCK = "lock"
"""Name of the lock in a work folder."""
PATIENCE = 0.3
"""Seconds to wait for a lock: time for a run that ends to remove it, and no more."""
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
LARGEST_COPY = 256 << 20
"""Bytes of a file beside the weights, at most: tokenizers come to 40 MB."""
COPIED = 1 << 20
"""Bytes copied at a time."""
TEMPORARY = re.compile(r"\..+\.\d+\.part")

Known = TypeVar("Known")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file so that it is there whole or not at all, also after a kill or a loss of power.

    Yields a path in the same folder to write to; it is renamed to `path` at the end, or removed on failure. A link at
    `path` is replaced, not followed.

    Raises:
        DiskFull: The disk has no room for it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with room_for(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            _sync(temporary)
            temporary.replace(path)
            _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all; text as UTF-8, with the line ends it has.

    Raises:
        DiskFull: The disk has no room for it.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


def copy(source: Path, target: Path, most: int = LARGEST_COPY) -> None:
    """Copy the bytes of a regular file, whole or not at all.

    Raises:
        UnusableBase: It is a pipe, a device, a folder, or larger than `most` bytes.
        DiskFull: The disk has no room for it.
    """
    require_regular(source, most)
    with replacing(target) as temporary, source.open("rb") as read, temporary.open("wb") as written:
        done = 0
        while piece := read.read(COPIED):
            done += len(piece)
            if done > most:  # it grew since
                raise _too_large(source, done, most)
            written.write(piece)


def require_regular(path: Path, most: int = LARGEST_COPY) -> None:
    """Refuse what is no regular file, or a larger one than bears such a name. Nothing is opened: a pipe would wait.

    Raises:
        UnusableBase: Names the file.
    """
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise UnusableBase(f"{path.name} is missing, or links to nothing.", "Fetch or copy it again.") from None
    if not stat.S_ISREG(found.st_mode):
        raise UnusableBase(f"{path.name} is no regular file.", "Put the file itself in its place, or remove it.")
    if found.st_size > most:
        raise _too_large(path, found.st_size, most)


def _too_large(path: Path, size: int, most: int) -> UnusableBase:
    seen = f"{path.name} has {size:,} bytes or more; a file of this name may have {most:,}."
    return UnusableBase(seen, "Fetch it again, or look at what was put in its place.")


def recall(path: Path, understood: Callable[[bytes], Known]) -> Known | None:
    """Return what a marker or cache says; None where it is not there or cannot be read, for it will be made anew.

    Args:
        understood: Makes sense of its bytes; raises ValueError, KeyError or TypeError where there is none.
    """
    try:
        return understood(path.read_bytes())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


@contextmanager
def room_for(path: Path) -> Iterator[None]:
    """Say that the disk is full in the same words wherever it is noticed.

    Raises:
        DiskFull: There was no room left; names the file.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise DiskFull(
            f"There was no room left while writing {path.name}.",
            "Free some space, then run the same command again; or give another --out.",
        ) from None


def is_temporary(path: Path) -> bool:
    """Whether a file is what a kill left of one that `replacing` was writing."""
    return TEMPORARY.fullmatch(path.name) is not None


def sweep(folder: Path) -> None:
    """Remove what a kill left of files that were being written, here and in the folders below."""
    for path in folder.rglob(".*.part"):
        if is_temporary(path) and not path.is_dir():
            path.unlink(missing_ok=True)


@contextmanager
def locked(work: Path) -> Iterator[None]:
    """Let one run at a time write a release. The lock of a run that was killed does not count.

    Args:
        work: The folder of its markers and caches, which is never uploaded; made if it is missing, and removed at the
            end if nothing was put there, with the folders above it that were made for it.

    Raises:
        OutputConflict: Another run is at work there; says which.
    """
    fresh = [folder for folder in (work, *work.parents) if not folder.exists()]
    try:
        lock = _acquired(work)
        try:
            _sign(work / LOCK)
            yield
        finally:
            # Removed while it is held: whoever waits for this very file sees that it has no name left, and asks anew.
            (work / LOCK).unlink(missing_ok=True)
            lock.release()
    finally:
        remove_empty([work, *fresh[1:]])


def remove_empty(folders: list[Path]) -> None:
    """Remove those folders, innermost first, that hold nothing."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def _acquired(work: Path) -> FileLock:
    if work.is_symlink():
        seen = f"{work.name}/ in {_written_by(work)} is a link; what a run keeps would be written elsewhere."
        raise OutputConflict(seen, "Remove the link, or give another --out.")
    lock = FileLock(work / LOCK, timeout=PATIENCE, poll_interval=PATIENCE / 10, thread_local=False)
    for _ in range(10):
        try:
            work.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except (FileNotFoundError, FileExistsError):
            # A run that ended removed the folder meanwhile, at times while mkdir looked at it.
            if work.is_file():
                raise
        except Timeout:
            break
        else:
            return lock
    raise OutputConflict(
        f"Another run is at work in {_written_by(work)}: {_holder(work / LOCK)}.",
        "Wait until it has ended, then run the same command again; or give another --out.",
    )


def _written_by(work: Path) -> Path:
    """The release that a work folder belongs to."""
    return work.parent


def _sign(path: Path) -> None:
    """Say in the lock who holds it, for whoever comes next; it never leaves this folder."""
    since = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
    with room_for(path), path.open("w", encoding="utf-8") as file:
        json.dump({"pid": os.getpid(), "host": socket.gethostname(), "since": since}, file)


def _holder(path: Path) -> str:
    known = recall(path, _understood)
    return known or "it has just begun"


def _understood(content: bytes) -> str:
    holder = json.loads(content)
    pid, host, since = int(holder["pid"]), ascii(str(holder["host"])[:80])[1:-1], ascii(str(holder["since"])[:40])[1:-1]
    return f"process {pid} on {host}, since {since}"


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
