"""The client of the Hub, and how often and how long it is asked."""

import ctypes
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from huggingface_hub import HfApi

from release.hub.faults import asked_to_wait, passes
from release.sources.answers import understood
from release.sources.contact import CLIENT_ERRORS, session

T = TypeVar("T")

WAITS = (1.0, 2.0, 4.0, 8.0, 16.0)
XET_LIMITS = {
    "HF_XET_DATA_MAX_CONCURRENT_FILE_INGESTION": "1",
    "HF_XET_CLIENT_AC_INITIAL_UPLOAD_CONCURRENCY": "1",
    "HF_XET_CLIENT_AC_MAX_UPLOAD_CONCURRENCY": "2",
}
"""With one heap, one file at a time and two pieces of 64 MiB under way keep an upload below 500 MB of memory; by itself
the client takes more. Whoever has memory to spare sets these variables higher."""
M_ARENA_MAX = -8
"""From malloc.h: how many heaps there may be."""
LONGEST_WAIT = 300.0
"""Seconds that the Hub may ask to wait; whoever is asked for longer is told so instead."""


def limit_memory() -> None:
    """Keep what the client holds in memory small, unless the environment says otherwise; read at its first upload."""
    for name, value in XET_LIMITS.items():
        os.environ.setdefault(name, value)
    # glibc gives threads heaps of their own, and what the client's threads free there is not used again by others.
    with suppress(OSError, TypeError, AttributeError):  # another C library has no such option, Windows no such library
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)


@dataclass(frozen=True)
class HubClient:
    """A client of the Hub, and the patience with it.

    Attributes:
        api: Knows the Hub's address, and the token from its own store or from HF_TOKEN.
        waits: Seconds between two tries; there is one try more than there are waits.
        sleep: What waits.
        clock: Seconds on a clock that never goes back; `sleep` moves it on.
        poll: Seconds between two looks at a Space that is being built, at first.
        built_within: Seconds that a Space may take to be built and to start, unless the options say otherwise.
        answered_within: Seconds that a Space may take for one answer, its models' download included.
    """

    api: HfApi = field(default_factory=HfApi)
    waits: Sequence[float] = WAITS
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    poll: float = 5.0
    built_within: float = 1800.0
    answered_within: float = 900.0

    @property
    def endpoint(self) -> str:
        """The Hub's address."""
        return str(self.api.endpoint)

    def url(self, kind: str, repo_id: str) -> str:
        """Return the address of a repository's page."""
        return f"{self.endpoint}/{'' if kind == 'model' else kind + 's/'}{repo_id}"

    def ask(self, call: Callable[[], T]) -> T:
        """Return what `call` returns, trying again after a fault that may pass; it must be safe to repeat.

        Raises:
            SenselessAnswer: The answer is none of the Hub's; it is not asked for again.
        """
        for wait in self.waits:
            try:
                return self.once(call)
            except CLIENT_ERRORS as error:
                if not passes(error):
                    raise
                self.rest(error, wait)
        return self.once(call)

    def once(self, call: Callable[[], T]) -> T:
        """Return what `call` returns; its answers are looked at.

        Raises:
            SenselessAnswer: One of them is none of the Hub's.
        """
        session()
        with understood():
            return call()

    def made(self, make: Callable[[], T], arrived: Callable[[], T | None]) -> T:
        """Return what `make` makes; after a fault that may pass it is looked for before it is made again."""
        for wait in (*self.waits, None):
            try:
                return self.once(make)
            except CLIENT_ERRORS as error:
                if not passes(error):
                    raise
                if (found := self.ask(arrived)) is not None:
                    return found
                if wait is None:
                    raise
                self.rest(error, wait)
        raise AssertionError("the last try returns or raises")

    def rest(self, error: Exception, wait: float) -> None:
        """Wait before another try, for as long as the Hub asks; raise `error` where that is too long."""
        stated = asked_to_wait(error)
        if (stated or 0) > LONGEST_WAIT:
            raise error
        self.sleep(wait if stated is None else stated)
