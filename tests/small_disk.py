"""Disks without room: a limit on the size of files, which every system has, and a small disk where one can be made."""

import ctypes
import os
import resource
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

NEW_MOUNTS, NEW_USER = 0x0002_0000, 0x1000_0000
RECURSIVELY_PRIVATE, REMOUNT = 0x4000 | 0x4_0000, 0x20
PAGE = 4096
"""Bytes that a file takes at least on a small disk."""
BALLAST = "ballast"


def only(most: int) -> Callable[[], None]:
    """From now on no file of this process grows beyond so many bytes: the write that would do so is cut there."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def on_a_disk_of(nbytes: int, folder: Path, law: Callable[[Path], None]) -> None:
    """Let a law hold on a disk of its own, in a process of its own: nobody else sees it, and it ends with the process.

    Args:
        folder: Where the disk is mounted.
    """
    told, tell = os.pipe()
    if not (child := os.fork()):
        code = 1
        try:
            _mount(folder, nbytes)
            law(folder)
            code = 0
        except BaseException:  # noqa: BLE001 - told to the process that waits
            os.write(tell, traceback.format_exc().encode()[-4_000:])
        finally:
            os._exit(code)
    os.close(tell)
    with os.fdopen(told, encoding="utf-8", errors="replace") as said:
        words = said.read()
    assert os.waitpid(child, 0)[1] == 0, words


def may_mount() -> bool:
    """Whether this process may mount a disk of its own."""
    if sys.platform != "linux":
        return False
    if not (child := os.fork()):
        code = 1
        try:
            _mount(Path("/"), PAGE)
            code = 0
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1] == 0


def _mount(folder: Path, nbytes: int) -> None:
    system, user, group = ctypes.CDLL(None, use_errno=True), os.geteuid(), os.getegid()
    _require(system.unshare(NEW_MOUNTS | (NEW_USER if user else 0)))
    if user:
        for name, line in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
            Path("/proc/self", name).write_text(line)
    _require(system.mount(None, b"/", None, RECURSIVELY_PRIVATE, None))
    _require(system.mount(b"tmpfs", bytes(folder), b"tmpfs", 0, f"size={nbytes}".encode()))


def _require(answer: int) -> None:
    if answer:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def grow(folder: Path, nbytes: int) -> None:
    """Give a small disk more room; only inside `on_a_disk_of`."""
    system = ctypes.CDLL(None, use_errno=True)
    _require(system.mount(b"tmpfs", bytes(folder), b"tmpfs", REMOUNT, f"size={nbytes}".encode()))


def fill(folder: Path, spared: int) -> None:
    """Fill a small disk but for so many pages, as others may while a run is at work."""
    free = os.statvfs(folder).f_bavail - spared
    with (folder / BALLAST).open("ab") as file:
        if free > 0:
            os.posix_fallocate(file.fileno(), 0, free * PAGE)
