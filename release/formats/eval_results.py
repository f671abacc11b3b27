"""`.eval_results/*.yaml`: results on data sets that the Hub knows as benchmarks, in the Hub client's own form.

Only what was measured here on a whole data set is stated: a leaderboard shows a number without the words around it.
Values are in per cent, as the Hub's specification has them (docs/hub/eval-results).
"""

import yaml

from release import format as text
from release.evals.tasks.benchmarks import benchmarks, registered
from release.evals.tasks.result import TaskRun, Tasks
from release.names import EVAL_RESULTS
from release.schema.record import Record
from release.values import Score


def files(record: Record) -> dict[str, str]:
    """Return each file of results, by its name in the model folder."""
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    found: dict[str, str] = {}
    measured: Tasks | None = record.measurements.get("tasks")
    for score, runs in registered(measured) if measured else ():
        known = benchmarks()[score.over]
        entry = EvalResultEntry(
            dataset_id=known["dataset"],
            task_id=known["task_id"],
            value=round(100 * float(score.pruned.value or 0.0), 4),
            date=record.created,
            notes=_notes(record, score, runs),
        )
        told = yaml.safe_dump(eval_result_entries_to_yaml([entry]), sort_keys=False, width=10_000)
        found[f"{EVAL_RESULTS}/{score.over}.yaml"] = told
    return found


def _notes(record: Record, score: Score, runs: tuple[TaskRun, ...]) -> str:
    harness = record.measurements.get("tasks").harness
    shots = {run.shots for run in runs}
    told = [f"{harness.name} {harness.version}", f"{score.over} {score.name}", f"n = {score.items}"]
    told += [f"{shot}-shot" for shot in shots if len(shots) == 1 and shot is not None]
    if score.pruned.low is not None and score.pruned.high is not None:
        told.append(f"95 % interval {100 * score.pruned.low:.2f} to {100 * score.pruned.high:.2f}")
    if score.dense.value is not None:
        told.append(f"the model before pruning: {text.fixed(100 * score.dense.value, 2)}")
    return "; ".join(told)
