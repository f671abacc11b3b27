"""Tasks of evaluation harnesses as an evaluation: what a model can do, before and after."""

from collections.abc import Iterator
from dataclasses import replace

from release.evals.eval import Eval
from release.evals.line import Attribution, HubTask, Line
from release.evals.metric import Hub
from release.evals.tasks.metrics import ACCURACY, METRICS
from release.evals.tasks.result import Tasks
from release.values import Score


def _lines(found: Tasks) -> Iterator[Line]:
    for score in found.headlines:
        metric = replace(ACCURACY, hub=Hub(score.name.split(",")[0], f"{score.name} ({score.over})"))
        sides = score.dense.value, score.pruned.value
        yield Line(metric, *sides, score.difference, score.items, f", {named(score)}")


def named(score: Score) -> str:
    """Name a task and its metric within a line."""
    return f"{score.over} ({score.name})"


def _sources(found: Tasks) -> Iterator[Attribution]:
    for data in found.data():
        yield Attribution(
            data,
            title=f"Tasks, {data.name}",
            used=f"items of tasks, {data.name}",
            note="No item of a task is part of this repository.",
        )


TASKS = Eval(
    key="tasks",
    title="Capability: tasks",
    result=Tasks,
    metrics=METRICS,
    work_module="release.evals.tasks.work",
    check_module="release.evals.tasks.again",
    claims_module="release.evals.tasks.claims",
    lines=_lines,
    sources=_sources,
    bibliography=lambda found: ("lm-evaluation-harness",) if found.harness.name == "lm_eval" else ("inspect-ai",),
    task=HubTask("text-generation", "Text generation"),
)
