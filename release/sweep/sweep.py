"""Builds a grid, cell by cell: what is missing, whatever an earlier run left."""

from collections.abc import Callable

from release import files
from release.comparison.rows import ComparedRelease
from release.comparison.write import write_comparison
from release.schema.record import Record
from release.sweep.changes import since_last_run
from release.sweep.driver import driving
from release.sweep.engine import SweepEngine
from release.sweep.grid import GridCell
from release.sweep.job import Sweep
from release.sweep.state import GRID
from release.sweep.task import LOGPROBS

STAYS = "What was built of other cells stays."


def sweep(job: Sweep, engine: SweepEngine, *, retry_failed: bool, then: Callable[[], None] = lambda: None) -> None:
    """Build what is missing of a grid.

    Args:
        then: Is called at the end, while no other sweep of this name can begin.

    Raises:
        OutputConflict: Another sweep of this name is at work there.
    """
    with driving(job, engine.console):
        if found := since_last_run(job):
            engine.console.say(f"{job.file.name} was changed since its last run: {found.said}. {STAYS}")
        files.write(job.work / GRID, job.grid.model_dump_json(indent=1))
        if retry_failed:
            job.board.forget(job.cells)
        missing = job.board.missing(job.cells)
        tasks: dict[str, list[GridCell]] = {}
        for cell in missing:
            tasks.setdefault(cell.task, []).append(cell)
        engine.console.say(f"{len(job.cells)} cells, {len(missing)} to build, in {len(tasks)} tasks.")
        try:
            engine.run(job.board, list(tasks.values()))
        finally:
            files.remove(job.work / LOGPROBS)
        _report(job)
        then()


def _report(job: Sweep) -> None:
    """Lay all finished cells of the grid beside each other; their files were counted as they were built."""
    found = [path for cell in job.whole if (path := job.board.record_of(cell))]
    releases = [ComparedRelease.built_here(Record.model_validate_json(path.read_bytes())) for path in found]
    if releases:
        write_comparison(releases, job.report, f"Grid {job.grid.name}")
