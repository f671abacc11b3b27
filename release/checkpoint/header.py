"""The header of one safetensors file: names, types, shapes and where the bytes lie.

Layout (safetensors 0.8): 8 bytes little-endian length, a JSON header of that length, raw data.
"""

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from release.checkpoint.steady import Stamp, changed, stamp_of
from release.errors import UnusableBase

Bits = NDArray[np.unsignedinteger[Any]]

Raw = NDArray[np.uint8]
"""Bytes as they lie in a file."""

FLOATS: dict[str, tuple[str, int]] = {"BF16": ("<u2", 7), "F16": ("<u2", 10), "F32": ("<u4", 23), "F64": ("<u8", 52)}
"""Stored float types: the unsigned type of the same width, and the number of fraction bits."""

LENGTH_BYTES = 8
POINTER = b"version "
"""How a pointer of git LFS begins; as a length it would be 2 exabytes."""
LARGEST_HEADER = 32 << 20
"""Bytes of a header, at most: 300,000 tensors; the library's own limit takes some gigabytes of memory to read."""
LARGEST_SIZE = (1 << 63) - 1
"""Of one dimension; torch and numpy count no further."""
QUOTED = 100
"""Characters of a name that a message shows."""


@dataclass(frozen=True)
class Tensor:
    """One tensor of a file.

    Attributes:
        dtype: The type as safetensors names it (`BF16`, `F32`, …).
        start: Offset of its first byte in the file.
        nbytes: Its bytes.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    nbytes: int

    @property
    def numel(self) -> int:
        """The number of elements; 1 for a scalar."""
        return math.prod(self.shape)

    @property
    def is_float(self) -> bool:
        """Whether zeros and non-finite values can be told from the bits here."""
        return self.dtype in FLOATS

    def bits(self, data: Raw) -> Bits:
        """View raw bytes as unsigned integers of the element's width, one per element, flat."""
        return data.view(FLOATS[self.dtype][0])

    def magnitude(self, bits: Bits) -> Bits:
        """Drop the sign bit: an order-preserving integer image of |w|; 0 for both zeros."""
        return bits & bits.dtype.type((1 << (8 * bits.dtype.itemsize - 1)) - 1)

    def values(self, bits: Bits) -> NDArray[np.floating[Any]]:
        """The numbers that the bits stand for, widened exactly: float64 for F64, else float32."""
        if self.dtype == "BF16":
            return (bits.astype("<u4") << 16).view("<f4")
        native = bits.view(f"<f{bits.dtype.itemsize}")
        return native.astype("<f4") if self.dtype == "F16" else native

    def rounded(self, values: NDArray[np.float32]) -> Bits:
        """The bits of the nearest numbers that the stored type holds, ties to even.

        Args:
            values: Finite.
        """
        if self.dtype != "BF16":
            width = FLOATS[self.dtype][0]
            narrow: Bits = values.astype(width.replace("u", "f")).view(width)
            return narrow
        wide = values.astype("<f4").view("<u4")
        return np.asarray((wide + 0x7FFF + (wide >> 16 & 1)) >> 16, dtype="<u2")

    @property
    def smallest_normal(self) -> int:
        """The bits of the smallest normal number: an exponent of one."""
        return 1 << FLOATS[self.dtype][1]

    @property
    def infinity(self) -> int:
        """The bits of +∞, an exponent of all ones; magnitudes above it are NaN."""
        width, fraction = FLOATS[self.dtype]
        return ((1 << (8 * np.dtype(width).itemsize - 1)) - 1) >> fraction << fraction

    def nonfinite(self, bits: Bits) -> int:
        """Count NaN and infinities."""
        return int(np.count_nonzero(self.magnitude(bits) >= self.infinity))


@dataclass(frozen=True)
class Header:
    """What one safetensors file says it holds.

    Attributes:
        raw: The length and the JSON header, byte for byte.
        tensors: In the order of their bytes.
        stamp: Of the file when this was read; None where it does not lie on this disk.
    """

    path: Path
    raw: bytes
    tensors: tuple[Tensor, ...]
    stamp: Stamp | None = None

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return len(self.raw) + sum(t.nbytes for t in self.tensors)


def _refuse_pointer(name: str, begins: bytes) -> None:
    """Tell what `git clone` without git LFS leaves in the place of a large file: a text of three lines."""
    if begins == POINTER:
        raise UnusableBase(
            f"{name} is a pointer of git LFS: the file itself was not fetched.",
            "Run `git lfs install` and `git lfs pull` in its folder.",
        )


def read_header(path: Path) -> Header:
    """Read and check the header of a safetensors file.

    Raises:
        UnusableBase: The file is cut, no safetensors, or empty; or its header is larger than `LARGEST_HEADER`, or
            written in a form that some loaders read in another way, or not at all.
    """
    try:
        with path.open("rb") as file:
            stamp = stamp_of(os.fstat(file.fileno()))
            begins = file.read(LENGTH_BYTES)
            _refuse_pointer(path.name, begins)
            length = int.from_bytes(begins, "little")
            _refuse_large(path.name, length, stamp[0])
            with safe_open(path, framework="numpy"):  # the library's own checks of offsets, types and length
                pass
            text = file.read(length)
    except (SafetensorError, OSError) as error:
        raise UnusableBase(
            f"{path.name} is cut or no safetensors file ({error}).",
            "Fetch or copy it again; only safetensors files are read.",
        ) from None
    if len(text) < length:
        raise changed(path.name)  # between the library's look at it and this one
    try:
        return Header(path, length.to_bytes(LENGTH_BYTES, "little") + text, parse(text, LENGTH_BYTES + length), stamp)
    except (ValueError, RecursionError) as error:
        seen = f"{path.name} has an unusual header ({error})."
        raise UnusableBase(seen, "Save the model again with save_pretrained.") from None


def _refuse_large(name: str, length: int, size: int) -> None:
    if LARGEST_HEADER < length < size:
        seen = f"{name} has a header of {length:,} bytes; at most {LARGEST_HEADER:,} are read."
        raise UnusableBase(seen, "Save the model again in shards of a few gigabytes.")


def parse(text: bytes, data_start: int) -> tuple[Tensor, ...]:
    """Read the JSON header; offsets become offsets in the file.

    The library has read it before, and takes more than it writes: entries as lists, types as objects, a name twice, of
    which the last counts. Other loaders read these in their own ways, so only what the library writes is taken.

    Raises:
        ValueError: It is no such header; says why.
    """
    entries = json.loads(text, object_pairs_hook=_once)
    tensors = (_tensor(name, entry, data_start) for name, entry in entries.items() if name != "__metadata__")
    return tuple(sorted(tensors, key=lambda t: (t.start, t.nbytes)))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its members, no two of which may bear the same name."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name[:QUOTED]!r} stands in it twice")
        found[name] = value
    return found


def _tensor(name: str, entry: object, data_start: int) -> Tensor:
    match entry:
        case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [int(start), int(end)]}:
            if all(isinstance(size, int) and size <= LARGEST_SIZE for size in shape):
                return Tensor(name, dtype, tuple(shape), data_start + start, end - start)
    raise ValueError(f"{name[:QUOTED]!r} is not described as the library describes tensors")
