"""`release sweep --dry-run` and `--status`: what there is to do and what there is, without what it takes to do it."""

from pathlib import Path

from release import report
from release.settings.sweeping import SweepOptions
from release.sweep.estimates import planned
from release.sweep.job import open_sweep


def look(path: Path, asked: SweepOptions, *, dry_run: bool, as_json: bool) -> bool:
    """Show how far a sweep is, or what it would do; tell whether every cell of one that is planned can be built."""
    job = open_sweep(path, asked.out, asked.only)
    if not dry_run:
        report.show_sweep(job, as_json)
        return True
    cells = planned(job)
    report.show_planned_sweep(job, cells, as_json)
    return all(cell.error is None for cell in cells.values())
