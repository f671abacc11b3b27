"""What became of a grid's file under a sweep, or since its last run: which cells are new, other, or no longer there."""

from collections.abc import Sequence
from typing import NamedTuple

from release import files
from release.errors import ReleaseError
from release.format import listed
from release.sweep.grid import Grid, GridCell, cells_of, file_digest, read_grid
from release.sweep.job import Sweep
from release.sweep.state import GRID, digest

MOST_NAMED = 3
GOES_ON = "This run builds the cells that it began with; what is built stays"


class GridChange(NamedTuple):
    """In what a grid differs from what it was, by the keys of its cells.

    Attributes:
        new: Cells that were not asked for.
        other: Cells that are asked for with other options.
        gone: Cells that are no longer asked for.
    """

    new: tuple[str, ...]
    other: tuple[str, ...]
    gone: tuple[str, ...]

    @property
    def said(self) -> str:
        """The three in words, those that are."""
        words = {"new": self.new, "asked for otherwise": self.other, "no longer asked for": self.gone}
        told = [_counted(what, keys) for what, keys in words.items() if keys]
        return ", ".join(told) or "its cells are the same"


def _counted(what: str, keys: Sequence[str]) -> str:
    return f"{len(keys):,} {'cell is' if len(keys) == 1 else 'cells are'} {what} ({listed(keys, MOST_NAMED)})"


def change(before: Sequence[GridCell], now: Sequence[GridCell]) -> GridChange:
    """Compare the cells of a grid with what they were."""
    old, new = ({cell.key: cell for cell in cells} for cells in (before, now))
    return GridChange(
        new=tuple(key for key in new if key not in old),
        other=tuple(key for key in new if key in old and digest(new[key]) != digest(old[key])),
        gone=tuple(key for key in old if key not in new),
    )


def since_it_was_read(job: Sweep) -> str | None:
    """Say what became of the grid's file since this run read it; None where it is the same."""
    if file_digest(job.file) == job.digest:
        return None
    name = job.file.name
    try:
        grid = read_grid(job.file)
        if grid.name != job.grid.name:
            return f"{name} describes another grid by now, {grid.name}. {GOES_ON}."
        found = change(job.whole, cells_of(grid, job.out))
    except ReleaseError as error:
        return f"{name} was changed and cannot be used as it is: {error.seen} {GOES_ON}."
    return f"{name} was changed: {found.said}. {GOES_ON}, and the same command then builds what the file says by then."


def since_last_run(job: Sweep) -> GridChange | None:
    """Return what became of a grid since its last run, or the one at work, began; None where it is the same."""
    kept = files.recall(job.work / GRID, Grid.model_validate_json)
    if kept is None or kept == job.grid:
        return None
    try:
        return change(cells_of(kept, job.out), job.whole)
    except ReleaseError:  # as an earlier version understood it
        return None
