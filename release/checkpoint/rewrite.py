"""Write a safetensors file anew, some of its tensors changed, in memory that does not grow with the file.

Same header bytes, same order, same offsets. Worker threads read and change pieces of the source, each piece once for
all targets, and sum up what they changed; every target has a thread that writes, and one that hashes where its digest
is wanted, so that all go on at the same time. A file appears under its name only when it is whole; an interrupted one
is kept under a temporary name and continued after its last whole tensor.
"""

import hashlib
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

import numpy as np

from release.checkpoint.buffers import POOL, room_at
from release.checkpoint.disk import DiskWriter, SteadyReader
from release.checkpoint.header import Header, Raw, Tensor
from release.checkpoint.landed import Landed
from release.checkpoint.stage_timer import StageTimer
from release.digests import FileDigest
from release.errors import DiskFull, UnusableBase
from release.files import no_room_is_told, put_in_place, sync_folder
from release.progress import Advance

Change = Callable[[Tensor, Raw], Sequence[Raw]]
"""A tensor's bytes in, those of each target out. The bytes that came in may be changed and be one of them; the others
come from `buffers.room_like`."""

Item = TypeVar("Item")
Result = TypeVar("Result")

PIECE = 16 << 20
"""Bytes of an untouched tensor read at a time."""

UNDER_WAY = 384 << 20
"""Bytes that are read, changed or waiting to be written; a tensor that is to change counts whole, and may be larger."""
LITTLE, MANY = 6, 16
"""Of small tensors that together hold less than a sixth of that, 16 for each worker may wait: a norm between two
matrices, or one write that takes long, would leave the workers idle."""


@dataclass(frozen=True)
class Target:
    """A file to write.

    Attributes:
        tag: Names what is being written; a partial file of the same tag is continued.
        hashed: Whether its SHA-256 is wanted.
        landed: Is told how far it is written, where somebody reads it meanwhile.
    """

    path: Path
    tag: str
    hashed: bool = False
    landed: Landed | None = None

    @property
    def partial(self) -> Path:
        """Where it lies until it is whole."""
        return self.path.with_name(f".{self.path.name}.{self.tag}.partial")


@dataclass(frozen=True)
class WrittenFile:
    """A file that was written.

    Attributes:
        sums: CRC-32 of each changed tensor's bytes as they were computed, by name; what an earlier, interrupted run
            wrote is not among them.
        digest: None where it was not wanted.
    """

    sums: Mapping[str, int]
    digest: FileDigest | None


@dataclass(frozen=True)
class Edit:
    """What a written file has otherwise than its source.

    Attributes:
        changes: Tensor name → change; all other bytes stay as they are.
        allow_nonfinite: Let NaN and infinities in untouched tensors pass; what is changed, the change looks at.
    """

    changes: Mapping[str, Change]
    allow_nonfinite: bool = False


def rewrite(
    header: Header, targets: Sequence[Target], edit: Edit, threads: int, advance: Advance, busy: StageTimer
) -> tuple[WrittenFile, ...]:
    """Write the file that `header` describes once for each target, with its changes made.

    Args:
        header: Of the source file.
        threads: Workers that read and change, ≥ 1.
        advance: Told the bytes written.
        busy: Told the time spent on "prune" (reading and changing), "write" and "hash" (sums and digests).

    Raises:
        DiskFull: The partial files are removed.
        UnusableBase: Names the first weight that is NaN or infinite; or the source was changed while it was read, and
            nothing of it stays.
    """
    try:
        with ExitStack() as stack:
            stack.enter_context(no_room_is_told(targets[0].path))
            files = [stack.enter_context(_PartialFile(target, header, busy)) for target in targets]
            _write(header, files, _Work(edit, len(files), busy), threads, advance)
            written = tuple(file.finished() for file in files)
    except DiskFull:
        for target in targets:
            target.partial.unlink(missing_ok=True)
        raise
    finally:
        POOL.clear()
    for target in targets:
        put_in_place(target.partial, target.path)
        sync_folder(target.path.parent)
    return written


class _PartialFile:
    """One file in the making: written by one thread, and hashed by another where that is wanted, piece by piece.

    Attributes:
        done: Bytes that an earlier run left, up to the end of its last whole tensor.
    """

    def __init__(self, target: Target, header: Header, busy: StageTimer) -> None:
        self._target, self._header, self._busy = target, header, busy
        self.done = _whole_bytes(target.partial, header)
        self._file = DiskWriter(target.partial, self.done)
        self._sums: dict[str, int] = {}
        self._sha = _hashed(target.partial) if target.hashed else None
        self._writer, self._hasher = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
        self._in_hand: list[Future[None]] = []
        if target.landed:
            target.landed.begin(target.partial, self._file.landed)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.shutdown()
        self._hasher.shutdown()
        self._file.close()

    def put(self, data: Raw, sums: Mapping[str, int]) -> None:
        """Take the next bytes, when those before are written and hashed, and the sum of a tensor that was changed."""
        self._settle()
        self._sums.update(sums)
        self._in_hand = [self._writer.submit(self._write, data)]
        if self._sha is not None:
            self._in_hand.append(self._hasher.submit(self._hash, data, self._sha))

    def finished(self) -> WrittenFile:
        """Wait until all is on the disk."""
        self._settle()
        with self._busy.on("write"):
            self._file.finish()
        if self._target.landed:
            self._target.landed.finish(self._target.partial)
        if self._sha is None:
            return WrittenFile(self._sums, None)
        name, size = self._target.path.name, self._header.size
        return WrittenFile(self._sums, FileDigest(name=name, bytes=size, sha256=self._sha.hexdigest()))

    def _write(self, data: Raw) -> None:
        with self._busy.on("write"):
            self._file.write(data)
        if self._target.landed:
            self._target.landed.reach(self._file.landed)

    def _hash(self, data: Raw, sha: "hashlib._Hash") -> None:
        with self._busy.on("hash"):
            sha.update(data.data)

    def _settle(self) -> None:
        for future in self._in_hand:
            future.result()


def _hashed(path: Path) -> "hashlib._Hash":
    """Begin a digest with what a file holds."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256")


def _whole_bytes(path: Path, header: Header) -> int:
    """How much of a partial file can stay: all up to the end of its last whole tensor."""
    size = path.stat().st_size if path.exists() else 0
    ends = [len(header.raw), *(t.start + t.nbytes for t in header.tensors)]
    return max((end for end in ends if end <= size), default=0)


def _write(header: Header, targets: Sequence[_PartialFile], work: "_Work", threads: int, advance: Advance) -> None:
    for target in targets:
        target.put(np.frombuffer(header.raw, dtype=np.uint8)[target.done :], {})
        advance(max(target.done, len(header.raw)))
    start = min(target.done for target in targets)
    with SteadyReader(header.path, header.stamp) as source:
        pieces = (piece for piece in _pieces(header, work.edit.changes) if piece.start >= start)
        before: Sequence[Raw] = ()
        for piece, results, sums in in_order(partial(work, source), pieces, threads, Piece.cost, UNDER_WAY):
            for target, data, changed in zip(targets, results, sums, strict=True):
                if piece.start >= target.done:
                    target.put(data, changed)
                    advance(piece.nbytes)
            POOL.give_back(before)  # every target has taken the next piece, and so is done with this one
            before = results
        source.require_unchanged()


@dataclass(frozen=True)
class Piece:
    """A run of a tensor's bytes: a part of one that stays, or the whole of one that is to change.

    Attributes:
        offset: Of its first byte in the tensor.
    """

    tensor: Tensor
    offset: int
    nbytes: int

    @property
    def start(self) -> int:
        """Offset of its first byte in the file."""
        return self.tensor.start + self.offset

    def cost(self) -> int:
        """Bytes that it holds while it is worked on or waits."""
        return self.nbytes


def _pieces(header: Header, changes: Mapping[str, Change]) -> Iterator[Piece]:
    for tensor in header.tensors:
        step = tensor.nbytes if tensor.name in changes else PIECE
        for offset in range(0, tensor.nbytes, step or 1):
            yield Piece(tensor, offset, min(step, tensor.nbytes - offset))


@dataclass(frozen=True)
class _Work:
    """What a worker does with one piece."""

    edit: Edit
    targets: int
    busy: StageTimer

    def __call__(self, source: SteadyReader, piece: Piece) -> tuple[Piece, Sequence[Raw], Sequence[dict[str, int]]]:
        """Return the piece with its bytes for each target, and for each the CRC-32 of a tensor that was changed."""
        data = room_at(piece.start, piece.nbytes)
        with self.busy.on("prune"):
            source.read(piece.start, data)
            results = self._changed(piece, data)
        if not any(result is data for result in results):
            POOL.give_back([data])
        with self.busy.on("hash"):
            changed = piece.tensor.name in self.edit.changes
            return piece, results, [{piece.tensor.name: zlib.crc32(r.data)} if changed else {} for r in results]

    def _changed(self, piece: Piece, data: Raw) -> Sequence[Raw]:
        if change := self.edit.changes.get(piece.tensor.name):
            return change(piece.tensor, data)
        if piece.tensor.is_float and not self.edit.allow_nonfinite:
            _require_finite(piece, data)
        return [data] * self.targets


def _require_finite(piece: Piece, data: Raw) -> None:
    tensor = piece.tensor
    bits = tensor.bits(data)
    if tensor.nonfinite(bits):
        index = int(np.argmax(tensor.magnitude(bits) >= tensor.infinity))
        raise nonfinite(tensor, piece.offset // bits.itemsize + index)


def nonfinite(tensor: Tensor, index: int) -> UnusableBase:
    """The error for a weight that is NaN or infinite.

    Args:
        index: Its place in the flat tensor.
    """
    place = ", ".join(str(i) for i in np.unravel_index(index, tensor.shape))
    return UnusableBase(
        f"{tensor.name}[{place}] is NaN or infinite in the base.",
        "Fetch the base again; if that is how it was published, --allow-nonfinite prunes it all the same.",
    )


def in_order(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    threads: int,
    cost: Callable[[Item], int] = lambda _: 0,
    most: int = 0,
) -> Iterator[Result]:
    """Map over `items` with `threads` workers; results come in order.

    Args:
        cost: What an item holds while it is worked on or waits, in any unit.
        most: As much of that as there may be, except for a single item. There are never more than `threads` + 1 items,
            but for small ones.
    """
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[tuple[int, Future[Result]]] = deque()
        for item in items:
            while waiting and _full(len(waiting), sum(held for held, _ in waiting) + cost(item), threads, most):
                yield waiting.popleft()[1].result()
            waiting.append((cost(item), pool.submit(work, item)))
        while waiting:
            yield waiting.popleft()[1].result()


def _full(items: int, held: int, threads: int, most: int) -> bool:
    """Whether no further item may join those that wait: there are enough, or with it they would hold too much."""
    small = held < most // LITTLE and items <= MANY * threads
    return held > most or (items > threads and not small)
