"""Tasks of evaluation harnesses as an evaluation: what a model can do, before and after."""

from collections.abc import Iterator
from dataclasses import replace

from release.evals.eval import Eval
from release.evals.line import Attribution, HubTask, Line
from release.evals.metric import Hub
from release.evals.tasks.benchmarks import registered
from release.evals.tasks.metrics import ACCURACY, METRICS
from release.evals.tasks.result import Tasks
from release.names import REPO_ID


def _lines(found: Tasks) -> Iterator[Line]:
    elsewhere = {score.over for score, _ in registered(found)}  # stand in `.eval_results/`
    sources = {each.data.name: each for each in _sources(found)}
    for score in found.headlines:
        hub = Hub(score.name.split(",")[0], f"{score.name} ({score.over})")
        metric = replace(ACCURACY, hub=None if score.over in elsewhere else hub)
        sides, source = (score.dense.value, score.pruned.value), sources[found.data_of(score.over)]
        suffix = f", {score.over} ({score.name})"
        line = Line(metric, *sides, score.difference, score.items, suffix, source=source)
        yield line._replace(interval=score.pruned, dense_interval=score.dense)


def _sources(found: Tasks) -> Iterator[Attribution]:
    for data in found.data():
        yield Attribution(
            data,
            title=f"Tasks, {data.name}",
            used=f"items of tasks, {data.name}",
            note="No item of a task is part of this repository.",
            hub=(data.name, data.name) if REPO_ID.fullmatch(data.name) else None,
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
