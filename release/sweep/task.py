"""What a worker is given, and what it says at its end; read wherever it runs, so it is light."""

from pathlib import Path

from release.frozen import Frozen
from release.sweep.grid import GridCell

SETTLED = "settled"
"""The file, beside the task's, in which a worker says at its end which cells it left done or failed."""
LOGPROBS = "logprobs"
"""The folder, in the sweep's own, of what its tasks share of dense models; it is gone when the sweep ends."""


class SweepTask(Frozen):
    """What a worker is given: the grid's file may change meanwhile.

    Attributes:
        out: The folder of all releases.
        work: The sweep's own folder.
        cells: To build, one at least.
        readings: Folder of a store of readings that is this task's own; None where all tasks have one.
    """

    out: Path
    work: Path
    cells: tuple[GridCell, ...]
    readings: Path | None = None
