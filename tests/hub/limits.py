"""How many requests there may be in a window of time, told in headers as the Hub tells it.

hub.site.limits = {"api": (1000, 300.0)}      # every request under /api/ counts; other kinds are not limited

Kinds: "api", "resolvers" (files that are read), "pages" (everything else), and "commits", which counts beside "api".
Addresses of large files' bytes and of Spaces' apps are other hosts' and count for nothing. A window is fixed: it begins
with the first request after the last one has ended. An answer states all kinds that its request counted for, the one
with the least left first.
"""

import math
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

KINDS = {
    "commits": r"/api/\w+/[^/]+/[^/]+/commit/.+",
    "api": r"/api/.+",
    "resolvers": r".+/resolve/.+",
    "pages": r"(?!/lfs/|/run/|/api/|.+/resolve/).+",
}


@dataclass
class Window:
    """One kind's requests of one account: until when they are counted together, and how many there were."""

    ends: float
    count: int = 0


@dataclass(frozen=True)
class Counted:
    """What counting a request came to."""

    spent: bool
    headers: Mapping[str, str]


@dataclass
class Limits:
    """Counts requests by account and kind.

    Attributes:
        allowed: Kind → how many requests there may be, in how many seconds.
        refused: How many requests found nothing left.
    """

    allowed: dict[str, tuple[int, float]]
    refused: int = 0
    _windows: dict[tuple[str, str], Window] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, who: str, path: str) -> Counted:
        """Count a request, unless one of its kinds has nothing left."""
        kinds = [kind for kind in KINDS if kind in self.allowed and re.fullmatch(KINDS[kind], path)]
        with self._lock:
            windows = {kind: self._window(who, kind) for kind in kinds}
            spent = any(self._left(kind, window) <= 0 for kind, window in windows.items())
            self.refused += spent
            for window in () if spent else windows.values():
                window.count += 1
            return Counted(spent, self._told(windows))

    def _window(self, who: str, kind: str) -> Window:
        now, window = time.monotonic(), self._windows.get((who, kind))
        if window is None or now >= window.ends:
            window = self._windows[who, kind] = Window(now + self.allowed[kind][1])
        return window

    def _left(self, kind: str, window: Window) -> int:
        return self.allowed[kind][0] - window.count

    def _told(self, windows: Mapping[str, Window]) -> dict[str, str]:
        if not windows:
            return {}
        least_first = sorted(windows.items(), key=lambda item: self._left(*item))
        left = [
            f'"{kind}";r={max(0, self._left(kind, window))};t={math.ceil(max(0, window.ends - time.monotonic()))}'
            for kind, window in least_first
        ]
        policies = [
            f'"fixed window";"{kind}";q={self.allowed[kind][0]};w={self.allowed[kind][1]:.0f}'
            for kind, _ in least_first
        ]
        return {"RateLimit": ", ".join(left), "RateLimit-Policy": ", ".join(policies)}
