"""Logs of inspect_ai (`.eval`): a ZIP archive of `header.json` and one `samples/*.json` per sample.

Read without inspect_ai. A score that is a letter counts as inspect_ai's accuracy counts it: C 1, P ½, I and N 0.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from release.digests import digest_of
from release.errors import UnusableData
from release.evals.engine.statistics import Floats
from release.evals.tasks.archive import Archive
from release.evals.tasks.log import Log, TaskLog, clusters_of, digest
from release.evals.tasks.result import TaskFacts
from release.format import shown
from release.names import REPO_ID
from release.outside import Unfit, json_object
from release.values import Package

HARNESS = "inspect_ai"
LETTERS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
HEADER = "header.json"
SAMPLES = "samples/"
REMEDY = "Give a finished .eval log with all its samples: run `inspect eval` without --no-log-samples again."
OF_THE_TASK = ("task_args", "dataset", "scorers", "model_generate_config", "solver", "solver_args")
OF_THE_CONFIG = ("limit", "sample_id", "epochs", "epochs_reducer", "message_limit", "token_limit", "time_limit")
"""Fields of `eval.config` that may change what is asked, or how long an answer may become."""

Json = Mapping[str, Any]


def read(path: Path) -> Log:
    """Read a log.

    Raises:
        UnusableData: It is no such log, was not finished, or lacks samples or scores.
    """
    try:
        with Archive(path) as archive:
            header = json_object(archive.read(HEADER))
            names = [name for name in archive.names if name.startswith(SAMPLES) and name.endswith(".json")]
            samples = [_kept(json_object(archive.read(name))) for name in names]
        return _log(path, header, samples)
    except Unfit as unfit:
        raise UnusableData(f"{path.name} {unfit}.", REMEDY) from None
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        seen = f"{path.name} is not what inspect_ai writes ({type(error).__name__}: {shown(str(error))})."
        raise UnusableData(seen, REMEDY) from None


def _kept(sample: Json) -> dict[str, Any]:
    """Keep of a sample what is paired; its messages and events may be long."""
    if sample.get("error") or sample.get("limit"):
        raise Unfit(f"holds a sample that failed or was cut short: {shown(str(sample.get('id')))}")
    asked = digest([sample.get(name) for name in ("input", "target", "choices")])
    return {"doc": asked} | {name: sample.get(name) for name in ("id", "epoch", "scores", "metadata", "choices")}


def _log(path: Path, header: Json, samples: Sequence[Json]) -> Log:
    told, results = header["eval"], header.get("results") or {}
    if header.get("status") != "success" or results.get("total_samples") != len(samples) or not samples:
        raise Unfit("was not finished, or lacks samples")
    if any(sample["epoch"] != 1 for sample in samples):
        raise Unfit("holds several epochs, whose answers are no independent items")
    ordered = sorted(samples, key=lambda sample: str(sample["id"]))
    harness = Package(name=HARNESS, version=str((told.get("packages") or {}).get(HARNESS, "unknown")))
    config = {name: (told.get("config") or {}).get(name) for name in OF_THE_CONFIG}
    task = _task(path, header, ordered)
    return Log(path.name, harness, {task.facts.name: task}, config, file=digest_of(path))


def _task(path: Path, header: Json, samples: Sequence[Json]) -> TaskLog:
    told = header["eval"]
    settings = {name: told.get(name) for name in OF_THE_TASK} | {"plan": header.get("plan")}
    cluster, clusters = clusters_of([sample.get("metadata") or {} for sample in samples])
    items = tuple(str(sample["id"]) for sample in samples)
    values = _values(samples, header["results"], path.name)
    if not values or len(set(items)) < len(items):
        raise Unfit("holds no score for every sample, or a sample twice")
    facts = _facts(header, samples, cluster, digest(settings))
    return TaskLog(facts, items, tuple(sample["doc"] for sample in samples), clusters, values, settings)


def _values(samples: Sequence[Json], results: Json, where: str) -> dict[str, Floats]:
    found = {}
    for name in samples[0].get("scores") or {}:
        told = [_number((sample["scores"].get(name) or {}).get("value")) for sample in samples]
        if all(each is not None for each in told):
            values = np.array(told, dtype=np.float64)
            _require_stated(name, float(values.mean()), results, where)
            found[str(name)] = values
    return found


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        return LETTERS.get(value)
    share = isinstance(value, int | float) and math.isfinite(value) and 0 <= value <= 1
    return float(value) if share else None


def _require_stated(name: str, mean: float, results: Json, where: str) -> None:
    """Refuse a log whose accuracy is not that of its samples."""
    for score in results.get("scores") or ():
        stated = ((score.get("metrics") or {}).get("accuracy") or {}).get("value")
        if score.get("name") == name and isinstance(stated, int | float) and abs(stated - mean) > 1e-9:
            seen = f"{where} states accuracy {stated} for {shown(name)}, but its samples' mean is {mean:.6f}."
            raise UnusableData(seen, REMEDY)


def _facts(header: Json, samples: Sequence[Json], cluster: str | None, settings: str) -> TaskFacts:
    told = header["eval"]
    data, choices = told.get("dataset") or {}, [len(sample.get("choices") or ()) for sample in samples]
    of = data.get("samples")
    place = str(data.get("location") or "")
    return TaskFacts(
        name=str(told["task"]),
        version=str(told.get("task_version", 0)),
        shots=None,
        of=of if isinstance(of, int) else None,
        taken="all" if of == len(samples) else "some" if (told.get("config") or {}).get("sample_id") else "first",
        cluster=cluster,
        guessing=float(np.mean([1 / each for each in choices])) if all(choices) else None,
        dataset=place if REPO_ID.fullmatch(place) else None,
        subset=None,
        split=None,
        settings_sha256=settings,
    )
