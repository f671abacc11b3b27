"""The table of scores under `evaluation/`, item by item: written, and read back under limits."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from release.evals.bbq.table import read_table, wrong
from release.evals.tasks.log import PairedTask
from release.evals.tasks.result import TaskRun
from release.files import replacing

FILE_NAME = "tasks.parquet"
SCHEMA = pa.schema(
    [
        ("task", pa.string()),
        ("metric", pa.string()),
        ("item", pa.string()),
        ("doc", pa.string()),
        ("cluster", pa.int32()),
        ("dense", pa.float64()),
        ("pruned", pa.float64()),
    ]
)
"""`doc` is the digest of an item with its prompt and its target; their texts are not passed on."""


def write_scores(path: Path, tasks: Sequence[PairedTask]) -> None:
    """Write one row per task, metric and item; the same scores give the same bytes."""
    with replacing(path) as temporary:
        tables = [_table(task, metric) for task in tasks for metric in task.dense]
        pq.write_table(pa.concat_tables(tables), temporary, compression="zstd")


def _table(task: PairedTask, metric: str) -> pa.Table:
    names = [[task.facts.name] * len(task.items), [metric] * len(task.items), task.items, task.docs]
    columns = [*names, task.clusters, task.dense[metric], task.pruned[metric]]
    return pa.table([pa.array(column, kind.type) for column, kind in zip(columns, SCHEMA, strict=True)], SCHEMA)


def read_scores(data: bytes, runs: Sequence[tuple[TaskRun, tuple[str, ...]]]) -> tuple[PairedTask, ...]:
    """Read the table again.

    Args:
        data: The file.
        runs: The tasks that it must hold, in order, each with its metrics.

    Raises:
        UnusableData: It is no such table, or holds other tasks, metrics or items.
    """
    table, start, found = read_table(data, SCHEMA), 0, []
    for run, metrics in runs:
        if not metrics:
            raise wrong(f"holds no metric of {run.name[:40]!a}")
        parts = [table.slice(start + place * run.items, run.items) for place in range(len(metrics))]
        start += run.items * len(metrics)
        found.append(_task(run, metrics, parts))
    if start != table.num_rows:
        raise wrong(f"holds {table.num_rows:,} rows where {start:,} are due, one per task, metric and item")
    return tuple(found)


def _task(run: TaskRun, metrics: Sequence[str], parts: Sequence[pa.Table]) -> PairedTask:
    for metric, part in zip(metrics, parts, strict=True):
        alike = all(part.column(name) == parts[0].column(name) for name in ("item", "doc", "cluster"))
        if part.num_rows != run.items or not run.items or not alike:
            raise wrong(f"does not hold the {run.items:,} items of {run.name[:40]!a} for every metric")
        if set(part.column("task").to_pylist()) != {run.name} or set(part.column("metric").to_pylist()) != {metric}:
            raise wrong("does not hold the tasks and metrics in the order of the record")
    items = tuple(parts[0].column("item").to_pylist())
    clusters = np.asarray(parts[0].column("cluster").to_numpy()).astype(np.int64)
    if len(set(items)) < len(items) or not _numbered(clusters):
        raise wrong(f"holds an item of {run.name[:40]!a} twice, or clusters that are not numbered in order")
    sides = [{metric: _values(part, side) for metric, part in zip(metrics, parts, strict=True)} for side in SIDES]
    return PairedTask(run, items, tuple(parts[0].column("doc").to_pylist()), clusters, *sides)


SIDES = ("dense", "pruned")


def _numbered(clusters: np.ndarray[tuple[int], np.dtype[np.int64]]) -> bool:
    """Whether clusters are numbered from 0 on, in the order in which they come."""
    highest = np.maximum.accumulate(clusters)
    return bool(clusters[0] == 0 and (np.diff(highest) <= 1).all() and (clusters >= 0).all())


def _values(part: pa.Table, side: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    column = part.column(side)
    if pc.min(column).as_py() < 0 or pc.max(column).as_py() > 1:
        raise wrong("holds a score below 0 or above 1")
    return np.asarray(column.to_numpy(), dtype=np.float64)
