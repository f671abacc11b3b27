"""`release sweep`: a grid of releases from one file."""

from pathlib import Path

from release import report
from release.preview import previews
from release.progress import Console
from release.settings.sweeping import SweepOptions
from release.sweep.local import Local
from release.sweep.sweep import open_sweep, sweep


def run_sweep(path: Path, asked: SweepOptions, *, dry_run: bool, as_json: bool) -> bool:
    """Build what is missing of a grid, or show what there is; tell whether nothing failed."""
    job = open_sweep(path, asked.out, asked.only)
    if dry_run:
        found = previews(cell.plan for cell in job.cells)
        report.show_planned_sweep(job, dict(zip((cell.key for cell in job.cells), found, strict=True)), as_json)
        return True
    if not asked.status:
        sweep(job, Local(asked.parallel, Console()), retry_failed=asked.retry_failed)
    report.show_sweep(job, as_json)
    return asked.status or all(state.status == "done" for _, state in job.states())
