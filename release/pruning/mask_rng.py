"""The randomness of masks: counter-based, a function of names and numbers alone.

A stream is keyed by (seed, method, algorithm version, tensor name, purpose), and any part of it can be had by itself,
so that the same draws come out for any order of shards, any number of threads, any machine, and after any interruption.

Keys, one for every weight of a model, are SplitMix64 over a counter (Steele, Lea and Flood, 2014): in numpy's vector
operations it gives 5 GB/s a core and releases the GIL, where numpy's Philox gives 1.2 GB/s and holds it. What only few
weights need is drawn by Philox, whose raw output numpy guarantees across versions.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WORD = 8
"""Bytes of one 64-bit word, and so keys in it."""

GAMMA = 0x9E3779B97F4A7C15
"""What the counter of SplitMix64 goes up by: 2^64 over the golden ratio, odd."""

STEPS = np.arange(1 << 14, dtype=np.uint64) * np.uint64(GAMMA)
"""The counters of one run of words. Its 128 KiB, and as much for a temporary, stay in the processor's cache."""


@dataclass(frozen=True)
class MaskRng:
    """The draws of one tensor.

    Attributes:
        seed: The user's seed, any integer.
        method: Key of the method.
        version: The method's algorithm version.
        tensor: Name of the tensor in the checkpoint.
    """

    seed: int
    method: str
    version: int
    tensor: str

    def keys(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Return the keys of the weights start … stop − 1: independent uniform 8-bit integers."""
        first = start // WORD
        words = mixed(self._digest("keys", 0), first, -(-stop // WORD) - first)
        return words.view(np.uint8)[start - first * WORD : stop - first * WORD]

    def ranks(self, count: int) -> NDArray[np.uint64]:
        """Return `count` independent uniform 64-bit integers, which settle ties."""
        return _raw(self._stream("ties"), count).astype(np.uint64)

    def words(self, purpose: str) -> Callable[[int], NDArray[np.uint32]]:
        """Return a function that gives the next n of a run of uniform 32-bit integers.

        The run is the same however it is taken, as long as all takes but the last are even.
        """
        stream = self._stream(purpose)
        return lambda count: _raw(stream, -(-count // 2)).view("<u4")[:count]

    def _stream(self, purpose: str) -> np.random.Philox:
        return np.random.Philox(key=self._digest(purpose, 0))

    def _digest(self, purpose: str, block: int) -> int:
        text = "\x1f".join((str(self.seed), self.method, str(self.version), self.tensor, purpose, str(block)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "little")


def mixed(origin: int, first: int, count: int) -> NDArray[np.uint64]:
    """Return the words first … first + count − 1 of the SplitMix64 stream that starts at `origin`, modulo 2^64."""
    words = np.empty(count, dtype="<u8")  # little-endian, so that its bytes read the same on every machine
    for start in range(0, count, STEPS.size):
        part = words[start : start + STEPS.size]
        counter = (origin + (first + start + 1) * GAMMA) % (1 << 64)
        np.add(STEPS[: part.size], np.uint64(counter), out=part)
        part ^= part >> np.uint64(30)
        part *= np.uint64(0xBF58476D1CE4E5B9)
        part ^= part >> np.uint64(27)
        part *= np.uint64(0x94D049BB133111EB)
        part ^= part >> np.uint64(31)
    return words


def _raw(stream: np.random.Philox, count: int) -> NDArray[np.uint64]:
    # "<u8" before any narrower view: the bytes then read the same on every machine.
    return stream.random_raw(count).astype("<u8", copy=False)
