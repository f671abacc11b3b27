"""Whether other work kept the processors busy while answers were timed."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from release.measurements import Load

STAT = Path("/proc/stat")
IDLE = (3, 4)
"""Places of idle and waiting time in a line of /proc/stat; what comes after the eighth is in the others already."""
COUNTED = 8


class Reading(NamedTuple):
    """Clocks at one moment, in seconds, and a count.

    Attributes:
        used: Time that the processors which this process may use were busy for anybody; None where nobody tells.
        own: Time that they were busy for this process.
        switches: How often this process was put aside though it had work to do; None where nobody tells.
    """

    wall: float
    used: float | None
    own: float
    switches: int | None


class LoadMeter:
    """Adds up what happened within `timing`, whatever happens outside."""

    def __init__(self) -> None:
        self._spans: list[tuple[Reading, Reading]] = []

    @contextmanager
    def timing(self) -> Iterator[None]:
        """Look at the clocks before and after."""
        start = read()
        yield
        self._spans.append((start, read()))

    def load(self) -> Load:
        """Sum up; nothing is known of no time at all."""
        wall = sum(end.wall - start.wall for start, end in self._spans)
        switches = [(end.switches or 0) - start.switches for start, end in self._spans if start.switches is not None]
        return Load(
            others=self._others(wall),
            switches=sum(switches) / wall if switches and wall else None,
        )

    def _others(self, wall: float) -> float | None:
        pairs = [(start, end) for start, end in self._spans if start.used is not None and end.used is not None]
        if not pairs or not wall:
            return None
        others = sum((e.used or 0) - (s.used or 0) - (e.own - s.own) for s, e in pairs)
        return min(1.0, max(0.0, others / (wall * len(processors()))))


def read() -> Reading:
    """Look at all clocks."""
    return Reading(time.perf_counter(), used_seconds(), time.process_time(), _switches())


def processors() -> frozenset[int]:
    """Return the numbers of the processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux alone has it
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def used_seconds() -> float | None:
    """Return how long this process's processors were busy since the machine started, time stolen by others included."""
    try:
        lines = [line.split() for line in STAT.read_text(encoding="ascii").splitlines()]
    except OSError:
        return None
    mine = {f"cpu{number}" for number in processors()}
    ticks = [sum(map(int, _busy(fields[1:]))) for fields in lines if fields and fields[0] in mine]
    return sum(ticks) / os.sysconf("SC_CLK_TCK") if ticks else None


def _busy(fields: list[str]) -> list[str]:
    return [field for place, field in enumerate(fields[:COUNTED]) if place not in IDLE]


def _switches() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
