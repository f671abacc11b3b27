"""How much memory and energy something took while it ran, by the counters that this machine has; no guess where none.

Memory on a CUDA device is what its allocator gave out at most. On the CPU it is the process's own peak, which Linux
lets a process start anew; other systems keep one peak for all of a process's life, so there it is looked at many times
a second. Energy is counted by the processor's packages (powercap, Intel's and AMD's RAPL; readable for root on most
systems) and by NVML. Such a counter counts all that runs there, and begins again at 0 after some minutes or hours.
"""

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Literal

import psutil
import torch

from release.schema.usage import ModelUsage

POWERCAP = Path("/sys/class/powercap")
PACKAGE = re.compile(r"[\w-]+:\d+")
"""A package's folder; what lies deeper (cores, memory) is part of one."""
SELF = Path("/proc/self")
EVERY = 0.02
"""Seconds between two looks at memory."""
MICRO, MILLI = 1e-6, 1e-3

Memory = Literal["resident", "sampled", "allocated", "driver"]


@dataclass
class Counter:
    """A counter of energy that begins again at 0.

    Attributes:
        read: Returns where it stands.
        unit: Joules of one step.
        span: Steps until it begins again; None where it does not.
        steps: Counted so far.
    """

    read: Callable[[], int]
    unit: float
    span: int | None = None
    steps: int = 0
    last: int = field(init=False)

    def __post_init__(self) -> None:
        self.last = self.read()

    def look(self) -> None:
        """Add what came since the last look."""
        now = self.read()
        self.steps += now - self.last + (self.span or 0) * (now < self.last)
        self.last = now

    @property
    def joules(self) -> float:
        """Counted so far."""
        return self.steps * self.unit


def packages(folder: Path | None = None) -> dict[str, Counter]:
    """Return the counters of a powercap folder, by default the system's, that may be read, by their own names."""
    found: dict[str, Counter] = {}
    for path in sorted((folder or POWERCAP).glob("*")):
        if PACKAGE.fullmatch(path.name):
            with suppress(OSError, ValueError):
                name = (path / "name").read_text(encoding="ascii").strip()
                span = int((path / "max_energy_range_uj").read_text(encoding="ascii"))
                found[name] = Counter(_whole(path / "energy_uj"), MICRO, span)
    return found


def _whole(path: Path) -> Callable[[], int]:
    return lambda: int(path.read_text(encoding="ascii"))


def _of_gpu(device: torch.device) -> dict[str, Counter]:
    """Return NVML's counter of a CUDA device, where its package is there and the card counts."""
    if device.type != "cuda":
        return {}
    try:
        nvml = import_module("pynvml")
    except ImportError:
        return {}
    with suppress(nvml.NVMLError, AttributeError):  # an older card does not count, an older torch names no card
        nvml.nvmlInit()
        handle = nvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
        return {"NVML": Counter(lambda: int(nvml.nvmlDeviceGetTotalEnergyConsumption(handle)), MILLI)}
    return {}


def counters(device: torch.device) -> dict[str, Counter]:
    """Return all counters of energy that this machine lets one read."""
    return packages() | _of_gpu(device)


def kind_of_memory(device: torch.device) -> Memory:
    """Return how the memory of what runs on a device is told."""
    if device.type == "cuda":
        return "allocated"
    if device.type == "mps":
        return "driver"
    return "resident" if (SELF / "clear_refs").exists() else "sampled"


@dataclass
class UsageWatch:
    """What was seen since it began.

    Attributes:
        peak: Bytes looked at; 0 where the peak is kept by somebody else.
    """

    device: torch.device
    energy: Mapping[str, Counter]
    started: float = field(default_factory=time.perf_counter)
    peak: int = 0

    def look(self) -> None:
        """Look at memory, where nobody keeps its peak, and at the counters."""
        kind = kind_of_memory(self.device)
        if kind == "driver":
            self.peak = max(self.peak, torch.mps.driver_allocated_memory())
        elif kind == "sampled":
            self.peak = max(self.peak, int(psutil.Process().memory_info().rss))
        for counter in self.energy.values():
            counter.look()

    def usage(self) -> ModelUsage:
        """Say what was taken up to now."""
        self.look()
        joules = sum(counter.joules for counter in self.energy.values()) if self.energy else None
        return ModelUsage(peak_bytes=self._peak(), seconds=time.perf_counter() - self.started, joules=joules)

    def _peak(self) -> int | None:
        kind = kind_of_memory(self.device)
        if kind == "allocated":
            return torch.cuda.max_memory_allocated(self.device)
        return _kept_peak() if kind == "resident" else self.peak


@contextmanager
def watched(device: torch.device) -> Iterator[UsageWatch]:
    """UsageWatch what runs inside, on a device."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    if kind_of_memory(device) == "resident":
        with suppress(OSError):
            (SELF / "clear_refs").write_text("5", encoding="ascii", newline="")  # the process's peak begins anew
    watch, ended = UsageWatch(device, counters(device)), threading.Event()
    looking = kind_of_memory(device) in ("sampled", "driver") or watch.energy
    looker = threading.Thread(target=_look, args=(watch, ended), daemon=True)
    if looking:
        looker.start()
    try:
        yield watch
    finally:
        ended.set()
        if looking:
            looker.join()


def _look(watch: UsageWatch, ended: threading.Event) -> None:
    while not ended.wait(EVERY):
        watch.look()


def _kept_peak() -> int | None:
    """Return the peak that Linux keeps of this process, in bytes."""
    with suppress(OSError):
        found = re.search(r"^VmHWM:\s+(\d+) kB$", (SELF / "status").read_text(encoding="ascii"), re.MULTILINE)
        return int(found[1]) * 1024 if found else None
    return None
