"""`release sweep`: a grid of releases from one file."""

from importlib import import_module
from pathlib import Path

from release import report
from release.errors import MissingSource
from release.extras import install
from release.packages import installed
from release.progress import Console
from release.settings.sweeping import SweepOptions
from release.sweep.demands import require_devices
from release.sweep.engine import SweepEngine
from release.sweep.grid import Grid
from release.sweep.job import Sweep, open_sweep
from release.sweep.jobs_engine import JobsEngine
from release.sweep.local import Local
from release.sweep.outlook import look
from release.sweep.publication import admitted
from release.sweep.sweep import sweep
from release.sweep.uploading import PublishedGrid, publish_grid

RAY_ENGINE = "release.sweep.ray_engine"
"""Imports ray, which is an extra."""


def run_sweep(path: Path, asked: SweepOptions, *, as_json: bool) -> bool:
    """Build what is missing of a grid, and publish it where its file says so; tell whether nothing failed.

    Raises:
        ReleaseError: The grid, the device, the engine or the Hub refuses before any work.
    """
    job = open_sweep(path, asked.out, asked.only)
    if asked.here:
        require_devices(job, retry_failed=asked.retry_failed)
    console = Console()
    publisher = None if asked.local else admitted(job, console)
    published: PublishedGrid | None = None

    def publish() -> None:
        nonlocal published
        if publisher and _is_done(job) and _is_all_of_it(asked, console):
            published = publish_grid(publisher)

    sweep(job, _engine(asked, job.grid, console), retry_failed=asked.retry_failed, then=publish)
    report.show_sweep(look(job, {}), as_json, published)
    return _is_done(job)


def _is_done(job: Sweep) -> bool:
    return all(state.status == "done" for _, state in job.states())


def _is_all_of_it(asked: SweepOptions, console: Console) -> bool:
    if asked.only:
        console.say("Nothing is published: --only leaves cells of the grid out.")
    return not asked.only


def _engine(asked: SweepOptions, grid: Grid, console: Console) -> SweepEngine:
    """Return what runs the tasks.

    Raises:
        MissingSource: It needs a package that is not installed.
    """
    if asked.jobs:
        return JobsEngine(asked, grid.publication, console)
    if asked.ray is None:
        return Local(asked.parallel, console)
    if not installed("ray"):
        raise MissingSource("--ray needs the package ray.", f"{install('sweep')}, on each machine of the cluster.")
    engine: SweepEngine = import_module(RAY_ENGINE).RayEngine(asked.ray, console)
    return engine
