"""`release sweep`: a grid of releases from one file."""

from pathlib import Path

from release.preview import Preview, preview
from release.progress import Console
from release.settings.sweeping import SweepOptions
from release.sweep.local import Local
from release.sweep.sweep import Sweep, open_sweep, sweep


def opened(grid: Path, asked: SweepOptions) -> Sweep:
    """Read a grid's file and find the cells that are asked for."""
    return open_sweep(grid, asked.out, asked.only)


def previews(job: Sweep) -> dict[str, Preview]:
    """Work out what each cell would do, from config and headers alone."""
    return {cell.key: preview(cell.plan) for cell in job.cells}


def built(job: Sweep, asked: SweepOptions, console: Console) -> bool:
    """Build what is missing; tell whether every cell is done."""
    sweep(job, Local(asked.parallel, console), retry_failed=asked.retry_failed)
    return all(state.status == "done" for _, state in job.states())
