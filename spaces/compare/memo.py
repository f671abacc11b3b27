"""Greedy answers that programs asked for before: they are always the same, so they are given again at once."""

import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

from decoding import Decoding
from lineup import Source
from turns import Message

MOST = 200
"""Answers that are kept; the one that was not asked for longest goes first."""

Kept = TypeVar("Kept")


class Memo(Generic[Kept]):
    """The last answers, by what was asked; several threads may use it."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._kept: OrderedDict[Hashable, Kept] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Kept | None:
        """Return what is kept under a key; None where nothing is, or the key is None."""
        with self._lock:
            if key is None or key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key]

    def put(self, key: Hashable, value: Kept) -> None:
        """Keep a value, unless the key is None."""
        with self._lock:
            if key is not None:
                self._kept[key] = value
                self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)

    def through(self, key: Hashable, steps: Iterator[Kept]) -> Iterator[Kept]:
        """Yield what is kept under a key, or else the steps, and keep the last of them once they have ended."""
        known = self.get(key)
        if known is not None:
            yield known
            return
        last = None
        for last in steps:
            yield last
        if last is not None:
            self.put(key, last)


def key_of(
    sources: Mapping[str, Source], histories: Mapping[str, Sequence[Message]], decoding: Decoding
) -> Hashable | None:
    """Return what decides an answer; None for one that is drawn."""
    if decoding.temperature > 0:
        return None
    said = tuple((side, tuple((each["role"], each["content"]) for each in turns)) for side, turns in histories.items())
    return tuple(sources.items()), said, decoding
