"""Results of lm-evaluation-harness: what `simple_evaluate` returns, and what `--log_samples` writes.

The results name the tasks, their settings and their scores; `samples_<task>_<date>.jsonl` beside them hold every item.
A metric is taken where its score is the mean of the items' own, which makes it one that can be paired.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from release.digests import FileDigest, digest_of
from release.errors import UnusableData
from release.evals.engine.statistics import Floats
from release.evals.tasks.log import Log, TaskLog, clusters_of, digest
from release.evals.tasks.result import LONGEST, TaskFacts, TaskGroup
from release.format import shown
from release.names import REPO_ID
from release.outside import MIB, Unfit, bytes_of, json_object
from release.values import Package

HARNESS = "lm_eval"
MOST_RESULTS = 64 * MIB
MOST_SAMPLES = 1024 * MIB
"""Bytes of the samples of one task, at most."""
LONGEST_LINE = 16 * MIB
STAMP = re.compile(r".*_(\d{4}-\d\d-\d\dT[0-9.-]+)\.json")
"""The date that results and their samples share in their names."""
OF_THE_RUN = ("system_instruction_sha", "chat_template_sha", "fewshot_as_multiturn", "max_length")
"""Fields of the results that may change what is asked; of `config` those of `OF_THE_CONFIG`."""
OF_THE_CONFIG = ("limit", "gen_kwargs", "random_seed", "numpy_seed", "torch_seed", "fewshot_seed")
NONE = "none"
"""What the harness calls a filter that changes nothing."""
CLOSE = 1e-9
REMEDY = "Run the harness again with --log_samples and --output_path, and give the file beside its samples_*.jsonl."

Json = Mapping[str, Any]


def read(path: Path) -> Log:
    """Read a results file and the samples beside it.

    Raises:
        UnusableData: It is no such file, its samples are missing, or they are not what its scores are made of.
    """
    try:
        results = json_object(bytes_of(path, MOST_RESULTS))
    except Unfit as unfit:
        raise UnusableData(f"{path.name} {unfit}.", REMEDY) from None
    if not isinstance(results.get("configs"), dict) or not isinstance(results.get("results"), dict):
        raise UnusableData(f"{path.name} is no results file of lm-evaluation-harness.", REMEDY)
    samples = {name: tuple(_lines(_samples_of(path, name))) for name in results["configs"]}
    return log_of(results, samples, path.name, digest_of(path))


def _samples_of(path: Path, task: str) -> Path:
    """Find the samples of a task by their names in the folder; no name from the file is joined to a path."""
    stamp = STAMP.fullmatch(path.name)
    begins, ends = f"samples_{task}_", f"{stamp.group(1) if stamp else ''}.jsonl"
    found = [
        each
        for each in path.parent.iterdir()
        if each.name.startswith(begins) and each.name.endswith(ends) and _dated(each.name[len(begins) :])
    ]
    if len(found) != 1:
        seen = f"{path.name} has {'several' if found else 'no'} samples of {shown(task)} beside it."
        raise UnusableData(seen, REMEDY)
    return found[0]


def _dated(rest: str) -> bool:
    """Whether the name goes on with a date alone: `samples_arc_` also begins those of `arc_easy`."""
    return re.fullmatch(r"\d{4}-\d\d-\d\dT[0-9.-]+\.jsonl", rest) is not None


def _lines(path: Path) -> Iterator[Json]:
    if path.stat().st_size > MOST_SAMPLES:
        raise UnusableData(f"{path.name} has more than {MOST_SAMPLES:,} bytes.", "Import fewer items.")
    with path.open("rb") as file:
        number = 0
        while line := file.readline(LONGEST_LINE + 1):
            number += 1
            try:
                if len(line) > LONGEST_LINE:
                    raise Unfit(f"is longer than {LONGEST_LINE:,} bytes")
                yield json_object(line)
            except Unfit as unfit:
                raise UnusableData(f"Line {number} of {path.name} {unfit}.", REMEDY) from None


def log_of(results: Json, samples: Mapping[str, Sequence[Json]], name: str, file: FileDigest | None = None) -> Log:
    """Make a log of what the harness returned.

    Args:
        samples: Task → one entry per item and filter.
        name: What a message calls it.

    Raises:
        UnusableData: It lacks what is needed, a model gave NaN, or its scores are not those of the items.
    """
    try:
        tasks = {task: _task(results, task, rows, name) for task, rows in samples.items()}
        config = results.get("config") or {}
        run = {key: results.get(key) for key in OF_THE_RUN} | {key: config.get(key) for key in OF_THE_CONFIG}
        harness = Package(name=HARNESS, version=str(results.get("lm_eval_version"))[:LONGEST])
        dtype = str(config["model_dtype"]).removeprefix("torch.") if config.get("model_dtype") else None
        return Log(name, harness, tasks, run, tuple(_groups(results, tasks)), dtype, file)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        seen = f"{name} is not what lm-evaluation-harness writes ({type(error).__name__}: {shown(str(error))})."
        raise UnusableData(seen, REMEDY) from None


def _task(results: Json, name: str, rows: Sequence[Json], where: str) -> TaskLog:
    if not rows:
        raise UnusableData(f"{where} holds no item of {shown(name)}.", REMEDY)
    config = results["configs"][name]
    by_filter: dict[str, list[Json]] = {}
    for row in rows:
        by_filter.setdefault(str(row.get("filter", NONE)), []).append(row)
    first = next(iter(by_filter.values()))
    items = [str(row["doc_id"]) for row in first]
    if any([str(row["doc_id"]) for row in each] != items for each in by_filter.values()) or len(set(items)) < len(
        items
    ):
        raise UnusableData(f"{where} holds an item of {shown(name)} twice, or not for every filter.", REMEDY)
    _require_numbers(first, name, where)
    cluster, clusters = clusters_of([row["doc"] if isinstance(row["doc"], dict) else {} for row in first])
    settings = {key: value for key, value in config.items() if key != "metadata"}
    docs = tuple(digest([row[key] for key in ("doc_hash", "prompt_hash", "target_hash")]) for row in first)
    values = _values(results["results"][name], by_filter, config, where)
    if not values:
        raise UnusableData(f"{where} holds no score of {shown(name)} that is the mean of its items'.", REMEDY)
    return TaskLog(_facts(results, name, first, cluster), tuple(items), docs, clusters, values, settings)


def _require_numbers(rows: Sequence[Json], name: str, where: str) -> None:
    """Refuse NaN among the answers: the harness takes it for a wrong answer."""
    for row in rows:
        for answers in row.get("resps") or ():
            for answer in answers:
                told = answer[0] if isinstance(answer, list | tuple) and answer else None
                if isinstance(told, float | str) and str(told).lower() in ("nan", "inf", "-inf"):
                    seen = f"{where} holds NaN or an infinity for item {row['doc_id']} of {shown(name)}."
                    raise UnusableData(seen, "The model's weights are broken: check them with `release verify`.")


def _values(scores: Json, by_filter: Mapping[str, Sequence[Json]], config: Json, where: str) -> dict[str, Floats]:
    averaged = {each.get("metric") for each in config.get("metric_list") or () if each.get("aggregation") == "mean"}
    found: dict[str, Floats] = {}
    for filtered, rows in by_filter.items():
        for metric in rows[0].get("metrics") or ():
            values, told = _numbers(rows, metric), scores.get(f"{metric},{filtered}")
            if values is None or not isinstance(told, int | float):
                continue
            if abs(float(values.mean()) - told) <= CLOSE:
                found[metric if filtered == NONE else f"{metric},{filtered}"] = values
            elif metric in averaged:
                seen = f"{where} states {told} for {shown(str(metric))}, but its items' mean is {values.mean():.6f}."
                raise UnusableData(seen, REMEDY)
    return found


def _numbers(rows: Sequence[Json], metric: str) -> Floats | None:
    """Return the score of each item; None where one is no share."""
    told = [row.get(metric) for row in rows]
    if not all(isinstance(each, int | float) and math.isfinite(each) and 0 <= each <= 1 for each in told):
        return None
    return np.array(told, dtype=np.float64)


def _facts(results: Json, name: str, rows: Sequence[Json], cluster: str | None) -> TaskFacts:
    config, count = results["configs"][name], len(rows)
    counts = (results.get("n-samples") or {}).get(name) or {}
    of, shots = counts.get("original"), (results.get("n-shot") or {}).get(name)
    whole = of == count or (of is None and not (results.get("config") or {}).get("limit"))
    ordered = [row["doc_id"] for row in rows] == list(range(count))
    repo = str(config.get("dataset_path") or "")
    return TaskFacts(
        name=name,
        version=str((results.get("versions") or {}).get(name, (config.get("metadata") or {}).get("version", "none"))),
        shots=shots if isinstance(shots, int) else None,
        of=of if isinstance(of, int) else None,
        taken="all" if whole else "first" if ordered else "some",
        cluster=cluster,
        guessing=_guessing(config, rows),
        dataset=repo if REPO_ID.fullmatch(repo) else None,
        subset=str(config["dataset_name"]) if config.get("dataset_name") else None,
        split=str(config.get("test_split") or config.get("validation_split") or "") or None,
        settings_sha256=digest({key: value for key, value in config.items() if key != "metadata"}),
    )


def _guessing(config: Json, rows: Sequence[Json]) -> float | None:
    """Return the accuracy of guessing among given answers; None where there are none."""
    if config.get("output_type") != "multiple_choice":
        return None
    return float(np.mean([1 / len(row["arguments"]) for row in rows]))


def _groups(results: Json, tasks: Mapping[str, TaskLog]) -> Iterator[TaskGroup]:
    """Yield the groups whose score is the mean over the items of their tasks, or over the tasks."""
    for name, scores in (results.get("groups") or {}).items():
        members = tuple(_leaves(name, results.get("group_subtasks") or {}, tasks))
        for metric in tasks[members[0]].values if members and name not in tasks else ():
            told = scores.get(metric if "," in metric else f"{metric},{NONE}")
            columns = [tasks[member].values.get(metric) for member in members]
            known = [column for column in columns if column is not None]
            if len(known) < len(members) or not isinstance(told, int | float):
                continue
            if abs(np.concatenate(known).mean() - told) <= CLOSE:
                yield TaskGroup(name=name, tasks=members, metric=metric, weights="items")
            elif abs(np.mean([column.mean() for column in known]) - told) <= CLOSE:
                yield TaskGroup(name=name, tasks=members, metric=metric, weights="tasks")


def _leaves(name: str, subtasks: Json, tasks: Mapping[str, TaskLog], depth: int = 0) -> Iterator[str]:
    for each in subtasks.get(name) or () if depth < 16 else ():
        if each in tasks:
            yield each
        else:
            yield from _leaves(each, subtasks, tasks, depth + 1)
