"""Read a weight file once: hash it, and count every tensor's zeros, beside the base's where there is one.

The caller's thread reads; one thread hashes the file, one its tensors, one counts, and one reads and hashes the base,
all piece by piece, so that the cores are busy and memory stays flat.
"""

import hashlib
from collections import deque
from collections.abc import Container, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from release.checkpoint.disk import read_at, room_for
from release.checkpoint.files import KEEP, PIECE, Files, Folder
from release.checkpoint.files import digest as digest_of
from release.checkpoint.folder import Checkpoint
from release.checkpoint.header import Bits, Header, Raw, Tensor
from release.frozen import Frozen
from release.progress import Advance
from release.record import FileDigest

AHEAD = KEEP - 1
"""Pieces that may wait for the threads that look at them, while one more is read."""
CHUNK = 1 << 17
"""Elements counted at a time: few enough for the cache of one core."""


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
        nonfinite_before: The base's NaN and infinities.
        unfilled: Groups of a pattern that hold fewer zeros than it asks for; None where there is no pattern.
        crowded: The base's zeros that are more than the pattern's in their group; None without pattern or base.
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


@dataclass(frozen=True)
class Place:
    """Where a checkpoint holds a tensor."""

    path: Path
    tensor: Tensor


def places(checkpoint: Checkpoint) -> dict[str, Place]:
    """Tensor name → where the checkpoint holds it."""
    return {t.name: Place(h.path, t) for h in checkpoint.headers for t in h.tensors}


def read_tensor(place: Place) -> Raw:
    """Read a whole tensor's bytes."""
    data = room_for(place.tensor.nbytes)
    with place.path.open("rb") as file:
        read_at(file, place.tensor.start, data)
    return data


class Beside:
    """A base's weight files, read beside the files that are compared with them, and hashed on the way.

    Args:
        files: Where the base's bytes come from; by default the folder it lies in.
    """

    def __init__(self, base: Checkpoint, files: Files | None = None) -> None:
        self._places = places(base)
        self._passages = {header.path: _Passage(header, files or Folder(header.path.parent)) for header in base.headers}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for passage in self._passages.values():
            passage.file.close()

    def find(self, tensor: Tensor) -> Place | None:
        """Where the base holds a tensor of the same name, type and shape."""
        place = self._places.get(tensor.name)
        return place if place and (place.tensor.dtype, place.tensor.shape) == (tensor.dtype, tensor.shape) else None

    def read(self, place: Place, offset: int, nbytes: int) -> Raw:
        """Read some bytes of a tensor."""
        return self._passages[place.path].read(place.tensor.start + offset, nbytes)

    def digests(self) -> tuple[FileDigest, ...]:
        """Digests of all files: one that was not read from its first byte to its last, in order, is read now."""
        return tuple(passage.digest() for passage in self._passages.values())


class _Passage:
    """One file of the base, hashed as far as it was read in order."""

    def __init__(self, header: Header, files: Files) -> None:
        self.file = files.open(header.path.name)
        self._header = header
        self._files = files
        self._sha = hashlib.sha256(header.raw)
        self._position = len(header.raw)

    def read(self, start: int, nbytes: int) -> Raw:
        data = self.file.read(start, nbytes)
        if start == self._position:
            self._sha.update(data.data)
            self._position += nbytes
        return data

    def digest(self) -> FileDigest:
        name, size = self._header.path.name, self._header.size
        if self._position < size:
            return digest_of(self._files, name)
        return FileDigest(name=name, bytes=size, sha256=self._sha.hexdigest())


def count(
    header: Header,
    prunable: Container[str],
    base: Beside | None,
    advance: Advance,
    groups: tuple[int, int] | None = None,
    from_disk: bool = False,
    files: Files | None = None,
) -> tuple[FileDigest, tuple[TensorCount, ...]]:
    """Hash one weight file and count its tensors, in one read.

    Args:
        header: Of the file.
        prunable: Names of the tensors in which a weight may have become +0.0.
        base: What to compare with; a tensor of another shape or type is not compared.
        advance: Told the bytes read.
        groups: n and m of the pattern that prunable tensors follow.
        from_disk: Read past the page cache, as suits a file that was written past it.
        files: Where its bytes come from; by default the folder it lies in.
    """
    files = files or Folder(header.path.parent, direct=from_disk)
    sha = hashlib.sha256(header.raw)
    tallies = {t.name: _tally(t, t.name in prunable, base, groups) for t in header.tensors}
    with ExitStack() as stack:
        # One thread each: what it is given, it does in order.
        whole, apart, counter, reader = (stack.enter_context(ThreadPoolExecutor(1)) for _ in range(4))
        under_way: deque[Sequence[Future[None]]] = deque()
        for tensor, offset, data in _pieces(header, files):
            place, tally = base.find(tensor) if base else None, tallies[tensor.name]
            before = reader.submit(base.read, place, offset, data.size) if base and place else None
            hashed = whole.submit(sha.update, data.data), apart.submit(tally.sha256.update, data.data)
            under_way.append((*hashed, counter.submit(tally.add, data, before)))
            _settle(under_way, AHEAD)
            advance(data.size)
        _settle(under_way, 0)
    digest = FileDigest(name=header.path.name, bytes=header.size, sha256=sha.hexdigest())
    return digest, tuple(tally.result() for tally in tallies.values())


def _settle(under_way: deque[Sequence[Future[None]]], most: int) -> None:
    while len(under_way) > most:
        for future in under_way.popleft():
            future.result()


def _pieces(header: Header, files: Files) -> Iterator[tuple[Tensor, int, Raw]]:
    """Every tensor's bytes, with the offset of each piece in its tensor."""
    with closing(files.open(header.path.name)) as file:
        for tensor in header.tensors:
            for offset in range(0, tensor.nbytes, PIECE):
                yield tensor, offset, file.read(tensor.start + offset, min(PIECE, tensor.nbytes - offset))


def _tally(tensor: Tensor, prunable: bool, base: Beside | None, groups: tuple[int, int] | None) -> "_Tally":
    known = base is not None and base.find(tensor) is not None
    return _Tally(tensor, prunable, groups if prunable else None, known)


@dataclass
class _Tally:
    """Sums over the pieces of one tensor; see `TensorCount`.

    Attributes:
        groups: The pattern's n and m, if it follows one.
        compared: Whether the base has it too.
        seen: Elements counted so far.
    """

    tensor: Tensor
    prunable: bool
    groups: tuple[int, int] | None
    compared: bool
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

    def add(self, data: Raw, before: "Future[Raw] | None") -> None:
        """Count one piece, in order."""
        bits, other = self._bits(data), self._bits(before.result()) if before else None
        for start in range(0, bits.size, CHUNK):
            part = bits[start : start + CHUNK]
            self._count(part)
            if other is not None:
                self._compare(part, other[start : start + CHUNK])
            self.seen += part.size

    def _bits(self, data: Raw) -> Bits:
        return self.tensor.bits(data) if self.tensor.is_float else data

    def _count(self, bits: Bits) -> None:
        zeros, nonfinite = _look(self.tensor, bits)
        self.zeros += zeros
        self.nonfinite += nonfinite
        if self.groups:
            self.unfilled += int(np.count_nonzero(_surplus(self.tensor, bits, *self.groups) < 0))

    def _compare(self, bits: Bits, before: Bits) -> None:
        zeros, nonfinite = _look(self.tensor, before)
        self.zeros_before += zeros
        self.nonfinite_before += nonfinite
        differs = bits != before
        if self.prunable:
            differs &= bits != 0  # +0.0 is what pruning writes
        changed = int(np.count_nonzero(differs))
        if changed and self.first_changed is None:
            self.first_changed = self.seen + int(differs.argmax())
        self.changed += changed
        if self.groups:
            self.crowded += int(np.maximum(_surplus(self.tensor, before, *self.groups), 0).sum())

    def result(self) -> TensorCount:
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
            **{name: getattr(self, name) for name in counts},
        )


def _look(tensor: Tensor, bits: Bits) -> tuple[int, int]:
    """Count zeros, and NaN and infinities; of a type that is no plain float nothing is said."""
    if not tensor.is_float:
        return 0, 0
    magnitude = tensor.magnitude(bits)
    # The largest is found at half the price of counting, and hardly ever there is anything to count.
    nonfinite = np.count_nonzero(magnitude >= tensor.infinity) if magnitude.max() >= tensor.infinity else 0
    return bits.size - int(np.count_nonzero(magnitude)), int(nonfinite)


def _surplus(tensor: Tensor, bits: Bits, n: int, m: int) -> NDArray[np.int8]:
    """Zeros in every group of m neighbours, less the m − n that a pattern asks for.

    Adding up m columns is several times as fast as summing rows of a few.
    """
    zero = (tensor.magnitude(bits) == 0).view(np.int8)
    counts = np.full(zero.size // m, n - m, dtype=np.int8)
    for column in range(m):
        counts += zero[column::m]
    return counts
