"""What this machine tells of itself, on Linux, macOS and Windows; what is not told is None, never a guess."""

import os
import platform
import subprocess
import sys
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import psutil

CPUINFO = Path("/proc/cpuinfo")
CGROUP = Path("/sys/fs/cgroup")
IDLE = ("idle", "iowait", "guest", "guest_nice")
"""Kinds of a processor's time in which it waited, or that are counted among the others already."""
UNTOLD = (OSError, RuntimeError, ValueError, NotImplementedError, psutil.Error)
"""What asking raises where the system does not say."""
MOST_MEMORY = "RELEASE_MAX_MEMORY"
"""The variable that says how many bytes this process, and those that it starts, may hold; `--max-memory` sets it."""
BESIDE_WEIGHTS = 0.15
"""Share of a model's weights that must be free in memory beside them, for activations."""
PATIENCE = 5.0
"""Seconds for the system's own tool to answer."""


def processors() -> frozenset[int]:
    """Return the numbers of the processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux alone has it
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def cores() -> int:
    """Return how many processors this process may use."""
    return len(processors())


def processor() -> str:
    """Name the processor as the system does."""
    return _from_cpuinfo() or _from_sysctl() or platform.processor() or "unknown"


def memory_free() -> int | None:
    """Return the bytes that can still be had without swapping, here or in a container; None where nobody says.

    Where the user set a limit, it is what that leaves.
    """
    with suppress(*UNTOLD):
        return min([int(psutil.virtual_memory().available), *_container(), *_allowed()])
    return None


def _allowed() -> list[int]:
    """Return what the user's own limit leaves beside what this process holds, where there is one."""
    most = os.environ.get(MOST_MEMORY)
    return [max(0, int(most) - (memory_of(os.getpid()) or 0))] if most else []


def memory_of(process: int) -> int | None:
    """Return the bytes that a process has in memory; None where nobody says."""
    with suppress(*UNTOLD):
        return int(psutil.Process(process).memory_info().rss)
    return None


def memory_held() -> int | None:
    """Return the most bytes that this process ever had in memory; None where nobody says."""
    with suppress(*UNTOLD, AttributeError):
        if find_spec("resource") is None:  # Windows
            return int(psutil.Process().memory_info().peak_wset)
        resource = import_module("resource")
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return int(most) * (1 if sys.platform == "darwin" else 1024)
    return None


def used_seconds() -> float | None:
    """Return how long this process's processors were busy since the machine started, time stolen by others included.

    None where nobody says, or where processors are switched off, so that their numbers are not those of the list.
    """
    with suppress(*UNTOLD, IndexError):
        times = psutil.cpu_times(percpu=True)
        return sum(_busy(times[number]._asdict()) for number in processors())
    return None


def times_put_aside() -> int | None:
    """Return how often this process was put aside though it had work to do; None where nobody says."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def _busy(times: dict[str, float]) -> float:
    return sum(seconds for kind, seconds in times.items() if kind not in IDLE)


def _from_cpuinfo() -> str | None:
    with suppress(*UNTOLD):
        lines = CPUINFO.read_text(encoding="utf-8").splitlines()
        return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), None)
    return None


def _from_sysctl() -> str | None:
    """Ask macOS, whose Python only says "arm"."""
    if sys.platform != "darwin":
        return None
    with suppress(*UNTOLD, subprocess.SubprocessError):
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE).stdout.strip()
    return None


def _container() -> list[int]:
    """Return what a container's own limit leaves, where there is one."""
    try:
        limit = (CGROUP / "memory.max").read_text(encoding="ascii").strip()
        used = int((CGROUP / "memory.current").read_text(encoding="ascii"))
        stated = (CGROUP / "memory.stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return []
    # The kernel drops file pages before it kills.
    cached = dict(line.split() for line in stated).get("file", 0)
    return [] if limit == "max" else [int(limit) - used + int(cached)]
