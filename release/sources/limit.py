"""One limit of requests for all processes of this machine that use one account.

The Hub says with every answer how many requests are left, in `RateLimit` and `RateLimit-Policy`
(draft-ietf-httpapi-ratelimit-headers): `"api";r=499;t=55` and `"fixed window";"api";q=500;w=300`. What it said last
lies in a small file of the user's cache, one for each Hub and token. Before a request a process takes one of those that
are left; where none are, it waits until the window ends, as far as `LONGEST_WAIT`.

A grid of six pushes would otherwise spend the limit six times over, and each would learn so by a refusal. A file that
cannot be read, or that tells of a window which has ended, counts as absent: then nothing is known, and nobody waits.
What this very process was refused for, it waits for by its own patience; see `release.hub.client`.
"""

import hashlib
import json
import math
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from filelock import FileLock, Timeout

from release.progress import Console
from release.sources.cache import cache_folder

LONGEST_WAIT = 300.0
"""Seconds; whoever would wait longer asks, and is told by the Hub."""
TOLD_FROM = 5.0
"""Seconds of waiting from which it is said."""
LOCKED_WITHIN = 2.0
"""Seconds after which the file is left to whoever holds it: a limit is a courtesy, and no reason to stop."""
LEFT = re.compile(r'"(\w{1,40})"\s*;\s*r\s*=\s*(\d{1,9})\s*;\s*t\s*=\s*(\d{1,6})')
POLICY = re.compile(r'"(\w{1,40})"\s*;\s*q\s*=\s*(\d{1,9})\s*;\s*w\s*=\s*(\d{1,6})')
KINDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("commit", re.compile(r"/api/\w+/[^/]+/[^/]+/commit/.+")),
    ("api", re.compile(r"/api/.+")),
    ("file", re.compile(r".+/resolve/.+")),
)
"""Kinds of requests by their path. Which of the Hub's limits one counts for, the answers to its like tell."""
OTHER = "other"


@dataclass
class Window:
    """One of the Hub's limits, as it was told last.

    Attributes:
        left: Requests that may still be sent, those under way taken off.
        ends: When more may be sent, in seconds since 1970.
        quota: Requests in one window; 0 where that was not told.
        seconds: How long a window is.
    """

    left: int
    ends: float
    quota: int = 0
    seconds: float = 0.0

    @property
    def leeway(self) -> float:
        """By how many seconds two tellings of one window's end may differ; both are rounded."""
        return self.seconds / 2 if self.seconds else 5.0

    def believable(self, now: float) -> bool:
        """Whether this may be so: a clock that was set, or a file that somebody wrote in, may say anything."""
        return self.left >= 0 and math.isfinite(self.ends) and self.ends - now <= max(self.seconds, LONGEST_WAIT) + 1


@dataclass
class State:
    """What the file holds.

    Attributes:
        windows: The Hub's name for a limit → how it stands.
        counts_for: Kind of request → names of the limits that it counts for.
    """

    windows: dict[str, Window] = field(default_factory=dict)
    counts_for: dict[str, list[str]] = field(default_factory=dict)

    def of(self, kind: str) -> dict[str, Window]:
        """The windows that a request of this kind counts for, as far as is known."""
        return {name: self.windows[name] for name in self.counts_for.get(kind, ()) if name in self.windows}


@dataclass
class Shared:
    """The limit of one client.

    Attributes:
        refused_until: Until when this process knows by a refusal of its own that nothing is left.
    """

    folder: Path
    console: Console
    refused_until: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def before(self, request: httpx2.Request) -> None:
        """Take one of the requests that are left, or wait until there are some."""
        path, kind = self._file(request), kind_of(request.url.path)
        until = time.time() + LONGEST_WAIT
        while path.exists() and (pause := self._taken(path, kind, until)) > 0:
            if pause >= TOLD_FROM:
                self.console.say(
                    f"This machine has used up what the Hub allows for now; going on in {pause:.0f} s. Ctrl-C is safe."
                )
            time.sleep(pause)

    def after(self, response: httpx2.Response) -> None:
        """Keep what the answer says is left."""
        told = windows(response.headers, time.time())
        if not told:
            return
        request = response.request
        if response.status_code == 429:
            self.refused_until = max(window.ends for window in told.values())
        with self._opened(self._file(request)) as state:
            if state is not None:
                state.counts_for[kind_of(request.url.path)] = list(told)
                state.windows |= {name: merged(state.windows.get(name), window) for name, window in told.items()}

    def _taken(self, path: Path, kind: str, until: float) -> float:
        """Take one request off what is left and return 0, or for how many seconds to wait."""
        with self._opened(path) as state:
            if state is None:
                return 0.0
            now = time.time()
            spent = [window.ends for window in state.of(kind).values() if window.left <= 0 and window.ends > now]
            ends = max(spent, default=0.0)
            if spent and ends <= until and ends > self.refused_until + 1:
                return ends - now + 0.05
            for window in state.of(kind).values():
                take(window, now)
            return 0.0

    def _file(self, request: httpx2.Request) -> Path:
        """Name the file after the Hub and the token, of which it keeps a digest alone."""
        who = f"{request.url.scheme}://{request.url.netloc.decode()} {request.headers.get('Authorization', '')}"
        return self.folder / f"{hashlib.sha256(who.encode()).hexdigest()[:32]}.json"

    @contextmanager
    def _opened(self, path: Path) -> Iterator[State | None]:
        """Read the file, and write it again; None where it cannot be held or written, which stops nobody."""
        with self.lock:
            lock = FileLock(path.with_suffix(".lock"), timeout=LOCKED_WITHIN)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                lock.acquire()
            except (OSError, Timeout, NotImplementedError):  # a disk may be full, or know no locks
                yield None
                return
            try:
                state = read(path, time.time())
                yield state
                write(path, state)
            finally:
                lock.release()


def share(session: httpx2.Client, console: Console | None = None) -> None:
    """Have a client take part in the limit; one that does already is left as it is."""
    hooks = session.event_hooks
    if any(isinstance(getattr(hook, "__self__", None), Shared) for hook in hooks["request"]):
        return
    shared = Shared(cache_folder() / "limits", console or Console())
    hooks["request"].append(shared.before)
    hooks["response"].append(shared.after)


def kind_of(path: str) -> str:
    """Say what kind of request an address is."""
    return next((kind for kind, pattern in KINDS if pattern.fullmatch(path)), OTHER)


def windows(headers: Mapping[str, str], now: float) -> dict[str, Window]:
    """Read what an answer's headers say of the limits it counted for."""
    policies = {name: (int(quota), float(seconds)) for name, quota, seconds in POLICY.findall(_of(headers, "-Policy"))}
    return {
        name: Window(int(left), now + float(seconds), *policies.get(name, (0, 0.0)))
        for name, left, seconds in LEFT.findall(_of(headers, ""))
    }


def _of(headers: Mapping[str, str], end: str) -> str:
    return headers.get(f"RateLimit{end}", "")[:1000]


def merged(known: Window | None, told: Window) -> Window:
    """Put what was told beside what was known: within one window the lower number holds, for some are under way."""
    if known is None or told.ends > known.ends + known.leeway:
        return told
    return Window(min(known.left, told.left), told.ends, told.quota, told.seconds)


def take(window: Window, now: float) -> None:
    """Take one off; where the window has ended, off the next, whose end is not yet told."""
    if window.ends <= now and window.quota:
        window.left, window.ends = window.quota, now + window.seconds
    window.left = max(0, window.left - 1)


def read(path: Path, now: float) -> State:
    """Read the file; one that is broken, or tells what cannot be, counts as absent."""
    state = State()
    with suppress(OSError, ValueError, TypeError, AttributeError, LookupError, RecursionError):
        held: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        found = {str(name): Window(**window) for name, window in held["windows"].items()}
        kinds = {str(kind): [str(name) for name in names] for kind, names in held["counts_for"].items()}
        if all(window.believable(now) for window in found.values()):
            state = State(found, kinds)
    return state


def write(path: Path, state: State) -> None:
    """Write the file whole or not at all."""
    held = {"windows": {name: vars(window) for name, window in state.windows.items()}, "counts_for": state.counts_for}
    new = path.with_suffix(".new")
    with suppress(OSError):
        new.write_bytes(json.dumps(held).encode())
        new.replace(path)
