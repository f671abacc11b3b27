"""Which tasks are benchmarks that the Hub keeps a leaderboard of."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import yaml

from release.evals.tasks.result import TaskRun, Tasks
from release.values import Score


@cache
def benchmarks() -> Mapping[str, Mapping[str, str]]:
    """Read the benchmarks: task → `dataset` and `task_id`."""
    found: dict[str, dict[str, str]] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8"))
    return found


def registered(found: Tasks) -> Iterator[tuple[Score, tuple[TaskRun, ...]]]:
    """Yield each score on a whole registered benchmark that was measured here, and the tasks that make it."""
    groups = {group.name: group.tasks for group in found.groups}
    for score in () if found.imported else found.headlines:
        known = benchmarks().get(score.over)
        runs = tuple(run for run in found.runs if run.name in groups.get(score.over, (score.over,)))
        if known and score.pruned.value is not None and all(_whole(run, known["dataset"]) for run in runs):
            yield score, runs


def _whole(run: TaskRun, dataset: str) -> bool:
    return run.dataset == dataset and run.taken == "all"
