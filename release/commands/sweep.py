"""`release sweep`: a grid of releases from one file."""

from pathlib import Path

from release import report
from release.preview import previews
from release.progress import Console
from release.settings.sweeping import SweepOptions
from release.sweep.local import Local
from release.sweep.publication import admitted
from release.sweep.sweep import open_sweep, sweep
from release.sweep.uploading import publish_grid


def run_sweep(path: Path, asked: SweepOptions, *, dry_run: bool, as_json: bool) -> bool:
    """Build what is missing of a grid, or show what there is; tell whether nothing failed."""
    job = open_sweep(path, asked.out, asked.only)
    if dry_run:
        found = previews(cell.plan for cell in job.cells)
        report.show_planned_sweep(job, dict(zip((cell.key for cell in job.cells), found, strict=True)), as_json)
        return True
    if asked.status:
        report.show_sweep(job, as_json)
        return True
    console = Console()
    publisher = None if asked.local else admitted(job, console)
    sweep(job, Local(asked.parallel, console), retry_failed=asked.retry_failed)
    done = all(state.status == "done" for _, state in job.states())
    published = publish_grid(publisher) if publisher and done and _is_all_of_it(asked, console) else None
    report.show_sweep(job, as_json, published)
    return done


def _is_all_of_it(asked: SweepOptions, console: Console) -> bool:
    if asked.only:
        console.say("Nothing is published: --only leaves cells of the grid out.")
    return not asked.only
