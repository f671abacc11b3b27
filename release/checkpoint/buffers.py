"""Large pieces of memory that are used again.

The system clears new memory when it is first touched, which costs as much as looking at every weight; on a virtual
machine it can cost ten times that, where the host has to find it.
"""

import threading
from collections.abc import Iterable

import numpy as np

from release.checkpoint.disk import BLOCK, place_in_page, room_for
from release.checkpoint.header import Raw


class BufferPool:
    """What is spare, for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spare: list[Raw] = []

    def take(self, nbytes: int) -> Raw:
        """Return the smallest spare room that is large enough, or a new one in place of one that is too small."""
        with self._lock:
            self._spare.sort(key=len)
            fits = next((i for i, room in enumerate(self._spare) if len(room) >= nbytes), -1)
            room = self._spare.pop(fits) if self._spare else None
        return room if room is not None and len(room) >= nbytes else room_for(nbytes)

    def give_back(self, results: Iterable[Raw]) -> None:
        """Take back what `room_at` gave, each room once; all else has no array for its base, and is let be."""
        spare = {id(result.base): result.base for result in results if isinstance(result.base, np.ndarray)}
        with self._lock:
            self._spare += spare.values()

    def clear(self) -> None:
        """Give the memory back to the system."""
        with self._lock:
            self._spare.clear()


POOL = BufferPool()


def room_like(data: Raw) -> Raw:
    """Return uninitialised memory of the same size, at the same place in its page; see `room_at`."""
    return room_at(place_in_page(data), data.size)


def room_at(place: int, nbytes: int) -> Raw:
    """Return uninitialised memory that begins at some place in its page.

    Whoever returns it hands it over: it is used again when it is written. Lying in memory as it will in the file, it
    is written without a copy.
    """
    room = POOL.take(nbytes + BLOCK)
    skip = (place - place_in_page(room)) % BLOCK
    return room[skip : skip + nbytes]
