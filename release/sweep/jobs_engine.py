"""Runs the tasks of a sweep as Hub Jobs: each builds its cells as a worker here does, and pushes private repositories.

A Job shares no folder with this machine, so what it pushed is fetched and checked; the release then lies here as if it
had been built here. A driver that was killed finds its Jobs again: one at work is followed, and of one that has ended
meanwhile it takes what is there, and hears what became of the rest.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from huggingface_hub import JobInfo

from release.errors import HubFailed, ReleaseError
from release.format import shown
from release.hub.account import login
from release.hub.client import HubClient
from release.hub.faults import FAULTS, refusal
from release.hub.job import package_of, secret_of
from release.hub.watch import REFUSALS
from release.progress import Console
from release.settings.sweeping import SweepOptions
from release.sources.base import is_folder
from release.sources.contact import status_of, without_tokens
from release.sweep.fetched import fetch_release
from release.sweep.grid import GridCell, Publication
from release.sweep.hub_jobs import WHERE, FoundJob, HubJobs, JobLog, JobPlace
from release.sweep.state import Board

MOST_JOBS = 8
"""At a time."""
AGAIN = "Look at {url}, then run the same command with --retry-failed."
TOO_LONG = "Give a longer --job-timeout or faster hardware, and --retry-failed."
HERE_ALONE = "Give a model that is on the Hub, or build this cell here, without --jobs."
NO_FILES = "Leave it out, or build this cell here, without --jobs."


class JobsEngine:
    """Runs tasks as Jobs, a few at a time.

    Args:
        publication: Of the grid: whose namespace Jobs run in and push to; None for the account's own.
    """

    def __init__(self, asked: SweepOptions, publication: Publication | None, console: Console) -> None:
        self.asked = asked
        self.publication = publication or Publication()
        self.console = console
        self.client = HubClient()
        self._stopped = False

    def run(self, board: Board, groups: Sequence[Sequence[GridCell]]) -> None:
        """Build groups of cells; see `SweepEngine`.

        Raises:
            BadOption: A Job could not come by `release`.
            NotLoggedIn: There is no token.
            HubFailed: The Hub refuses, or cannot be reached; Jobs that were started go on.
        """
        if not groups:
            return
        package = package_of(self.asked.package)
        account = login("building a grid as Hub Jobs", self.client)
        owner, group = self.publication.namespace or account.name, self.publication.resource_group
        place = JobPlace(owner, package, secret_of(self.client, None), group)
        jobs = HubJobs(self.client, self.asked, place, board.work.name)
        with ThreadPoolExecutor(MOST_JOBS) as threads:
            settling = [threads.submit(self._settle, board, cells, jobs) for cells in groups]
            try:
                for each in settling:
                    each.result()
            except BaseException:
                self._stopped = True
                self.console.say("Jobs go on; the next run follows those at work and takes what others have built.")
                threads.shutdown(wait=False, cancel_futures=True)
                raise

    def _settle(self, board: Board, cells: Sequence[GridCell], jobs: HubJobs) -> None:
        """Have Jobs build the cells of a task until each is done or has failed."""
        left, passed = _not_bound_here(board, cells), set[str]()
        while left and not self._stopped:
            with self._explained(left[0]):
                try:
                    job = _named(board, left, jobs, passed) or jobs.labelled(left, passed) or jobs.start(left)
                except ReleaseError as error:  # of the base
                    return _failed(board, left, error.seen, error.remedy)
                passed.add(job.info.id)
                mine = job.mine(left)
                self._begin(board, mine, job)
                ended = self._followed(job, jobs)
                if ended is None:
                    return None
                self._take(board, mine, jobs, job, ended)
            left = board.missing(left)
        return None

    def _begin(self, board: Board, cells: Sequence[GridCell], job: FoundJob) -> None:
        where = f"{WHERE}{job.info.id}"
        for cell in cells:
            if board.state(cell).host != where:
                board.begin(cell, where)
        more = f" and {len(cells) - 1} more" if len(cells) > 1 else ""
        self.console.say(f"{cells[0].key}{more}: {job.info.url}")

    def _followed(self, job: FoundJob, jobs: HubJobs) -> JobInfo | None:
        """Wait until a Job has ended; None where this machine is to stop before."""
        while not self._stopped:
            if (ended := jobs.ended(job)) is not None:
                return ended
        return None

    def _take(self, board: Board, cells: Sequence[GridCell], jobs: HubJobs, job: FoundJob, ended: JobInfo) -> None:
        """Fetch what a Job pushed, and say of each other cell why there is nothing of it."""
        log, missing = jobs.said(ended), list[GridCell]()
        for cell in cells:
            told = log.events.get(cell.key)
            if told and told.error:
                if job.known:
                    board.failed(cell, told.error[0], told.error[1])
                continue
            repo_id, target = f"{jobs.place.owner}/{cell.key}", board.out / cell.key / "model"
            wrong = fetch_release(self.client, repo_id, cell, target)
            if wrong is None:
                board.done(cell, target.parent)
            elif job.known and ((told and told.status == "done") or ended.status.stage == "COMPLETED"):
                board.failed(cell, f"What the Job pushed to {repo_id} {wrong}.", AGAIN.format(url=ended.url))
            else:
                missing.append(cell)
        if missing and job.known:
            _blame(board, missing, ended, log, self.asked.job_seconds)

    @contextmanager
    def _explained(self, cell: GridCell) -> Iterator[None]:
        try:
            yield
        except FAULTS as error:
            page = f"{self.client.endpoint}/settings/jobs"
            said, remedy = REFUSALS.get(status_of(error) or 0) or refusal(error, "Job of", cell.key, page)
            raise HubFailed(said, remedy) from without_tokens(error)


def _named(board: Board, cells: Sequence[GridCell], jobs: HubJobs, passed: set[str]) -> FoundJob | None:
    """Return the Job that an earlier run left one of some cells to."""
    for where in dict.fromkeys(board.state(cell).host for cell in cells):
        job = jobs.named(where)
        if job and job.info.id not in passed and job.mine(cells):
            return job
    return None


def _blame(board: Board, missing: Sequence[GridCell], ended: JobInfo, log: JobLog, seconds: int) -> None:
    """Say why a Job left cells behind; where it broke off at one, those whose turn had not come are left to a next."""
    status = ended.status
    if "timeout" in (status.message or "").casefold().replace("-", "").replace(" ", ""):
        return _failed(board, missing, f"Its Job was ended after {seconds:,} seconds.", TOO_LONG)
    seen = f"Its Job ended as {shown(status.stage)}: {log.last}"
    begun = [cell for cell in missing if cell.key in log.events]
    goes_on = status.stage == "ERROR" and bool(log.events)
    return _failed(board, begun if goes_on else missing, seen, AGAIN.format(url=ended.url))


def _failed(board: Board, cells: Sequence[GridCell], seen: str, remedy: str) -> None:
    for cell in cells:
        board.failed(cell, seen, remedy)


def _not_bound_here(board: Board, cells: Sequence[GridCell]) -> list[GridCell]:
    """Return the cells that a Job can build; the others have failed."""
    found = []
    for cell in cells:
        if is_folder(cell.plan.model):
            board.failed(cell, "Its base is a folder of this machine, which a Job does not see.", HERE_ALONE)
        elif file := next(_files_of(cell), None):
            board.failed(cell, f"{file.name} is a file of this machine, which a Job does not see.", NO_FILES)
        else:
            found.append(cell)
    return found


def _files_of(cell: GridCell) -> Iterator[Path]:
    """Every file or folder of this machine that a cell is built or measured with."""
    asked: Iterator[Any] = chain([cell.plan.calibration_file], (value for _, value in cell.plan.measuring))
    for value in asked:
        yield from (each for each in (value if isinstance(value, tuple) else [value]) if isinstance(each, Path))
