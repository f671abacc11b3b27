"""A sweep: a grid, its cells, and where all of it lies."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from release.errors import BadOption, UnknownName
from release.format import quoted
from release.sweep.grid import Grid, GridCell, Match, cells_of, file_digest, read_grid
from release.sweep.state import Board, CellState

WORK = "sweeps"
"""Folder of the sweeps' own files, within that of all releases."""


@dataclass(frozen=True)
class Sweep:
    """A grid, its cells, and what is known of them.

    Attributes:
        file: The grid's file.
        digest: Of what the file held when it was read; None where it could not be read again.
        out: The folder of all releases.
        cells: Those that are asked for.
        whole: All cells of the grid.
    """

    grid: Grid
    out: Path
    cells: tuple[GridCell, ...]
    whole: tuple[GridCell, ...]
    file: Path
    digest: str | None

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
    digest, grid = file_digest(path), read_grid(path)
    match = _match(only)
    cells = cells_of(grid, out.absolute())
    kept = tuple(cell for cell in cells if match.holds(cell.place))
    if not kept:
        raise BadOption("No cell of the grid meets --only.", "Leave it out; --dry-run lists the cells.")
    return Sweep(grid, out.absolute(), kept, cells, path, digest)


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
