"""What is counted of one tensor, piece by piece: zeros, what is not finite, and how it lies to the base's."""

import hashlib
import math
import zlib
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from release.checkpoint.header import Bits, Raw, Tensor
from release.frozen import Frozen

CHUNK = 1 << 17
"""Elements counted at a time: few enough for the cache of one core."""


class Movement(Frozen):
    """How a tensor's kept weights b, those that are not zero, lie to the base's a in the same places.

    Attributes:
        before: Σ a² over them.
        after: Σ b² over them.
        along: Σ ab over them.
        gone: Σ a² over the others.
    """

    before: float
    after: float
    along: float
    gone: float

    @property
    def reach(self) -> float:
        """‖b − a‖ as a share of the norm of what was zeroed; infinite where kept weights moved and nothing was."""
        moved = max(0.0, self.after - 2 * self.along + self.before)
        return math.sqrt(moved / self.gone) if self.gone else math.inf if moved else 0.0

    @property
    def scale(self) -> float:
        """The factor by which a is nearest to b: 1 where kept weights moved in no direction of their own."""
        return self.along / self.before if self.before else 1.0


class TensorCount(Frozen):
    """One tensor as it was read from a file.

    Attributes:
        zeros: Elements that are +0.0 or −0.0; 0 for a type that is no plain float.
        nonfinite: NaN and infinities.
        sha256: Of its bytes.
        zeros_before: The base's zeros; None where no base was read.
        changed: Elements that differ from the base, other than prunable ones that became +0.0; None where no base
            was read.
        first_changed: Flat index of the first such element; None where there is none.
        nonfinite_before: The base's NaN and infinities, as far as they lie near some of the file's: elsewhere they are
            not looked for.
        unfilled: Groups of a pattern that hold fewer zeros than it asks for; None where there is no pattern.
        crowded: The base's zeros that are more than the pattern's in their group; None without pattern or base.
        moved: Of a prunable one whose kept weights may change, where a base was read.
        marks: SHA-256 of its zeros as `packed` marks them, where that was asked for.
        crc32: Of a prunable one's bytes, where that was asked for.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    numel: int
    zeros: int
    nonfinite: int
    sha256: str
    zeros_before: int | None = None
    changed: int | None = None
    first_changed: int | None = None
    nonfinite_before: int | None = None
    unfilled: int | None = None
    crowded: int | None = None
    moved: Movement | None = None
    marks: str | None = None
    crc32: int | None = None


@dataclass
class Tally:
    """Sums over the pieces of one tensor; see `TensorCount`.

    Attributes:
        groups: The pattern's n and m, if it follows one.
        compared: Whether the base has it too.
        moving: Whether it is told how far kept weights moved.
        marks: Digest of the packed zeros, where they are asked for.
        summed: Whether its CRC-32 is asked for.
        sums: `Movement`'s, in its order.
        seen: Elements counted so far.
    """

    tensor: Tensor
    prunable: bool
    groups: tuple[int, int] | None
    compared: bool
    moving: bool = False
    marks: "hashlib._Hash | None" = None
    summed: bool = False
    crc32: int = 0
    sha256: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    seen: int = 0
    zeros: int = 0
    nonfinite: int = 0
    zeros_before: int = 0
    nonfinite_before: int = 0
    changed: int = 0
    first_changed: int | None = None
    unfilled: int = 0
    crowded: int = 0
    sums: NDArray[np.float64] = field(default_factory=lambda: np.zeros(4))

    def add(self, data: Raw, before: "Future[Raw] | None") -> None:
        """Count one piece, in order."""
        if self.summed:
            self.crc32 = zlib.crc32(data.data, self.crc32)
        bits, other = self._bits(data), self._bits(before.result()) if before else None
        for start in range(0, bits.size, CHUNK):
            part = bits[start : start + CHUNK]
            nonfinite = self._count(part)
            if other is not None:
                self._compare(part, other[start : start + CHUNK], nonfinite)
            self.seen += part.size

    def _bits(self, data: Raw) -> Bits:
        return self.tensor.bits(data) if self.tensor.is_float else data

    def _count(self, bits: Bits) -> int:
        """Count some elements, and return how many of them are not finite."""
        zeros, nonfinite = _look(self.tensor, bits)
        self.zeros += zeros
        self.nonfinite += nonfinite
        if self.marks:
            self.marks.update(packed(self.tensor, bits).data)
        if self.groups:
            self.unfilled += int(np.count_nonzero(_surplus(self.tensor, bits, *self.groups) < 0))
        return nonfinite

    def _compare(self, bits: Bits, before: Bits, nonfinite: int) -> None:
        """Hold some elements against the base's.

        Args:
            nonfinite: How many of them are not finite.
        """
        if nonfinite:
            self.nonfinite_before += _look(self.tensor, before)[1]
        self.zeros_before += _zeros(self.tensor.magnitude(before)) if self.tensor.is_float else 0
        differs = bits != before
        if self.prunable:
            differs &= bits != 0  # +0.0 is what pruning writes
        changed = int(np.count_nonzero(differs))
        if changed and self.first_changed is None:
            self.first_changed = self.seen + int(differs.argmax())
        self.changed += changed
        if self.moving:
            self.sums += _movement(self.tensor, bits, before)
        if self.groups:
            self.crowded += int(np.maximum(_surplus(self.tensor, before, *self.groups), 0).sum())

    def result(self) -> TensorCount:
        """What was counted, once every piece was added."""
        t = self.tensor
        counts = ["zeros", "nonfinite"]
        if self.compared:
            counts += ["zeros_before", "nonfinite_before", "changed", "first_changed"]
        if self.groups:
            counts += ["unfilled", "crowded"] if self.compared else ["unfilled"]
        return TensorCount(
            name=t.name,
            dtype=t.dtype,
            shape=t.shape,
            numel=t.numel,
            sha256=self.sha256.hexdigest(),
            marks=self.marks.hexdigest() if self.marks else None,
            crc32=self.crc32 if self.summed else None,
            moved=Movement(**dict(zip(Movement.model_fields, self.sums.tolist(), strict=True)))
            if self.moving
            else None,
            **{name: getattr(self, name) for name in counts},
        )

    def _moved(self) -> Movement:
        before, after, along, gone = self.sums.tolist()
        return Movement(before=before, after=after, along=along, gone=gone)


def packed(tensor: Tensor, bits: Bits) -> Raw:
    """Mark the zeros of some elements: one bit each, the first in the highest bit of the first byte."""
    return np.packbits(tensor.magnitude(bits) == 0)


def _look(tensor: Tensor, bits: Bits) -> tuple[int, int]:
    """Count zeros, and NaN and infinities; of a type that is no plain float nothing is said."""
    if not tensor.is_float:
        return 0, 0
    magnitude = tensor.magnitude(bits)
    # The largest is found at half the price of counting, and hardly ever there is anything to count.
    nonfinite = np.count_nonzero(magnitude >= tensor.infinity) if magnitude.max() >= tensor.infinity else 0
    return _zeros(magnitude), int(nonfinite)


def _zeros(magnitude: Bits) -> int:
    return magnitude.size - int(np.count_nonzero(magnitude))


def _movement(tensor: Tensor, bits: Bits, before: Bits) -> NDArray[np.float64]:
    """The sums of `Movement` over some elements, in its order."""
    b, a = (tensor.values(each).astype(np.float64) for each in (bits, before))
    kept = tensor.magnitude(bits) != 0
    a_kept, b_kept, gone = a[kept], b[kept], a[~kept]
    return np.array([a_kept @ a_kept, b_kept @ b_kept, a_kept @ b_kept, gone @ gone])


def _surplus(tensor: Tensor, bits: Bits, n: int, m: int) -> NDArray[np.int8]:
    """Zeros in every group of m neighbours, less the m − n that a pattern asks for.

    Adding up m columns is several times as fast as summing rows of a few.
    """
    zero = (tensor.magnitude(bits) == 0).view(np.int8)
    counts = np.full(zero.size // m, n - m, dtype=np.int8)
    for column in range(m):
        counts += zero[column::m]
    return counts
