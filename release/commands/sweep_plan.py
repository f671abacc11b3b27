"""`release sweep --dry-run` and `--status`: what there is to do and what there is, without what it takes to do it."""

import time
from contextlib import suppress
from pathlib import Path
from statistics import fmean

from release import report
from release.errors import ReleaseError
from release.settings.sweeping import SweepOptions
from release.sweep.demands import require_devices
from release.sweep.estimates import kept_meanwhile, planned, took_here
from release.sweep.grid import file_digest
from release.sweep.job import Sweep, open_sweep
from release.sweep.outlook import Outlook
from release.sweep.outlook import look as look_at

LOOK_EVERY, SHARE = 2.0, 0.1
"""Seconds between two looks at a sweep, and the share of the time that looking may take: a large grid takes longer."""


def look(path: Path, asked: SweepOptions, *, dry_run: bool, as_json: bool) -> bool:
    """Show how far a sweep is, or what it would do; tell whether every cell of one that is planned can be built."""
    job = open_sweep(path, asked.out, asked.only)
    if not dry_run:
        report.show_sweep(_followed(job, asked, watched=report.is_watched() and not as_json), as_json)
        return True
    if asked.here:
        require_devices(job, retry_failed=asked.retry_failed)
    cells = planned(job)
    report.show_planned_sweep(job, cells, kept_meanwhile(job), as_json)
    return all(cell.error is None for cell in cells.values())


def _followed(job: Sweep, asked: SweepOptions, *, watched: bool) -> Outlook:
    """Return how far a sweep is; where somebody watches, once nothing moves any more, or after Ctrl-C."""
    earlier = {kind: fmean(state.seconds or 0.0 for state in took) for kind, took in took_here(job).items()}
    outlook = look_at(job, earlier)
    if not (watched and outlook.moves):
        return outlook
    with suppress(KeyboardInterrupt), report.watching() as show:
        while outlook.moves:
            show(outlook)
            began = time.monotonic()
            job = _reopened(job, asked)
            outlook = look_at(job, earlier)
            time.sleep(max(LOOK_EVERY, (time.monotonic() - began) / SHARE))
    return outlook


def _reopened(job: Sweep, asked: SweepOptions) -> Sweep:
    """Read the grid's file again where it is another by now; one that cannot be read is left as it was."""
    if file_digest(job.file) != job.digest:
        with suppress(ReleaseError):
            return open_sweep(job.file, asked.out, asked.only)
    return job
