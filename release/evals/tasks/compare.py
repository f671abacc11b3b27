"""Scores of tasks from both models' scores of each item, paired.

Items that hang together, as questions about one passage do, are one cluster; all others are clusters of their own. A
group's score is that of its very tasks, so they are strata and not draws. Intervals are Student's, from the clusters'
linearised values (see `release.evals.engine.clustered`); what is recovered is pruned / dense, on the logarithm.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from release.evals.engine.clustered import Linear, Strata, mean_of_ratios, ratio_of_sums, spread
from release.evals.engine.statistics import Floats, exponential, t_interval
from release.evals.tasks.log import PairedTask
from release.evals.tasks.result import TaskFacts, TaskGroup, TaskRun, Tasks
from release.values import Estimate, Score

LEADING = ("acc_norm", "acc", "exact_match", "accuracy", "match")
"""Metrics that stand for a task, in the order in which they are looked for; else its first one does."""


def compare(tasks: Sequence[PairedTask], groups: Sequence[TaskGroup], facts: Mapping[str, Any]) -> Tasks:
    """Put both models side by side.

    Args:
        facts: What else the result holds.
    """
    return Tasks(
        runs=tuple(_run(task) for task in tasks),
        groups=tuple(groups),
        scores=tuple(_scores(tasks, groups)),
        **facts,
    )


def leading(metrics: Sequence[str]) -> str:
    """Return the metric that stands for a task; what follows a comma is the filter of the answers."""
    plain = {name.split(",")[0]: name for name in reversed(metrics)}
    return next((plain[name] for name in LEADING if name in plain), metrics[0])


def _run(task: PairedTask) -> TaskRun:
    told = "\n".join(f"{item} {doc}" for item, doc in zip(task.items, task.docs, strict=True))
    return TaskRun(
        **{name: getattr(task.facts, name) for name in TaskFacts.model_fields},
        metric=leading(list(task.dense)),
        items=len(task.items),
        clusters=int(task.clusters.max()) + 1,
        items_sha256=hashlib.sha256(told.encode()).hexdigest(),
    )


def _scores(tasks: Sequence[PairedTask], groups: Sequence[TaskGroup]) -> Iterator[Score]:
    by_name = {task.facts.name: task for task in tasks}
    for group in groups:
        yield _score(group.metric, group.name, [by_name[name] for name in group.tasks], group.weights == "tasks")
    for task in tasks:
        for metric in task.dense:
            yield _score(metric, task.facts.name, [task])


def _score(metric: str, over: str, tasks: Sequence[PairedTask], by_task: bool = False) -> Score:
    counts = [int(task.clusters.max()) + 1 for task in tasks]
    names = [str(index) for index, count in enumerate(counts) for _ in range(count)]
    strata = Strata.named(names, [str(index) for index in range(len(tasks))])
    whole = np.concatenate([_sums(task, np.ones(len(task.items))) for task in tasks])
    dense, pruned = (
        _linear(np.concatenate([_sums(task, getattr(task, side)[metric]) for task in tasks]), whole, strata, by_task)
        for side in ("dense", "pruned")
    )
    ratio = None
    if dense.value > 0 and pruned.value > 0:
        ratio = exponential(_estimate(pruned.log_over(dense), strata))
    elif dense.value > 0:
        ratio = Estimate(value=0.0, low=None, high=None)
    return Score(
        name=metric,
        over=over,
        items=int(whole.sum()),
        dense=_estimate(dense, strata),
        pruned=_estimate(pruned, strata),
        difference=_estimate(pruned.minus(dense), strata),
        ratio=ratio,
    )


def _sums(task: PairedTask, values: Floats) -> Floats:
    """Return what the items of each cluster sum to, (clusters,)."""
    return np.bincount(task.clusters, weights=values).astype(np.float64)


def _linear(part: Floats, whole: Floats, strata: Strata, by_task: bool) -> Linear:
    tasks = strata.member.shape[1]
    if by_task:
        return mean_of_ratios(part, whole, strata, np.ones(tasks, dtype=bool))
    return ratio_of_sums(part, whole, strata, np.ones(tasks))


def _estimate(found: Linear, strata: Strata) -> Estimate:
    seen = spread(found, strata)
    error = float(seen.shown)
    return t_interval(float(found.value), error, float(seen.df) if math.isfinite(error) else 1.0)
