"""Read a weight file once: hash it, and count every tensor's zeros, beside the base's where there is one.

The caller's thread reads; one thread hashes the file, one its tensors, one counts, and one reads and hashes the base,
all piece by piece, so that the cores are busy and memory stays flat.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Self

from release.checkpoint.disk import read_at, room_for
from release.checkpoint.files import KEEP, PIECE, Files, Folder
from release.checkpoint.files import digest as digest_of
from release.checkpoint.folder import Checkpoint
from release.checkpoint.header import Header, Raw, Tensor
from release.checkpoint.tally import Tally, TensorCount
from release.digests import FileDigest
from release.progress import Advance

NOTHING: Mapping[Path, str] = MappingProxyType({})
AHEAD = KEEP - 1
"""Pieces that may wait for the threads that look at them, while one more is read."""


@dataclass(frozen=True)
class Place:
    """Where a checkpoint holds a tensor."""

    path: Path
    tensor: Tensor


def places(checkpoint: Checkpoint) -> dict[str, Place]:
    """Tensor name → where the checkpoint holds it."""
    return {t.name: Place(h.path, t) for h in checkpoint.headers for t in h.tensors}


def read_tensor(place: Place, room: Callable[[int], Raw] = room_for) -> Raw:
    """Read a whole tensor's bytes.

    Args:
        room: Returns memory for as many bytes.
    """
    data = room(place.tensor.nbytes)
    with place.path.open("rb") as file:
        read_at(file, place.tensor.start, data)
    return data


class BaseReader:
    """A base's weight files, read beside the files that are compared with them, and hashed on the way.

    Args:
        files: Where the base's bytes come from; by default the folder it lies in.
        known: SHA-256 of files that need not be hashed, by path.
    """

    def __init__(self, base: Checkpoint, files: Files | None = None, known: Mapping[Path, str] = NOTHING) -> None:
        self._places = places(base)
        self._passages = {
            header.path: _Passage(header, files or Folder(header.path.parent), known.get(header.path))
            for header in base.headers
        }

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
    """One file of the base, hashed as far as it was read in order, where its SHA-256 is not known."""

    def __init__(self, header: Header, files: Files, known: str | None) -> None:
        self._known = known
        self.file = files.open(header.path.name)
        self._header = header
        self._files = files
        self._sha = hashlib.sha256(header.raw)
        self._position = len(header.raw)

    def read(self, start: int, nbytes: int) -> Raw:
        data = self.file.read(start, nbytes)
        if start == self._position and self._known is None:
            self._sha.update(data.data)
            self._position += nbytes
        return data

    def digest(self) -> FileDigest:
        name, size = self._header.path.name, self._header.size
        if self._known is not None:
            return FileDigest(name=name, bytes=size, sha256=self._known)
        if self._position < size:
            return digest_of(self._files, name)
        return FileDigest(name=name, bytes=size, sha256=self._sha.hexdigest())


@dataclass(frozen=True)
class CountPlan:
    """What is counted in weight files.

    Attributes:
        prunable: Names of the tensors in which a weight may have become +0.0.
        base: What to compare with; a tensor of another shape or type is not compared.
        groups: n and m of the pattern that prunable tensors follow.
        moving: Whether kept weights of prunable tensors may change, so that it is told how far they moved.
        marked: Whether the zeros of prunable tensors are packed and hashed.
        summed: Whether the CRC-32 of prunable tensors is wanted.
    """

    prunable: Container[str] = ()
    base: BaseReader | None = None
    groups: tuple[int, int] | None = None
    moving: bool = False
    marked: bool = False
    summed: bool = False

    def found_in_base(self, tensor: Tensor) -> Place | None:
        """Where the base holds a tensor that it is compared with."""
        return self.base.find(tensor) if self.base else None

    def tally(self, tensor: Tensor) -> Tally:
        """Begin to count a tensor."""
        prunable = tensor.name in self.prunable
        known = self.found_in_base(tensor) is not None
        moving = self.moving and prunable and known and tensor.is_float
        marks = hashlib.sha256() if self.marked and prunable and tensor.is_float else None
        groups = self.groups if prunable else None
        return Tally(tensor, prunable, groups, known, moving, marks, self.summed and prunable)


def count(
    header: Header, plan: CountPlan, advance: Advance, files: Files | None = None
) -> tuple[FileDigest, tuple[TensorCount, ...]]:
    """Hash one weight file and count its tensors, in one read.

    Args:
        header: Of the file.
        advance: Told the bytes read.
        files: Where its bytes come from; by default the folder it lies in.
    """
    files, base = files or Folder(header.path.parent), plan.base
    sha = hashlib.sha256(header.raw)
    tallies = {tensor.name: plan.tally(tensor) for tensor in header.tensors}
    with ExitStack() as stack:
        # One thread each: what it is given, it does in order.
        whole, apart, counter, reader = (stack.enter_context(ThreadPoolExecutor(1)) for _ in range(4))
        under_way: deque[Sequence[Future[None]]] = deque()
        for tensor, offset, data in _pieces(header, files):
            place, tally = plan.found_in_base(tensor), tallies[tensor.name]
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
