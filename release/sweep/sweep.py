"""Builds a grid, cell by cell: what is missing, whatever an earlier run left."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from release import files
from release.comparison.rows import ComparedRelease
from release.comparison.write import write_comparison
from release.errors import BadOption, UnknownName
from release.format import quoted
from release.schema.record import Record
from release.sweep.engine import SweepEngine
from release.sweep.grid import Grid, GridCell, Match, cells_of, read_grid
from release.sweep.state import GRID, Board, CellState

WORK = "sweeps"
"""Folder of the sweeps' own files, within that of all releases."""


@dataclass(frozen=True)
class Sweep:
    """A grid, its cells, and what is known of them.

    Attributes:
        out: The folder of all releases.
    """

    grid: Grid
    out: Path
    cells: tuple[GridCell, ...]

    @property
    def board(self) -> Board:
        """The states of its cells."""
        return Board(self.work, self.out)

    @property
    def work(self) -> Path:
        """Its own folder."""
        return self.out / WORK / str(self.grid.name)

    @property
    def report(self) -> Path:
        """The folder of its report."""
        return self.work / "report"

    def states(self) -> list[tuple[GridCell, CellState]]:
        """Every cell beside what is known of it now."""
        board = self.board
        return [(cell, board.state(cell)) for cell in self.cells]


def open_sweep(path: Path, out: Path, only: Sequence[str] = ()) -> Sweep:
    """Read a grid and work out its cells; nothing is written.

    Args:
        only: Conditions such as `method=wanda`; a cell must meet all of them.

    Raises:
        ReleaseError: The grid cannot be read, an option is not understood, or no cell is left.
    """
    grid = read_grid(path)
    match = _match(only)
    cells = cells_of(grid, out.absolute())
    kept = tuple(cell for cell in cells if match.holds(cell.place))
    if not kept:
        raise BadOption("No cell of the grid meets --only.", "Leave it out; --dry-run lists the cells.")
    return Sweep(grid, out.absolute(), kept)


def _match(only: Sequence[str]) -> Match:
    given = dict[str, str]()
    for each in only:
        name, found, value = each.partition("=")
        if name not in Match.model_fields:
            raise UnknownName.among("axis", name, Match.model_fields)
        if not found or not value:
            raise BadOption(f"--only {quoted(each)} is no condition.", "Give one like method=wanda or sparsity=0.5.")
        given[name] = value
    try:
        return Match.model_validate(given)
    except ValidationError as error:
        wrong = str(error.errors()[0]["loc"][0])
        seen = f"--only {quoted(f'{wrong}={given[wrong]}')} is not understood."
        raise BadOption(seen, "Give one like method=wanda, sparsity=0.5 or seed=43.") from None


def sweep(job: Sweep, engine: SweepEngine, *, retry_failed: bool) -> None:
    """Build what is missing of a grid.

    Raises:
        OutputConflict: Another sweep of this name is at work there.
    """
    with files.locked(job.work / "run"):
        files.write(job.work / GRID, job.grid.model_dump_json(indent=1))
        if retry_failed:
            job.board.forget(job.cells)
        missing = job.board.missing(job.cells)
        tasks: dict[str, list[GridCell]] = {}
        for cell in missing:
            tasks.setdefault(cell.task, []).append(cell)
        engine.console.say(f"{len(job.cells)} cells, {len(missing)} to build, in {len(tasks)} tasks.")
        engine.run(job.board, list(tasks.values()))
        _report(job)


def _report(job: Sweep) -> None:
    """Lay the finished cells beside each other; their files were counted as they were built."""
    found = [path for cell in job.cells if (path := job.board.record_of(cell))]
    releases = [ComparedRelease.built_here(Record.model_validate_json(path.read_bytes())) for path in found]
    if releases:
        write_comparison(releases, job.report, f"Grid {job.grid.name}")
