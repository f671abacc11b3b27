"""Write a safetensors file anew, some of its tensors changed, in memory that does not grow with the file.

Same header bytes, same order, same offsets. Pieces are read and changed by worker threads, and written and hashed
in order by the caller's thread. The file appears under its name only when it is whole; an interrupted one is kept
under a temporary name and continued after its last whole tensor.
"""

import errno
import hashlib
import io
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np

from release.checkpoint.header import Header, Raw, Tensor
from release.errors import DiskFull
from release.progress import Advance
from release.record import FileDigest

Change = Callable[[Tensor, Raw], None]
"""Changes a tensor's raw bytes in place."""

Item = TypeVar("Item")
Result = TypeVar("Result")

PIECE = 16 << 20
"""Bytes of an untouched tensor read at a time."""


@dataclass(frozen=True)
class Piece:
    """A run of bytes: part of an untouched tensor, or a whole one that is to change."""

    start: int
    nbytes: int
    tensor: Tensor | None


def rewrite(
    header: Header, destination: Path, changes: Mapping[str, Change], tag: str, threads: int, advance: Advance
) -> FileDigest:
    """Write the file that `header` describes to `destination`, with `changes` made.

    Args:
        header: Of the source file.
        changes: Tensor name → change; all other bytes stay as they are.
        tag: Names what is being written; a partial file of the same tag is continued.
        threads: Workers that read and change, ≥ 1.
        advance: Told the bytes written.

    Raises:
        DiskFull: The partial file is removed.
    """
    partial = destination.with_name(f".{destination.name}.{tag}.partial")
    try:
        digest = _write(header, partial, changes, threads, advance)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        partial.unlink(missing_ok=True)
        raise DiskFull(
            f"There was no room left while writing {destination.name}.", "Free some space or give another --out."
        ) from None
    partial.replace(destination)
    _sync_folder(destination.parent)
    return FileDigest(name=destination.name, bytes=header.size, sha256=digest)


def _write(header: Header, partial: Path, changes: Mapping[str, Change], threads: int, advance: Advance) -> str:
    sha = hashlib.sha256()
    with _reopened(partial) as target, header.path.open("rb") as source:
        done = _whole_bytes(target, header)
        target.truncate(done)
        target.seek(0)
        while block := target.read(PIECE):
            sha.update(block)
        advance(done)
        rest = (raw.data for raw in _changed(source, header, changes, done, threads))
        for data in chain([memoryview(header.raw[done:])], rest):
            _write_whole(target, data)
            sha.update(data)
            advance(len(data))
        os.fsync(target.fileno())
    return sha.hexdigest()


def _reopened(partial: Path) -> io.FileIO:
    """Open a partial file, empty where there is none; unbuffered, since the pieces are large."""
    partial.touch()
    return io.FileIO(partial, "r+")


def _write_whole(target: io.FileIO, data: memoryview) -> None:
    while data:
        data = data[target.write(data) :]


def _whole_bytes(target: io.FileIO, header: Header) -> int:
    """How much of a partial file can stay: all up to the end of its last whole tensor."""
    size = target.seek(0, os.SEEK_END)
    ends = [len(header.raw), *(t.start + t.nbytes for t in header.tensors)]
    return max((end for end in ends if end <= size), default=0)


def _changed(source: BinaryIO, header: Header, changes: Mapping[str, Change], done: int, threads: int) -> Iterator[Raw]:
    """Yield the data section from offset `done` on, changed, in order."""

    def work(piece: Piece) -> Raw:
        data = room_for(piece.nbytes)
        read_at(source, piece.start, data)
        if piece.tensor:
            changes[piece.tensor.name](piece.tensor, data)
        return data

    pieces = (piece for piece in _pieces(header, changes) if piece.start >= done)
    yield from in_order(work, pieces, threads)


def _pieces(header: Header, changes: Mapping[str, Change]) -> Iterator[Piece]:
    for tensor in header.tensors:
        if tensor.name in changes:
            yield Piece(tensor.start, tensor.nbytes, tensor)
            continue
        for offset in range(0, tensor.nbytes, PIECE):
            yield Piece(tensor.start + offset, min(PIECE, tensor.nbytes - offset), None)


def room_for(nbytes: int) -> Raw:
    """Return uninitialised memory; numpy asks for huge pages, so that touching it first costs little."""
    return np.empty(nbytes, dtype=np.uint8)


def read_at(file: BinaryIO, offset: int, target: Raw) -> None:
    """Fill `target` from `offset` on, without moving the file's position (threads share it).

    Raises:
        EOFError: The file ends before.
    """
    view, got = target.data, 0
    while got < len(view):
        count = os.preadv(file.fileno(), [view[got:]], offset + got)
        if not count:
            raise EOFError(f"{file.name} ended at byte {offset + got}")
        got += count


def in_order(work: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Iterator[Result]:
    """Map over `items` with `threads` workers; results come in order, at most `threads` + 1 wait in memory."""
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
