"""The randomness of masks: counter-based, a function of names and numbers alone.

A stream is keyed by (seed, method, algorithm version, tensor name, purpose, block), so that the same draws come
out for any order of shards, any number of threads, any machine, and after any interruption. numpy guarantees
the raw output of Philox across versions.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK = 1 << 22
"""Draws per block. Part of the algorithm: another value gives other masks."""

CHUNK = 1 << 16
"""Draws made at a time, so that they stay in the processor's cache; divides BLOCK."""


@dataclass(frozen=True)
class Draws:
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

    def keys(self, count: int, purpose: str = "keys") -> NDArray[np.uint16]:
        """Return `count` independent uniform 16-bit integers."""
        result = np.empty(count, dtype=np.uint16)
        for block, start in enumerate(range(0, count, BLOCK)):
            stream = self._stream(purpose, block)
            for at in range(start, min(start + BLOCK, count), CHUNK):
                part = result[at : at + min(CHUNK, start + BLOCK - at)]
                part[:] = _raw(stream, -(-part.size // 4)).view("<u2")[: part.size]
        return result

    def ranks(self, count: int) -> NDArray[np.uint64]:
        """Return `count` independent uniform 64-bit integers, which settle ties."""
        return _raw(self._stream("ties", 0), count).astype(np.uint64)

    def _stream(self, purpose: str, block: int) -> np.random.Philox:
        text = "\x1f".join((str(self.seed), self.method, str(self.version), self.tensor, purpose, str(block)))
        key = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "little")
        return np.random.Philox(key=key)


def _raw(stream: np.random.Philox, count: int) -> NDArray[np.uint64]:
    # "<u8" before any narrower view: the bytes then read the same on every machine.
    return stream.random_raw(count).astype("<u8", copy=False)
