"""The journal of a sweep: a line for each step of work that ended, in a file a process, as shared storage asks for.

What is shared shows in it: how often the base was read for pruning, and in which cells the dense model was measured.
"""

import hashlib
import json
import os
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from release.progress import Advance, Console
from release.sweep.grid import GridCell

JOURNAL = "journal"
READ, CALIBRATED, DENSE = "Prune (", "Calibrate", ", dense"
"""How steps begin that read the base to write copies of it, or to calibrate; how those end that ask the dense model."""


class JournalConsole(Console):
    """A console that also writes down each step that ended: of which cell, on which machine, and how long it took.

    Args:
        work: The sweep's own folder.
    """

    def __init__(self, work: Path, quiet: bool = False) -> None:
        super().__init__(quiet)
        own = hashlib.sha256(f"{socket.gethostname()} {os.getpid()}".encode()).hexdigest()[:16]
        self._file = work / JOURNAL / f"{own}.jsonl"
        self._cell: GridCell | None = None

    def __reduce__(self) -> "tuple[type[Console], tuple[bool, str]]":
        """Go to another process as a console that only speaks: two must not write one file."""
        return Console, (self.rich.quiet, self.place)

    def turn_to(self, cell: GridCell) -> None:
        """Say which cell the steps to come are of."""
        self._cell = cell

    @contextmanager
    def step(self, text: str, total: float, unit: str = "") -> Iterator[Advance]:
        """Show the progress of one step, and write it down once it ended."""
        began = time.monotonic()
        with super().step(text, total, unit) as advance:
            yield advance
        self._note(text, time.monotonic() - began)

    def _note(self, text: str, seconds: float) -> None:
        if self._cell is None:
            return
        line = {"at": time.time(), "host": socket.gethostname(), "pid": os.getpid(), "seconds": round(seconds, 3)}
        line |= {"cell": self._cell.key, "dense": dense_of(self._cell), "step": text}
        with suppress(OSError):  # a journal that finds no room stops no cell
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a", encoding="utf-8", newline="\n") as file:
                file.write(json.dumps(line) + "\n")


class SharedWork(NamedTuple):
    """What cells of a grid shared, counted in the journal over all of its runs.

    Attributes:
        cells: That some step was done for.
        reads: Of a base's weights, to write pruned copies.
        calibrations: Reads of a base, block by block, that calibrated.
        denses: Dense models, each with what it was asked.
        measured: Cells for which a dense model had to be asked something.
    """

    cells: int
    reads: int
    calibrations: int
    denses: int
    measured: int

    @property
    def said(self) -> str:
        """The counts in a sentence."""
        calibrated = f" and {_times(self.calibrations, 'calibration')}" if self.calibrations else ""
        told = f"{_times(self.cells, 'cell')} came of {_times(self.reads, 'read')} of the base{calibrated}"
        if not self.measured:
            return told
        model = "the dense model was" if self.denses == 1 else f"{self.denses:,} dense models were"
        once = "once" if self.measured == self.denses else f"for {_times(self.measured, 'cell')}"
        return f"{told}; {model} measured {once}{' each' if once == 'once' and self.denses > 1 else ''}"


def _times(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def shared_work(work: Path, cells: Iterable[GridCell]) -> SharedWork | None:
    """Count what cells shared; None where no step of theirs was written down, as by Jobs.

    Args:
        work: The sweep's own folder.
    """
    wanted = {cell.key for cell in cells}
    reads = calibrations = 0
    seen, denses, measured = set[str](), set[str](), set[tuple[str, str]]()
    for line in _lines(work / JOURNAL):
        if (key := line["cell"]) not in wanted:
            continue
        seen.add(key)
        reads += line["step"].startswith(READ)
        calibrations += line["step"].startswith(CALIBRATED)
        if line["step"].endswith(DENSE):
            denses.add(line["dense"])
            measured.add((line["dense"], key))
    if not seen:
        return None
    return SharedWork(len(seen), reads, calibrations, len(denses), len(measured))


def _lines(folder: Path) -> Iterator[dict[str, Any]]:
    """Every line that is whole; one that a kill cut short never counted."""
    for path in sorted(folder.glob("*.jsonl")):
        with path.open(encoding="utf-8", errors="replace") as file:
            for text in file:
                with suppress(ValueError, RecursionError):
                    line = json.loads(text)
                    if isinstance(line, dict) and all(isinstance(line.get(k), str) for k in ("cell", "dense", "step")):
                        yield line


def dense_of(cell: GridCell) -> str:
    """Name a dense model, with what it is asked."""
    asked = cell.plan.measuring.model_dump_json(exclude={"seed", "sample_seed"})
    asked = f"{asked} {cell.plan.measuring.sampling_seed}"
    return hashlib.sha256(f"{cell.plan.model} {cell.plan.identity} {asked}".encode()).hexdigest()[:16]
