"""How long threads that work side by side were busy with each kind of work."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock


class StageTimer:
    """Seconds by kind of work, summed over threads: more than the wall time where they overlap."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._lock = Lock()

    @contextmanager
    def on(self, work: str) -> Iterator[None]:
        """Count the time inside as spent on `work`."""
        started = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - started
            with self._lock:
                self._seconds[work] += spent

    def seconds(self, work: str) -> float:
        """Seconds spent on `work` so far."""
        return self._seconds[work]
