"""What timing both models gave: the table under `evaluation/`, written and read back, and what is made of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from release.evals.bbq.items import Item
from release.evals.bbq.table import read_table, wrong
from release.evals.engine.statistics import Floats, exponential, mean_interval
from release.evals.latency.result import Latency, LatencyPart, LatencySide, Load, latency_name
from release.files import replacing
from release.models.timed_answer import NEW_TOKENS
from release.values import DataSource, EngineName, Package

WARMUP = 2
MARGIN = 0.05
MODELS = ("dense", "pruned")
SCHEMA = pa.schema(
    [
        ("category", pa.string()),
        ("example_id", pa.int64()),
        ("model", pa.string()),
        ("prefill_seconds", pa.float64()),
        ("decode_seconds", pa.float64()),
        ("counted", pa.bool_()),
        ("process", pa.int64()),
    ]
)


@dataclass(frozen=True)
class Timings:
    """What was timed, and on what.

    Attributes:
        seconds: (answers, 2, 2): dense and pruned; up to the first new token, and from there to the end.
        device: A GPU's name, or the kind of device.
        dtype: The type that the dense model is stored in.
        threads: Threads that one operation may use on a CPU; None where the engine does not say.
        load: What else the processors did meanwhile.
        processes: Processes that timed equally many answers each, one after the other.
        engine: What ran the models.
        packages: What that was made of; none where a record of an earlier version does not say.
    """

    seconds: NDArray[np.float64]
    device: str
    dtype: str
    threads: int | None
    load: Load
    processes: int = 1
    engine: EngineName = "transformers"
    packages: tuple[Package, ...] = ()


def file_name(engine: EngineName) -> str:
    """Return the name of an engine's table."""
    return f"{latency_name(engine)}.parquet"


def turns(index: int) -> tuple[int, int]:
    """Return which model answers an item first: they take turns at that, too."""
    return (0, 1) if index % 2 == 0 else (1, 0)


def logs_of(seconds: Floats) -> Floats:
    """Return the natural logarithm of pruned / dense of each counted answer; of one process, (answers, 2, 2)."""
    sums = seconds[WARMUP:].sum(axis=2)
    logs: Floats = np.log(sums[:, 1] / sums[:, 0])
    return logs


def merged(parts: Sequence[Timings]) -> Timings:
    """Put the timings of several processes one after the other; what they share is taken from the first."""
    loads = [part.load for part in parts]
    return replace(
        parts[0],
        seconds=np.concatenate([part.seconds for part in parts]),
        load=Load(others=_mean([load.others for load in loads]), switches=_mean([load.switches for load in loads])),
        processes=len(parts),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def write_timings(path: Path, items: Sequence[Item], timings: Timings) -> None:
    """Write one row per answer, in the order in which they were given."""
    with replacing(path) as temporary:
        pq.write_table(_table(items, timings), temporary, compression="zstd")


def _table(items: Sequence[Item], timings: Timings) -> pa.Table:
    each = len(items) // timings.processes
    rows = [
        {
            "category": item.category,
            "example_id": item.example_id,
            "model": MODELS[side],
            "prefill_seconds": float(timings.seconds[index, side, 0]),
            "decode_seconds": float(timings.seconds[index, side, 1]),
            "counted": index % each >= WARMUP,
            "process": index // each,
        }
        for index, item in enumerate(items)
        for side in turns(index)
    ]
    return pa.Table.from_pylist(rows, SCHEMA)


def read_timings(data: bytes, known: Latency) -> tuple[list[tuple[str, int]], Timings]:
    """Read the table of models that one resident model stood for, as it does for a release's.

    Args:
        data: The file.
        known: Says on what was timed, and how many answers.

    Returns:
        Category and example id of each item, those for warming up included, and the timings.

    Raises:
        UnusableData: It is no such table, or holds other answers, or they are not in the order of their turns.
    """
    rows = read_table(data, SCHEMA).to_pylist()
    if known.processes != 1:
        raise wrong("cannot be of a release, whose shapes and types are its base's")
    count = known.items + WARMUP
    if len(rows) != 2 * count:
        raise wrong(f"holds {len(rows):,} answers where {2 * count:,} are due")
    seconds, items = np.empty((count, 2, 2)), []
    for index in range(count):
        pair = rows[2 * index : 2 * index + 2]
        items.append((pair[0]["category"], pair[0]["example_id"]))
        for side, row in zip(turns(index), pair, strict=True):
            due = (*items[-1], MODELS[side], index >= WARMUP, 0)
            if (row["category"], row["example_id"], row["model"], row["counted"], row["process"]) != due:
                raise wrong(f"does not hold the {MODELS[side]} model's answer to item {index} where it is due")
            seconds[index, side] = row["prefill_seconds"], row["decode_seconds"]
    if not (seconds > 0).all():
        raise wrong("holds an answer that took no time")
    where = (known.device, known.dtype, known.threads, known.load)
    return items, Timings(seconds, *where, engine=known.engine, packages=known.packages)


def record_of(timings: Timings, data: DataSource, seconds: float) -> Latency:
    """Sum up what was timed; the first `WARMUP` items of each process are not counted."""
    by_process = timings.seconds.reshape(timings.processes, -1, *timings.seconds.shape[1:])[:, WARMUP:]
    whole = _part(by_process.sum(axis=3))
    return Latency(
        prompts=data,
        items=by_process.shape[0] * by_process.shape[1],
        warmup=WARMUP,
        new_tokens=NEW_TOKENS,
        device=timings.device,
        dtype=timings.dtype,
        threads=timings.threads,
        processes=timings.processes,
        load=timings.load,
        dense=whole.dense,
        pruned=whole.pruned,
        ratio=whole.ratio,
        prefill=_part(by_process[..., 0]),
        decode=_part(by_process[..., 1]),
        margin=MARGIN,
        seconds=seconds,
        engine=timings.engine,
        packages=timings.packages,
    )


def _part(seconds: Floats) -> LatencyPart:
    """Sum up one part of the answers.

    Args:
        seconds: (processes, answers, 2). Of one process every pair of answers is a draw; of several the pair of medians
            of each, for what sets a process's speed is common to its answers.
    """
    logs = np.log(seconds[0] if len(seconds) == 1 else np.median(seconds, axis=1))
    sides = [_side(seconds[..., side].ravel(), logs[:, side]) for side in range(2)]
    return LatencyPart(dense=sides[0], pruned=sides[1], ratio=exponential(mean_interval(logs[:, 1] - logs[:, 0])))


def _side(seconds: Floats, logs: Floats) -> LatencySide:
    return LatencySide(
        geometric_mean=float(np.exp(logs.mean())),
        mean=float(seconds.mean()),
        median=float(np.median(seconds)),
        p95=float(np.quantile(seconds, 0.95)),
    )
