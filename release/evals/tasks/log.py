"""What a harness's log holds of one model, whichever harness wrote it, and whether two logs can be paired."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from release.digests import FileDigest
from release.errors import UnusableData
from release.evals.engine.statistics import Floats
from release.evals.tasks.result import TaskFacts, TaskGroup
from release.format import listed, shown
from release.values import Package

CLUSTERS = ("passage", "passage_id", "article", "article_id", "context_id", "group", "cluster")
"""Fields of an item by which items hang together: questions about one passage are no independent draws."""
MOST_ROWS = 1_000_000
"""Values, over all tasks and metrics, that are paired at most."""


@dataclass(frozen=True)
class TaskLog:
    """One task, as one model was asked it.

    Attributes:
        items: What each item is called, in order.
        docs: Digest of each item, with its prompt and its target.
        clusters: Number of the cluster of each item, (n,).
        values: Score of each item by metric, (n,), 0 to 1.
        settings: All that may change what is asked or how it is scored.
    """

    facts: TaskFacts
    items: tuple[str, ...]
    docs: tuple[str, ...]
    clusters: NDArray[np.int64]
    values: Mapping[str, Floats]
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Log:
    """One model's answers.

    Attributes:
        name: What a message calls it.
        settings: Of the whole run.
        dtype: Arithmetic, as the log states it; None where it does not.
        file: None for answers that were given here.
    """

    name: str
    harness: Package
    tasks: Mapping[str, TaskLog]
    settings: Mapping[str, Any]
    groups: tuple[TaskGroup, ...] = ()
    dtype: str | None = None
    file: FileDigest | None = None


@dataclass(frozen=True)
class PairedTask:
    """One task with both models' scores, item by item."""

    facts: TaskFacts
    items: tuple[str, ...]
    docs: tuple[str, ...]
    clusters: NDArray[np.int64]
    dense: Mapping[str, Floats]
    pruned: Mapping[str, Floats] = field(default_factory=dict)


def digest(settings: Any) -> str:
    """Return the SHA-256 of settings, whatever their order."""
    told = json.dumps(settings, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(told.encode()).hexdigest()


def clusters_of(docs: Sequence[Mapping[str, Any]]) -> tuple[str | None, NDArray[np.int64]]:
    """Find the field by which items hang together, and number the clusters in the order in which they come.

    Args:
        docs: The fields of each item.

    Returns:
        The field, None where items are independent, and the cluster of each item.
    """
    for name in CLUSTERS:
        told = [json.dumps(doc[name], sort_keys=True, default=str) for doc in docs if name in doc]
        numbers = {text: number for number, text in enumerate(dict.fromkeys(told))}
        if len(told) == len(docs) and 1 < len(numbers) < len(docs):
            return name, np.array([numbers[text] for text in told], dtype=np.int64)
    return None, np.arange(len(docs), dtype=np.int64)


def pair(dense: Log, pruned: Log) -> tuple[PairedTask, ...]:
    """Pair two logs, task by task and item by item.

    Raises:
        UnusableData: They differ in harness, tasks, versions, settings or items; says in what, and which.
    """
    wrong = next(_differences(dense, pruned), None)
    if wrong is not None:
        remedy = "Run both models by one command of one version of the harness that differs in the model alone."
        raise UnusableData(f"{dense.name} and {pruned.name} cannot be paired: {wrong}.", remedy)
    rows = sum(len(task.items) * len(task.values) for task in dense.tasks.values())
    if rows > MOST_ROWS:
        raise UnusableData(f"The logs hold {rows:,} scores; {MOST_ROWS:,} are the most.", "Import fewer tasks.")
    return tuple(_paired(task, pruned.tasks[name]) for name, task in dense.tasks.items())


def _paired(dense: TaskLog, pruned: TaskLog) -> PairedTask:
    shared = [name for name in dense.values if name in pruned.values]
    sides = ({name: side.values[name] for name in shared} for side in (dense, pruned))
    return PairedTask(dense.facts, dense.items, dense.docs, dense.clusters, *sides)


def _differences(dense: Log, pruned: Log) -> Iterator[str]:
    if dense.harness != pruned.harness:
        told = (f"{each.harness.name} {each.harness.version}" for each in (dense, pruned))
        yield f"one was made by {' and the other by '.join(told)}"
    yield from _unlike("the run", dense.settings, pruned.settings)
    if dense.dtype != pruned.dtype:
        yield f"one was computed in {dense.dtype} and the other in {pruned.dtype}"
    alone = sorted(dense.tasks.keys() ^ pruned.tasks.keys())
    if alone:
        yield f"only one of them holds {listed([shown(name) for name in alone])}"
    for name, task in dense.tasks.items():
        yield from _of_task(name, task, pruned.tasks[name])


def _of_task(name: str, dense: TaskLog, pruned: TaskLog) -> Iterator[str]:
    versions = dense.facts.version, pruned.facts.version
    if versions[0] != versions[1]:
        yield f"{name} is version {versions[0]} in one and {versions[1]} in the other"
    yield from _unlike(name, dense.settings, pruned.settings)
    if len(dense.items) != len(pruned.items):
        yield f"{name} has {len(dense.items):,} items in one and {len(pruned.items):,} in the other"
    both = zip(dense.items, dense.docs, pruned.items, pruned.docs, strict=False)
    other = next((item for item, doc, item2, doc2 in both if (item, doc) != (item2, doc2)), None)
    if other is not None:
        yield f"item {shown(other)} of {name} is not the same in both"
    if not dense.values.keys() & pruned.values.keys():
        yield f"no metric of {name} has a score for each item in both"


def _unlike(where: str, dense: Mapping[str, Any], pruned: Mapping[str, Any]) -> Iterator[str]:
    names = [name for name in {**dense, **pruned} if digest(dense.get(name)) != digest(pruned.get(name))]
    if names:
        yield f"{listed([shown(name) for name in names])} of {where} differ"
