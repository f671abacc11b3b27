"""How much memory is free."""

from pathlib import Path

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")


def free_bytes() -> int | None:
    """Return the bytes that can still be had, on the machine or in its container; None where that is not known."""
    found = [size for size in (_machine(), _container()) if size is not None]
    return min(found, default=None)


def _machine() -> int | None:
    try:
        lines = MEMINFO.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    stated = {name: rest for name, _, rest in (line.partition(":") for line in lines)}
    return int(stated["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in stated else None


def _container() -> int | None:
    try:
        limit, used = (int((CGROUP / name).read_text()) for name in ("memory.max", "memory.current"))
        # Cached files count as used and give way.
        cached = next(
            int(line.split()[1]) for line in (CGROUP / "memory.stat").read_text().splitlines() if line[:5] == "file "
        )
    except (OSError, ValueError, StopIteration):
        return None
    return limit - used + cached
