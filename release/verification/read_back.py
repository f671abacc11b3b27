"""Read the weight files of a pruned copy again, beside the base's: while they are written, or when they are whole.

Writing keeps the disk busy and leaves the processor idle, hashing and counting do the reverse: side by side they take
little more than the longer of the two. Nothing is read before it was given to the disk, and all of it past the page
cache where the system lets, so that what is counted is what lies there.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from release.checkpoint.count import BaseReader, CountPlan, count
from release.checkpoint.folder import Checkpoint
from release.checkpoint.landed import Landed, LandingFolder
from release.checkpoint.tally import TensorCount
from release.digests import FileDigest
from release.format import listed
from release.progress import BYTES, Console
from release.pruning.budget import Budgets
from release.pruning.prune import Job
from release.sources.known_digests import KnownFiles

LOOK_EVERY = 0.2
"""Seconds between two looks at how far the reading is."""


@dataclass(frozen=True)
class ReadAgain:
    """What was found in weight files.

    Attributes:
        files: Digests of those that were written.
        base_files: Digests of the base's.
    """

    files: tuple[FileDigest, ...]
    counts: tuple[TensorCount, ...]
    base_files: tuple[FileDigest, ...]


class ReadBack:
    """Reads the weight files of one copy once, in a thread of its own.

    Args:
        folder: Where the copy is written.
        groups: n and m of the pattern that it follows.
    """

    def __init__(self, base: Checkpoint, folder: Path, groups: tuple[int, int] | None) -> None:
        self.base, self._folder, self._groups = base, folder, groups
        self._landed = {header.path.name: Landed() for header in base.headers}
        self._thread = ThreadPoolExecutor(1)
        self._known = KnownFiles.of(())
        self._reading: Future[ReadAgain] | None = None
        self._read = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for landed in self._landed.values():
            landed.give_up()
        self._thread.shutdown()
        for landed in self._landed.values():
            landed.close()  # one of which nobody asked for anything

    def begin(self, budgets: Budgets) -> Mapping[str, Landed]:
        """Begin to read; see `release.pruning.prune.Follower`."""
        self._reading = self._started(budgets)
        return self._landed

    def result(self, budgets: Budgets, console: Console) -> ReadAgain:
        """Return what was read, once it is all; files that were not followed are read now.

        Raises:
            UnusableBase: The base, or what was written, was changed meanwhile.
        """
        reading = self._reading or self._read_whole(budgets)
        if self._known.digests:
            names = listed([path.name for path in self._known.digests])
            console.say(f"Not hashed again, since nothing changed since it was hashed here: {names}.")
        shown = self._read
        with console.step("Audit: read the files again", self.base.size - shown, BYTES) as advance:
            while not reading.done():
                wait([reading], timeout=LOOK_EVERY)
                now = self._read
                advance(now - shown)
                shown = now
        found = reading.result()
        for name, landed in self._landed.items():
            landed.require_unchanged(self._folder / name)
        return found

    def _read_whole(self, budgets: Budgets) -> "Future[ReadAgain]":
        for name, landed in self._landed.items():
            landed.whole(self._folder / name)
        return self._started(budgets)

    def _started(self, budgets: Budgets) -> "Future[ReadAgain]":
        self._known = KnownFiles.of(header.path for header in self.base.headers)
        return self._thread.submit(self._all, budgets)

    def _all(self, budgets: Budgets) -> ReadAgain:
        written = LandingFolder(self._folder, landed=self._landed)
        with BaseReader(self.base, known=self._known.digests) as dense:
            plan = CountPlan(budgets.zeros, dense, self._groups, summed=True)
            results = [count(header, plan, self._advance, written) for header in self.base.headers]
            base_files = self._known.confirmed(dense.digests())
        counts = tuple(each for _, counts in results for each in counts)
        return ReadAgain(tuple(file for file, _ in results), counts, base_files)

    def _advance(self, nbytes: float) -> None:
        self._read += int(nbytes)


@contextmanager
def read_back(base: Checkpoint, jobs: Sequence[Job]) -> Iterator[tuple[list[Job], list[ReadBack]]]:
    """Yield the jobs that make copies from one read, and what reads each copy.

    A single one is read while it is written. Several are read when all are whole, since each has threads of its own;
    and so is any on Windows, which renames no file that is open.
    """
    with ExitStack() as stack:
        readers = [stack.enter_context(ReadBack(base, job.destination, job.recipe.groups)) for job in jobs]
        follows = len(jobs) == 1 and sys.platform != "win32"
        yield [replace(jobs[0], follower=readers[0])] if follows else list(jobs), readers
