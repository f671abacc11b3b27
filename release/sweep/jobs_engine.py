"""Runs the cells of a sweep as Hub Jobs: each is the ordinary `publish` command, which pushes a private repository.

A Job shares no folder with this machine, so what it pushed is fetched and checked; the release then lies here as if it
had been built here. A driver that was killed finds its Jobs again by their labels.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import JobInfo

from release import files
from release.asked import choices
from release.digests import sha256_file
from release.errors import HubFailed
from release.format import shown
from release.hub.account import login
from release.hub.client import HubClient
from release.hub.faults import FAULTS, refusal
from release.hub.job import COMMAND, SECRET, VARIABLES, package_of, secret_of
from release.hub.watch import REFUSALS
from release.progress import Console
from release.pruning.recipe import Recipe
from release.schema.record import FILE_NAME, Record
from release.settings.sweeping import SweepOptions
from release.sources.base import is_folder
from release.sources.contact import TOKEN, status_of, without_tokens
from release.sweep.grid import GridCell
from release.sweep.state import Board, digest

LABEL, GRID_LABEL = "release-cell", "release-sweep"
AT_WORK = ("SCHEDULING", "RUNNING")
MOST_JOBS = 8
"""At a time."""
LOOK_EVERY = 10.0
"""Seconds between two looks at whether this machine is still asked to wait."""
LAST_LINES = 5
NOT_TO_BE_FETCHED = (".cache", ".gitattributes")
AGAIN = "Look at {url}, then run the same command with --retry-failed."
TOO_LONG = "Give a longer --job-timeout or faster hardware, and --retry-failed."
HERE_ALONE = "Give a model that is on the Hub, or build this cell here, without --jobs."


class JobPlace(NamedTuple):
    """Where Jobs run, and with what.

    Attributes:
        owner: The namespace that Jobs run in and push to.
        package: What pip installs.
    """

    owner: str
    package: str
    token: str


class JobsEngine:
    """Runs cells as Jobs, a few at a time.

    Args:
        owner: Namespace that they push to; None for the account's own.
    """

    def __init__(self, asked: SweepOptions, owner: str | None, console: Console) -> None:
        self.asked = asked
        self.owner = owner
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
        cells = [cell for group in groups for cell in group]
        if not cells:
            return
        package = package_of(self.asked.package)
        account = login("building a grid as Hub Jobs", self.client)
        place = JobPlace(self.owner or account.name, package, secret_of(self.client, None))
        with ThreadPoolExecutor(MOST_JOBS) as threads:
            settling = [threads.submit(self._settle, board, cell, place) for cell in cells]
            try:
                for each in settling:
                    each.result()
            except BaseException:
                self._stopped = True
                self.console.say("Jobs go on; the next run follows those still at work and starts the others anew.")
                threads.shutdown(wait=False, cancel_futures=True)
                raise

    def _settle(self, board: Board, cell: GridCell, place: JobPlace) -> None:
        """Have a cell built, and fetch it."""
        if why := _bound_here(cell):
            board.failed(cell, why, HERE_ALONE)
            return
        with self._explained(cell):
            job = self._found(cell, place) or self._started(board, cell, place)
            board.begin(cell, f"Hub Job {job.id}")
            self.console.say(f"{cell.key}: {job.url}")
            ended = self._followed(job, place)
            if ended is None:
                return
            if ended.status.stage == "COMPLETED":
                self._take(board, cell, place, ended)
            else:
                board.failed(cell, *self._why(ended, place))

    def _found(self, cell: GridCell, place: JobPlace) -> JobInfo | None:
        """The Job that an earlier run started for this very cell, where it is at work."""
        labels = {LABEL: digest(cell)[:32]}
        found = self.client.ask(lambda: self.client.api.list_jobs(labels=labels, namespace=place.owner))
        return next((job for job in found if job.status.stage in AT_WORK), None)

    def _started(self, board: Board, cell: GridCell, place: JobPlace) -> JobInfo:
        words = ["publish", cell.plan.model, *choices(cell.plan), "--into", f"{place.owner}/{cell.key}"]
        job: JobInfo = self.client.made(
            lambda: self.client.api.run_uv_job(
                COMMAND,
                script_args=[*words, "--private", "--no-space"],
                dependencies=[place.package],
                env=dict(VARIABLES) if str(self.asked.jobs).startswith("cpu") else {},
                secrets={SECRET: place.token},
                flavor=self.asked.jobs,
                timeout=self.asked.job_seconds,
                name=cell.key[:60],
                labels={GRID_LABEL: board.work.name, LABEL: digest(cell)[:32]},
                namespace=place.owner,
            ),
            lambda: self._found(cell, place),
        )
        return job

    def _followed(self, job: JobInfo, place: JobPlace) -> JobInfo | None:
        """Wait until a Job has ended; None where this machine is to stop before."""
        api = self.client.api

        def look() -> JobInfo | None:
            try:
                found = api.wait_for_job(job_id=job.id, timeout=LOOK_EVERY, namespace=place.owner)
            except TimeoutError:
                return None
            return found[0] if isinstance(found, list) else found

        while not self._stopped:
            if (ended := self.client.ask(look)) is not None:
                return ended
        return None

    def _take(self, board: Board, cell: GridCell, place: JobPlace, job: JobInfo) -> None:
        """Fetch what a Job pushed, and compare it with what was asked for."""
        target = board.out / cell.key / "model"
        target.parent.mkdir(parents=True, exist_ok=True)
        api, repo_id = self.client.api, f"{place.owner}/{cell.key}"
        with files.locked(target.parent / "work"), files.replacing_folder(target) as folder:
            self.client.ask(lambda: api.snapshot_download(repo_id, local_dir=folder))
            for name in NOT_TO_BE_FETCHED:
                files.remove(folder / name)
            wrong = _differs(folder, cell)
        if wrong:
            files.remove(target)
            board.failed(cell, f"What the Job pushed to {repo_id} {wrong}.", AGAIN.format(url=job.url))
        else:
            board.done(cell, target.parent)

    def _why(self, job: JobInfo, place: JobPlace) -> tuple[str, str]:
        """What became of a Job that did not end well, and the way out."""
        status = job.status
        if "timeout" in (status.message or "").casefold().replace("-", "").replace(" ", ""):
            return f"Its Job was ended after {self.asked.job_seconds:,} seconds.", TOO_LONG
        logs = self.client.ask(lambda: list(self.client.api.fetch_job_logs(job_id=job.id, namespace=place.owner)))
        said = TOKEN.sub("hf_…", shown(" ".join([status.message or "", *logs[-LAST_LINES:]])))
        return f"Its Job ended as {shown(status.stage)}: {said[-1000:].strip()}", AGAIN.format(url=job.url)

    @contextmanager
    def _explained(self, cell: GridCell) -> Iterator[None]:
        try:
            yield
        except FAULTS as error:
            page = f"{self.client.endpoint}/settings/jobs"
            said, remedy = REFUSALS.get(status_of(error) or 0) or refusal(error, "Job of", cell.key, page)
            raise HubFailed(said, remedy) from without_tokens(error)


def _bound_here(cell: GridCell) -> str | None:
    """Say why a Job cannot build a cell; None where it can."""
    if is_folder(cell.plan.model):
        return "Its base is a folder of this machine, which a Job does not see."
    if cell.plan.calibration_file:
        return "Its calibration text is a file of this machine, which a Job does not see."
    return None


def _differs(folder: Path, cell: GridCell) -> str | None:
    """Say in what a release differs from what was asked for; None where it does not."""
    record = files.recall(folder / FILE_NAME, Record.model_validate_json)
    if record is None:
        return "holds no record that can be read"
    if Recipe.recorded(record.pruning) != cell.plan.recipe:
        return "was made by another recipe"
    wrong = [file.name for file in record.audit.files if _sha256(folder / file.name) != file.sha256]
    return f"holds other weights than its record says ({', '.join(wrong)})" if wrong else None


def _sha256(path: Path) -> str | None:
    return sha256_file(path) if path.is_file() else None
