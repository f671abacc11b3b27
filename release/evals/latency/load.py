"""Whether other work kept the processors busy while answers were timed."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from release.evals.latency.result import Load
from release.machine import cores, times_put_aside, used_seconds


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
        return min(1.0, max(0.0, others / (wall * cores())))


def read() -> Reading:
    """Look at all clocks."""
    return Reading(time.perf_counter(), used_seconds(), time.process_time(), times_put_aside())
