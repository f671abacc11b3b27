"""What timing both models gave: the table under `evaluation/`, written and read back, and what is made of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from release.files import replacing
from release.measure.stored import read_table, wrong
from release.measurements import DataSource, EngineName, Latency, LatencyPart, LatencySide, Load, Package, latency_name
from release.sources.bbq import Item
from release.statistics import Floats, exponential, mean_interval

NEW_TOKENS = 5
"""Of every answer that is timed."""
WARMUP = 2
RUN = 3
"""Answers that a side gives to an item, one after the other; the one of median time counts. A single answer varies by
some tenths on a machine that others share, and most of that is in few slow ones."""
MARGIN = 0.05
MODELS = ("dense", "pruned")
SCHEMA = pa.schema(
    [
        ("category", pa.string()),
        ("example_id", pa.int64()),
        ("model", pa.string()),
        ("prefill_seconds", pa.float64()),
        ("decode_seconds", pa.float64()),
        ("answer", pa.int64()),
        ("counted", pa.bool_()),
        ("process", pa.int64()),
    ]
)


@dataclass(frozen=True)
class Timings:
    """What was timed, and on what.

    Attributes:
        answers: Seconds, (items, 2, run, 2): dense and pruned; one after the other; up to the first new token, and
            from there to the end.
        device: A GPU's name, or the kind of device.
        dtype: The type that the dense model is stored in.
        threads: Threads that one operation may use on a CPU; None where the engine does not say.
        load: What else the processors did meanwhile.
        processes: Processes that timed equally many answers each, one after the other.
        engine: What ran the models.
        packages: What that was made of; none where a record of an earlier version does not say.
    """

    answers: NDArray[np.float64]
    device: str
    dtype: str
    threads: int | None
    load: Load
    processes: int = 1
    engine: EngineName = "transformers"
    packages: tuple[Package, ...] = ()

    @property
    def middle(self) -> NDArray[np.int64]:
        """Which answer of each run is the one of median time, (items, 2)."""
        return np.argsort(self.answers.sum(axis=3), axis=2, kind="stable")[:, :, self.answers.shape[2] // 2]

    @property
    def seconds(self) -> Floats:
        """Seconds of those answers, (items, 2, 2)."""
        return np.take_along_axis(self.answers, self.middle[:, :, None, None], axis=2)[:, :, 0]


def file_name(engine: EngineName) -> str:
    """Return the name of an engine's table."""
    return f"{latency_name(engine)}.parquet"


def turns(index: int) -> tuple[int, int]:
    """Return which model answers an item first: they take turns at that, too."""
    return (0, 1) if index % 2 == 0 else (1, 0)


def merged(parts: Sequence[Timings]) -> Timings:
    """Put the timings of several processes one after the other; what they share is taken from the first."""
    loads = [part.load for part in parts]
    return replace(
        parts[0],
        answers=np.concatenate([part.answers for part in parts]),
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
    each, middle = len(items) // timings.processes, timings.middle
    rows = [
        {
            "category": item.category,
            "example_id": item.example_id,
            "model": MODELS[side],
            "prefill_seconds": float(prefill),
            "decode_seconds": float(decode),
            "answer": answer,
            "counted": index % each >= WARMUP and answer == middle[index, side],
            "process": index // each,
        }
        for index, item in enumerate(items)
        for side in turns(index)
        for answer, (prefill, decode) in enumerate(timings.answers[index, side])
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
    count, run = known.items + WARMUP, known.run
    if known.processes != 1:
        raise wrong("cannot be of a release, whose shapes and types are its base's")
    if run < 1 or len(rows) != 2 * run * count:
        raise wrong(f"holds {len(rows):,} answers where {2 * run * count:,} are due")
    places = [(index, side, answer) for index in range(count) for side in turns(index) for answer in range(run)]
    items = [(row["category"], row["example_id"]) for row in rows[:: 2 * run]]
    answers = np.empty((count, 2, run, 2))
    for (index, side, answer), row in zip(places, rows, strict=True):
        due = (*items[index], MODELS[side], answer, 0)
        if tuple(row[name] for name in ("category", "example_id", "model", "answer", "process")) != due:
            raise wrong(f"does not hold the {MODELS[side]} model's answer to item {index} where it is due")
        answers[index, side, answer] = row["prefill_seconds"], row["decode_seconds"]
    if not (answers > 0).all():
        raise wrong("holds an answer that took no time")
    where = (known.device, known.dtype, known.threads, known.load)
    timings = Timings(answers, *where, engine=known.engine, packages=known.packages)
    _require_counted(rows, places, timings)
    return items, timings


def _require_counted(rows: Sequence[dict[str, Any]], places: Sequence[tuple[int, int, int]], timings: Timings) -> None:
    middle = timings.middle
    for (index, side, answer), row in zip(places, rows, strict=True):
        if row["counted"] != (index >= WARMUP and answer == middle[index, side]):
            raise wrong("counts another answer than the one of median time")


def record_of(timings: Timings, data: DataSource, seconds: float) -> Latency:
    """Sum up what was timed; the first `WARMUP` items of each process are not counted."""
    by_process = timings.seconds.reshape(timings.processes, -1, 2, 2)[:, WARMUP:]
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
        run=timings.answers.shape[2],
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
