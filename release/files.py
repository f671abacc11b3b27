"""Files that are there whole or not at all, and folders that one run at a time writes.

A kill or a full disk in the middle of a write once left an empty marker behind, and every rerun refused the folder. So
everything but the weight files, which are continued, is written here.
"""

import errno
import json
import os
import re
import shutil
import socket
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import TypeVar

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout, UnixFileLock

from release.errors import DiskFull, OutputConflict, UnusableBase

if sys.platform != "win32":
    import fcntl

LOCK = "lock"
"""Name of the lock in a work folder."""
HOLDER = "holder"
"""Name of the file beside it that says who holds it: nobody else can read the lock itself on Windows."""
PATIENCE = 0.3
"""Seconds to wait for a lock: time for a run that ends to remove it, and no more."""
NO_FLOCK = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)
"""What flock says where there is none: Lustre without its option, a mounted bucket, NFS without its lock daemon."""
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
WAITS = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Seconds to wait for whoever has a file open."""
LEADS_NOWHERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
COPIED = 1 << 20
"""Bytes copied at a time."""
SNAPSHOTS, BLOBS = "snapshots", "blobs"
"""Of a repository in the Hub's cache: folders of links, and what they lead to."""
SHARED = ".huggingface-shared-blobs"
"""Marks the folder of blobs that all repositories of a cache share: what the Hub's client fetches by Xet."""
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
        with no_room_is_told(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            sync_file(temporary)
            put_in_place(temporary, path)
            sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all; text as UTF-8, with the line ends it has.

    Raises:
        DiskFull: The disk has no room for it.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Write a folder so that it is there whole or not at all; what it held before is gone.

    Yields a folder beside it, which does not exist yet.

    Raises:
        DiskFull: The disk has no room for it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    remove(temporary)
    try:
        with no_room_is_told(path):
            yield temporary
            for folder in (temporary, *(each for each in temporary.rglob("*") if each.is_dir())):
                sync_folder(folder)
            remove(path)
            put_in_place(temporary, path)
            sync_folder(path.parent)
    finally:
        remove(temporary)


def put(path: Path, content: str | bytes) -> None:
    """Write a file below a folder of `replacing_folder`, which nobody sees until it is whole; text as UTF-8.

    A name of its own for each file while it is written, and a sync of the folder after it, as `write` has them, were
    half of what publishing a small release waited for.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    sync_file(path)


def put_in_place(temporary: Path, path: Path) -> None:
    """Give a file or folder the name that it is to have; what bears it is replaced.

    On Windows nothing can be renamed while anybody has it open, as those do that look through new files.
    """
    for wait in WAITS if sys.platform == "win32" else ():
        try:
            temporary.replace(path)
        except PermissionError:
            time.sleep(wait)
        else:
            return
    temporary.replace(path)


def remove(path: Path) -> None:
    """Remove a file, a folder with all it holds, or a link but not what it leads to; none is no error."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def clear(folder: Path, *spared: Path) -> None:
    """Remove what a folder holds, but for what is spared."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path not in spared:
            remove(path)


def copy(source: Path, target: Path) -> None:
    """Copy the bytes of a file, whole or not at all; see `require_own` for what must not be copied.

    Raises:
        DiskFull: The disk has no room for it.
    """
    with replacing(target) as temporary, source.open("rb") as read, temporary.open("wb") as written:
        shutil.copyfileobj(read, written, COPIED)


def require_own(folder: Path, name: str) -> Path:
    """Return the path of a folder's own file: a regular one, and no link to where others keep theirs.

    A link is followed inside the folder, and from a snapshot in the Hub's cache to its blobs. A licence that linked to
    the file of a token was once published. Nothing is opened: a pipe would wait for ever.

    Raises:
        UnusableBase: Names the file.
    """
    path, home = folder / name, folder.resolve()
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:  # Python 3.11 and 3.12 raise RuntimeError for a circle
        if getattr(error, "errno", errno.ELOOP) not in LEADS_NOWHERE:
            raise
        raise UnusableBase(f"{name} is missing, or links to nothing.", "Fetch or copy it again.") from None
    homes = (home, *_blobs(home)) if home.parent.name == SNAPSHOTS else (home,)
    if not any(real.is_relative_to(each) for each in homes):
        raise UnusableBase(f"{name} links out of its folder.", "Put the file itself in its place, or remove it.")
    if not stat.S_ISREG(real.stat().st_mode):
        raise UnusableBase(f"{name} is no regular file.", "Put the file itself in its place, or remove it.")
    return path


def _blobs(snapshot: Path) -> Iterator[Path]:
    """Where the files of a snapshot in the Hub's cache lie: its repository's own, and what Xet fetched for any."""
    repository = snapshot.parent.parent
    yield repository / BLOBS
    if (repository.parent / BLOBS / SHARED).is_file():
        yield repository.parent / BLOBS


def require_inside(folder: Path, name: str) -> Path:
    """Return the path of something in a folder that is no link to a place outside it.

    Raises:
        UnusableBase: It is; names it.
    """
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        seen = f"{name} in {folder.resolve().name}/ is a link that leads out of it."
        raise UnusableBase(seen, "Put what it leads to in its place, or remove it.")
    return path


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
def no_room_is_told(path: Path) -> Iterator[None]:
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
    for path in list(folder.rglob(".*.part")):
        if is_temporary(path):
            remove(path)


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
            _sign(work / HOLDER)
            yield
        finally:
            (work / HOLDER).unlink(missing_ok=True)
            if isinstance(lock, UnixFileLock):  # the others remove their file themselves
                # While it is held: whoever waits for this very file sees that it has no name left, and asks anew.
                (work / LOCK).unlink(missing_ok=True)
            lock.release()
    finally:
        remove_empty([work, *fresh[1:]])


def require_idle(work: Path) -> None:
    """Refuse a work folder that another run holds; nothing is made where there is none.

    Raises:
        OutputConflict: As `locked`.
    """
    if (work / LOCK).exists():
        with locked(work):
            pass


def of_lock(work: Path) -> tuple[Path, Path]:
    """Return the files by which `locked` holds a work folder."""
    return work / LOCK, work / HOLDER


def remove_empty(folders: list[Path]) -> None:
    """Remove those folders, innermost first, that hold nothing."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def lock_at(path: Path, timeout: float) -> BaseFileLock:
    """Return a lock; where a file system has no flock, as some of several machines, a file that is there holds it.

    Args:
        path: Its file, in a folder that is there.
        timeout: Seconds to wait for whoever holds it.
    """
    kind = FileLock if _has_flock(path.parent) else SoftFileLock
    return kind(path, timeout=timeout, poll_interval=PATIENCE / 10, thread_local=False)


def _has_flock(folder: Path) -> bool:
    """Try it on a file of its own: one of the lock's name would hold the lock in the other form."""
    if sys.platform == "win32":
        return True
    with TemporaryFile(dir=folder) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno not in NO_FLOCK
    return True


def _acquired(work: Path) -> BaseFileLock:
    if work.is_symlink():
        seen = f"{work.name}/ in {_written_by(work)} is a link; what a run keeps would be written elsewhere."
        raise OutputConflict(seen, "Remove the link, or give another --out.")
    soft = False
    for _ in range(10):
        try:
            work.mkdir(parents=True, exist_ok=True)
            lock = lock_at(work / LOCK, PATIENCE)
            soft = isinstance(lock, SoftFileLock)
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
        f"Another run is at work in {_written_by(work)}: {_holder(work / HOLDER)}.",
        "Wait until it has ended, then run the same command again; or give another --out."
        + (f" If that process is gone, remove {work / LOCK}: this file system has no locks that end with it." * soft),
    )


def _written_by(work: Path) -> Path:
    """The release that a work folder belongs to."""
    return work.parent


def _sign(path: Path) -> None:
    """Say who holds the lock, for whoever comes next; it never leaves this folder."""
    since = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
    with no_room_is_told(path), path.open("w", encoding="utf-8", newline="\n") as file:
        json.dump({"pid": os.getpid(), "host": socket.gethostname(), "since": since}, file)


def _holder(path: Path) -> str:
    known = recall(path, _understood)
    return known or "it has just begun"


def _understood(content: bytes) -> str:
    holder = json.loads(content)
    pid, host, since = int(holder["pid"]), ascii(str(holder["host"])[:80])[1:-1], ascii(str(holder["since"])[:40])[1:-1]
    return f"process {pid} on {host}, since {since}"


def sync_file(path: Path) -> None:
    """Return when a file is on the disk."""
    with path.open("rb+") as file:  # Windows syncs no file that is only read
        to_disk(file.fileno())


def sync_folder(path: Path) -> None:
    """Return when the names in a folder are on the disk; Windows opens no folder, and writes names down by itself."""
    if sys.platform == "win32":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        to_disk(handle)
    finally:
        os.close(handle)


def to_disk(handle: int) -> None:
    """Return when all that was written to an open file is on the disk; macOS says so of the drive's own cache."""
    with suppress(OSError):  # not every file system takes the call
        if sys.platform == "win32":
            pass
        elif whole := getattr(fcntl, "F_FULLFSYNC", None):
            fcntl.fcntl(handle, whole)
            return
    os.fsync(handle)
