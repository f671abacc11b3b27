"""How much memory is free."""

from pathlib import Path

import psutil

CGROUP = Path("/sys/fs/cgroup")


def free_bytes() -> int | None:
    """Return the bytes that can still be had, on the machine or in its container; None where that is not known."""
    found = [size for size in (_machine(), _container()) if size is not None]
    return min(found, default=None)


def _machine() -> int | None:
    try:
        return int(psutil.virtual_memory().available)
    except (OSError, RuntimeError, ValueError):
        return None


def _container() -> int | None:
    try:
        limit, used = (int((CGROUP / name).read_text(encoding="ascii")) for name in ("memory.max", "memory.current"))
        # Cached files count as used and give way.
        stated = (CGROUP / "memory.stat").read_text(encoding="ascii").splitlines()
        cached = next(int(line.split()[1]) for line in stated if line[:5] == "file ")
    except (OSError, ValueError, StopIteration):
        return None
    return limit - used + cached
