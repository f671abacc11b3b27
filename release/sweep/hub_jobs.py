"""The Hub Jobs of a sweep, one a task: started, found again, followed, and asked what became of their cells.

A Job is known again by its labels, and by its task, which it carries itself; the state of each of its cells names it.
"""

import re
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from huggingface_hub import JobInfo, Volume
from huggingface_hub.errors import HfHubHTTPError

from release.format import shown
from release.hub.client import HubClient
from release.hub.job import IMAGE, SECRET, VARIABLES
from release.settings.sweeping import SweepOptions
from release.sources import hub
from release.sources.base import DEMO, hub_id
from release.sources.contact import TOKEN, status_of
from release.sweep.grid import GridCell
from release.sweep.hub_task import MOUNT, PLACE, VARIABLE, CellEvent, JobTask, MountedBase, events_of, travelling

MODULE = "release.sweep.hub_worker"
GRID_LABEL, TASK_LABEL, CELLS_LABEL = "release-sweep", "release-task", "release-cells"
NO_LABEL, LONGEST_LABEL = re.compile(r"[^A-Za-z0-9_-]"), 100
"""What the Hub does not take in a label, and how long one may be."""
WHERE = "Hub Job "
"""What stands before a Job's id in the state of a cell."""
AT_WORK = ("SCHEDULING", "RUNNING")
LOOK_EVERY = 10.0
"""Seconds between two looks at whether this machine is still asked to wait."""
LAST_LINES, LONGEST_LINE, LONGEST_SAID = 5, 2000, 1000
REFUSED = (400, 404, 422)
"""What the Hub may say to a volume that it does not mount."""


class JobPlace(NamedTuple):
    """Where Jobs run, and with what.

    Attributes:
        owner: The namespace that Jobs run in and push to.
        package: What pip installs.
        resource_group: Of an organization; None for none.
    """

    owner: str
    package: str
    token: str
    resource_group: str | None


@dataclass(frozen=True)
class FoundJob:
    """A Job, and what it was given.

    Attributes:
        known: Whether it counts what became of it; a Job that ended before anybody here knew of it may only have
            pushed something.
    """

    info: JobInfo
    task: JobTask
    known: bool = True

    def mine(self, cells: Sequence[GridCell]) -> list[GridCell]:
        """Return those of some cells that it builds."""
        return [cell for cell in cells if travelling(cell) in self.task.cells]


@dataclass(frozen=True)
class JobLog:
    """What a Job said.

    Attributes:
        events: The last word on each cell, by its key.
        last: Its last lines, as one that is bounded and holds no token.
    """

    events: Mapping[str, CellEvent]
    last: str


@dataclass(frozen=True)
class HubJobs:
    """The Jobs of one sweep.

    Attributes:
        sweep: The grid's name.
    """

    client: HubClient
    asked: SweepOptions
    place: JobPlace
    sweep: str

    def named(self, where: str) -> FoundJob | None:
        """Return the Job that the state of a cell names; None where it names none, or the Hub has none of it."""
        if not where.startswith(WHERE):
            return None
        job_id, api = where.removeprefix(WHERE), self.client.api
        try:
            info = self.client.ask(lambda: api.inspect_job(job_id=job_id, namespace=self.place.owner))
        except HfHubHTTPError as error:
            if status_of(error) == 404:
                return None
            raise
        task = _task_of(info)
        return FoundJob(info, task) if task else None

    def labelled(self, cells: Sequence[GridCell], passed: Collection[str]) -> FoundJob | None:
        """Return the newest Job for some cells of a task that is at work, or that has ended and may have pushed some.

        Args:
            passed: Ids of Jobs that were looked at before.
        """
        labels = {GRID_LABEL: _label(self.sweep), TASK_LABEL: _digest(cells[0].task)}
        found = self.client.ask(lambda: list(self.client.api.list_jobs(labels=labels, namespace=self.place.owner)))
        for info in sorted(found, key=_age):
            task = _task_of(info)
            job = FoundJob(info, task, info.status.stage in AT_WORK) if task and info.id not in passed else None
            if job and job.mine(cells):
                return job
        return None

    def start(self, cells: Sequence[GridCell]) -> FoundJob:
        """Start a Job for cells of a task, with their base mounted where the Hub has it and does so.

        Raises:
            ReleaseError: There is no such base, or it may not be read.
        """
        task = JobTask(
            owner=self.place.owner,
            cells=tuple(map(travelling, cells)),
            base=mounted(cells[0].plan.model),
            resource_group=self.place.resource_group,
        )
        try:
            return FoundJob(self._started(task), task)
        except HfHubHTTPError as error:
            if task.base is None or status_of(error) not in REFUSED:
                raise
        task = task.model_copy(update={"base": None})
        return FoundJob(self._started(task), task)

    def _started(self, task: JobTask) -> JobInfo:
        base, cells = task.base, task.cells
        labels = {
            GRID_LABEL: _label(self.sweep),
            TASK_LABEL: _digest(cells[0].task),
            CELLS_LABEL: _digest(*(cell.model_dump_json() for cell in cells)),
        }
        volumes = [Volume(type="model", source=base.id, mount_path=MOUNT, revision=base.revision)] if base else None
        variables = dict(VARIABLES) if str(self.asked.jobs).startswith("cpu") else {}
        job: JobInfo = self.client.made(
            lambda: self.client.api.run_job(
                image=IMAGE,
                command=["uv", "run", "--with", self.place.package, "python", "-m", MODULE],
                env={**variables, VARIABLE: task.packed(), **({PLACE: MOUNT} if base else {})},
                secrets={SECRET: self.place.token},
                flavor=self.asked.jobs,
                timeout=self.asked.job_seconds,
                name=_label(cells[0].key)[:60],
                labels=labels,
                volumes=volumes,
                namespace=self.place.owner,
                resource_group_id=self.place.resource_group,
            ),
            lambda: self._at_work(labels),
        )
        return job

    def _at_work(self, labels: dict[str, str]) -> JobInfo | None:
        found = self.client.api.list_jobs(labels=labels, namespace=self.place.owner)
        return next((job for job in found if job.status.stage in AT_WORK), None)

    def ended(self, job: FoundJob) -> JobInfo | None:
        """Wait a while for the end of a Job; None where it is at work still."""
        api = self.client.api

        def look() -> JobInfo | None:
            try:
                found = api.wait_for_job(job_id=job.info.id, timeout=LOOK_EVERY, namespace=self.place.owner)
            except TimeoutError:
                return None
            return found[0] if isinstance(found, list) else found

        return self.client.ask(look)

    def said(self, job: JobInfo) -> JobLog:
        """Read what a Job said; of a long log no more is held than its last lines and what it tells of cells."""

        def read() -> JobLog:
            events, last = dict[str, CellEvent](), deque[str](maxlen=LAST_LINES)
            for line in self.client.api.fetch_job_logs(job_id=job.id, namespace=self.place.owner):
                told = {event.cell: event for event in events_of([line])}
                events |= told
                if not told:
                    last.append(line[:LONGEST_LINE])
            return JobLog(events, _scrubbed(" ".join([job.status.message or "", *last])))

        return self.client.ask(read)


def mounted(model: str) -> MountedBase | None:
    """Say what of the Hub a Job's base is; None for the demo, which is made where it is used.

    Raises:
        ReleaseError: There is no such model, or it may not be read.
    """
    if model == DEMO:
        return None
    repo_id, _, revision = hub_id(model).partition("@")
    found = hub.inspect(repo_id, revision or None)
    return MountedBase(id=found.id, revision=found.revision)


def _task_of(job: JobInfo) -> JobTask | None:
    """Return what a Job was given; None for a Job of another kind."""
    try:
        return JobTask.unpacked(str((job.environment or {})[VARIABLE]))
    except (KeyError, ValueError):
        return None


def _age(job: JobInfo) -> float:
    return -job.created_at.timestamp() if job.created_at else 0.0


def _label(text: str) -> str:
    return NO_LABEL.sub("-", text)[:LONGEST_LABEL]


def _digest(*texts: str) -> str:
    return sha256("\n".join(texts).encode()).hexdigest()[:32]


def _scrubbed(text: str) -> str:
    return TOKEN.sub("hf_…", shown(text, LONGEST_SAID))
