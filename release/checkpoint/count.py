"""Read a weight file once: hash it, and count every tensor's zeros, beside the base's where there is one.

The caller's thread reads and hashes the file; one worker hashes and counts its tensors, piece by piece, so that two
cores are busy and memory stays flat.
"""

import hashlib
from collections.abc import Container, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from release.checkpoint.folder import Checkpoint
from release.checkpoint.header import Bits, Header, Raw, Tensor
from release.checkpoint.rewrite import PIECE, read_at, room_for
from release.progress import Advance
from release.record import FileDigest, Frozen

AHEAD = 4
"""Pieces that may wait for the worker."""


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


@dataclass
class _Tally:
    """Sums over the pieces of one tensor."""

    tensor: Tensor
    prunable: bool
    sha256: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    zeros: int = 0
    nonfinite: int = 0
    zeros_before: int = 0
    nonfinite_before: int = 0
    changed: int = 0
    first_changed: int | None = None
    seen: int = 0

    def add(self, data: Raw, base: Raw | None) -> None:
        """Count one piece, in order."""
        self.sha256.update(data.data)
        if not self.tensor.is_float:
            bits: Bits = data
            before: Bits | None = base
        else:
            bits = self.tensor.bits(data)
            before = None if base is None else self.tensor.bits(base)
            self.zeros += _zeros(self.tensor, bits)
            self.nonfinite += self.tensor.nonfinite(bits)
        if before is not None:
            self._compare(bits, before)
        self.seen += bits.size

    def _compare(self, bits: Bits, before: Bits) -> None:
        if self.tensor.is_float:
            self.zeros_before += _zeros(self.tensor, before)
            self.nonfinite_before += self.tensor.nonfinite(before)
        differs = bits != before
        if self.prunable:
            differs &= bits != 0  # +0.0 is what pruning writes
        self.changed += int(np.count_nonzero(differs))
        if self.first_changed is None and differs.any():
            self.first_changed = self.seen + int(differs.argmax())

    def result(self, compared: bool) -> TensorCount:
        t = self.tensor
        counts = ["zeros", "nonfinite"]
        if compared:
            counts += ["zeros_before", "nonfinite_before", "changed", "first_changed"]
        return TensorCount(
            name=t.name,
            dtype=t.dtype,
            shape=t.shape,
            numel=t.numel,
            sha256=self.sha256.hexdigest(),
            **{name: getattr(self, name) for name in counts},
        )


def _zeros(tensor: Tensor, bits: Bits) -> int:
    return bits.size - int(np.count_nonzero(tensor.magnitude(bits)))


@dataclass(frozen=True)
class Place:
    """Where the base holds a tensor."""

    path: Path
    tensor: Tensor


def places(base: Checkpoint) -> dict[str, Place]:
    """Tensor name → where the base holds it."""
    return {t.name: Place(h.path, t) for h in base.headers for t in h.tensors}


def count(
    header: Header, prunable: Container[str], base: Mapping[str, Place], advance: Advance
) -> tuple[FileDigest, tuple[TensorCount, ...]]:
    """Hash one weight file and count its tensors, in one read.

    Args:
        header: Of the file.
        prunable: Names of the tensors in which a weight may have become +0.0.
        base: The base's tensors, to compare with; one of another shape or type is not compared.
        advance: Told the bytes read.
    """
    sha = hashlib.sha256(header.raw)
    tallies = {t.name: _Tally(t, t.name in prunable) for t in header.tensors}
    known = {t.name: base[t.name] for t in header.tensors if t.name in base and _alike(t, base[t.name])}
    with header.path.open("rb") as file, ThreadPoolExecutor(1) as worker, _Open() as opened:
        waiting = []
        for tensor, offset, data in _pieces(file, header):
            place = known.get(tensor.name)
            waiting.append(worker.submit(_count_piece, tallies[tensor.name], data, place, offset, opened))
            sha.update(data.data)
            advance(len(data))
            if len(waiting) > AHEAD:
                waiting.pop(0).result()
        for future in waiting:
            future.result()
    digest = FileDigest(name=header.path.name, bytes=header.size, sha256=sha.hexdigest())
    return digest, tuple(tally.result(name in known) for name, tally in tallies.items())


def _alike(tensor: Tensor, place: Place) -> bool:
    return (tensor.dtype, tensor.shape) == (place.tensor.dtype, place.tensor.shape)


def _pieces(file: BinaryIO, header: Header) -> Iterator[tuple[Tensor, int, Raw]]:
    for tensor in header.tensors:
        for offset in range(0, tensor.nbytes, PIECE):
            data = room_for(min(PIECE, tensor.nbytes - offset))
            read_at(file, tensor.start + offset, data)
            yield tensor, offset, data


def _count_piece(tally: _Tally, data: Raw, place: Place | None, offset: int, opened: "_Open") -> None:
    base = None
    if place:
        base = room_for(len(data))
        read_at(opened.file(place.path), place.tensor.start + offset, base)
    tally.add(data, base)


class _Open:
    """The base's files, each opened once."""

    def __init__(self) -> None:
        self._files: dict[Path, BinaryIO] = {}

    def __enter__(self) -> "_Open":
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def file(self, path: Path) -> BinaryIO:
        if path not in self._files:
            self._files[path] = path.open("rb")
        return self._files[path]
