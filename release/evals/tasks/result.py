"""What tasks of a harness give, dense and pruned side by side."""

import hashlib
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from release.digests import FileDigest
from release.frozen import Frozen
from release.names import REPO_ID
from release.values import DataSource, Package, Precision, Score

LONGEST = 200
"""Characters of a name that a log gives: of a task, a metric, a field."""

LOCAL = "local files"
"""What data are called that no log names."""


def _plain(value: str) -> str:
    if not (0 < len(value) <= LONGEST and value.isprintable()):
        raise ValueError(f"not one printable line of at most {LONGEST} characters")
    return value


def _repo(value: str | None) -> str | None:
    if value is not None and not REPO_ID.fullmatch(value):
        raise ValueError("no id of a data set on the Hub")
    return value


Name = Annotated[str, AfterValidator(_plain)]
"""One printable line: what a log calls something."""
Taken = Literal["all", "drawn", "first", "some"]
"""Which items of a task were asked: all, a random draw, its first ones (a harness's limit), or others."""
Share = Annotated[float, Field(ge=0, le=1)]


class TaskFacts(Frozen):
    """What is known of a task before anything is computed.

    Attributes:
        version: The task's own, as the harness states it.
        shots: Examples in front of each item; None where the log does not say.
        of: Items that the task has; None where the log does not say.
        cluster: The field of an item by which items hang together, such as a passage they share; None for none.
        guessing: Accuracy of guessing; None where answers are not chosen among given ones.
        dataset: Hub id of the data set; None for local files, or where the log does not say.
        subset: Its configuration.
        split: Its split.
        settings_sha256: Digest of all settings of the task: templates, splits, few-shot examples, generation.
    """

    name: Name
    version: Name
    shots: int | None
    of: int | None
    taken: Taken
    cluster: Name | None
    guessing: Share | None
    dataset: Annotated[str | None, AfterValidator(_repo)]
    subset: Name | None
    split: Name | None
    settings_sha256: str


class TaskRun(TaskFacts):
    """A task as both models were asked it.

    Attributes:
        metric: The one that stands for it at a glance.
        items: Asked of both.
        clusters: Of these, groups of items that hang together; as many as items where none do.
        items_sha256: Digest of every item's number and text.
    """

    metric: Name
    items: int
    clusters: int
    items_sha256: str


class TaskGroup(Frozen):
    """Tasks that a harness sums up in one score.

    Attributes:
        metric: The one that is summed up.
        weights: Whether every item weighs as much, or every task.
    """

    name: Name
    tasks: tuple[Name, ...]
    metric: Name
    weights: Literal["items", "tasks"]


class Tasks(Frozen):
    """Accuracy on tasks, dense and pruned, item by item on the same items.

    Attributes:
        imported: Whether the answers come from logs that were made elsewhere: nothing was asked here.
        harness: What asked, and its version.
        logs: The imported files.
        precision: Arithmetic of the forward passes; None where a log does not say.
        sample_seed: Drew the items; None where none were drawn here.
        scores: By metric (`name`), over each group and each task (`over`); `ratio` is what is recovered.
    """

    imported: bool
    harness: Package
    logs: tuple[FileDigest, ...] = ()
    precision: Precision | None
    sample_seed: int | None
    runs: tuple[TaskRun, ...]
    groups: tuple[TaskGroup, ...] = ()
    scores: tuple[Score, ...]
    seconds: float

    @model_validator(mode="after")
    def _closed(self) -> Self:
        """Every group sums up tasks that are there, by a metric that each of them has."""
        names = [run.name for run in self.runs]
        if len(set(names)) < len(names) or not names or {group.name for group in self.groups} & set(names):
            raise ValueError("a task stands twice, or there is none")
        for group in self.groups:
            if not group.tasks or not all(group.metric in self.metrics_of(name) for name in group.tasks):
                raise ValueError(f"{group.name} sums up what is not there")
        return self

    def metrics_of(self, name: str) -> tuple[str, ...]:
        """The metrics that a task was scored by, in order."""
        return tuple(dict.fromkeys(score.name for score in self.scores if score.over == name))

    @property
    def headlines(self) -> tuple[Score, ...]:
        """The score of every group, then that of every task that is in none, by their leading metrics."""
        grouped = {name for group in self.groups for name in group.tasks}
        led = [(group.name, group.metric) for group in self.groups]
        led += [(run.name, run.metric) for run in self.runs if run.name not in grouped]
        found = {(score.over, score.name): score for score in self.scores}
        return tuple(found[each] for each in led if each in found)

    def guessing_of(self, over: str) -> float:
        """Accuracy of guessing on a task, or over the tasks of a group; 0 where answers are not chosen."""
        named = next((group.tasks for group in self.groups if group.name == over), (over,))
        runs = [run for run in self.runs if run.name in named]
        items = sum(run.items for run in runs)
        return sum((run.guessing or 0.0) * run.items for run in runs) / items if items else 0.0

    def data_of(self, over: str) -> str:
        """Return where the items of a task, or of the first task of a group, come from."""
        named = next((group.tasks for group in self.groups if group.name == over), (over,))
        return next(run.dataset or LOCAL for run in self.runs if run.name in named)

    def data(self) -> tuple[DataSource, ...]:
        """The data sets that the tasks' items come from, each once."""
        named: dict[str, list[TaskRun]] = {}
        for run in self.runs:
            named.setdefault(run.dataset or LOCAL, []).append(run)
        return tuple(_source(name, runs) for name, runs in named.items())


def _source(name: str, runs: list[TaskRun]) -> DataSource:
    digest = hashlib.sha256("\n".join(run.items_sha256 for run in runs).encode()).hexdigest()
    return DataSource(name=name, origin=name, revision=None, licence=None, sha256=digest)
