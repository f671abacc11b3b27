"""Latency of dense and pruned: wall time of one answer, taken in a process of its own.

The process begins with nothing: no memory that other measurements left behind, no threads they started. It holds both
models in the type they are stored in and does nothing but answer.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from release.checkpoint.folder import open_checkpoint
from release.errors import ReleaseError, UnusableBase
from release.files import replacing
from release.measure.clock import NEW_TOKENS, Timings, time_pair, turns
from release.measure.model import SPARE, memory_free
from release.measure.stored import read_table, wrong
from release.measurements import DataSource, Latency, LatencyPart, LatencySide
from release.progress import Console
from release.sources.bbq import Item
from release.statistics import REPLICATES, Floats, estimate, resampled_means

WARMUP = 2
MARGIN = 0.05
FILE_NAME = "latency.parquet"
MODELS = ("dense", "pruned")
SCHEMA = pa.schema(
    [
        ("category", pa.string()),
        ("example_id", pa.int64()),
        ("model", pa.string()),
        ("prefill_seconds", pa.float64()),
        ("decode_seconds", pa.float64()),
        ("counted", pa.bool_()),
    ]
)
REMEDY = "Use a larger machine, or leave latency out: --latency off."


def measure_latency(
    dense: Path,
    pruned: Path,
    items: Sequence[Item],
    data: DataSource,
    device: str,
    seed: int,
    evaluation: Path | None,
    console: Console,
) -> Latency:
    """Time both models on the same prompts in a fresh process, item by item, taking turns at who goes first.

    The process imports the module that Python was started with once more, as `multiprocessing` does: a script that
    calls this needs its `if __name__ == "__main__"`.

    Args:
        dense: A checkpoint folder; its tokenizer and chat template serve both models.
        pruned: A checkpoint folder.
        items: BBQ items; the first `WARMUP` are asked and not counted, and at least two must be left.
        data: Where the items came from.
        device: A torch device.
        seed: Seed of the bootstrap.
        evaluation: Folder that receives `latency.parquet`; None to keep nothing.
        console: Where progress is shown.

    Raises:
        UnusableBase: The models do not fit beside each other, one cannot be loaded, or the process was killed.
    """
    require_room(dense, open_checkpoint(pruned).size, torch.device(device))
    started = time.perf_counter()
    timings = _timed_apart(dense, pruned, items, device, console.rich.quiet)
    if evaluation is not None:
        write_timings(evaluation / FILE_NAME, items, timings)
    return record_of(timings, data, seed, time.perf_counter() - started)


def require_room(dense: Path, pruned_bytes: int, device: torch.device) -> None:
    """Refuse a pair of models that do not fit beside each other in what memory is free; only headers are read.

    Args:
        dense: A checkpoint folder.
        pruned_bytes: Bytes of the pruned model's weights: those of the dense model, where it is not written yet.
        device: Where both are to be held.

    Raises:
        UnusableBase: They do not fit.
    """
    needed = int((open_checkpoint(dense).size + pruned_bytes) * (1 + SPARE))
    free = memory_free(device)
    if free is not None and needed > free:
        raise UnusableBase(
            f"Dense and pruned beside each other need {needed / 1e9:.1f} GB of memory on {device.type};"
            f" {free / 1e9:.1f} GB are free.",
            REMEDY,
        )


def write_timings(path: Path, items: Sequence[Item], timings: Timings) -> None:
    """Write one row per answer, in the order in which they were given."""
    with replacing(path) as temporary:
        pq.write_table(_table(items, timings), temporary, compression="zstd")


def _table(items: Sequence[Item], timings: Timings) -> pa.Table:
    rows = [
        {
            "category": item.category,
            "example_id": item.example_id,
            "model": MODELS[side],
            "prefill_seconds": float(timings.seconds[index, side, 0]),
            "decode_seconds": float(timings.seconds[index, side, 1]),
            "counted": index >= WARMUP,
        }
        for index, item in enumerate(items)
        for side in turns(index)
    ]
    return pa.Table.from_pylist(rows, SCHEMA)


def read_timings(data: bytes, known: Latency) -> tuple[list[tuple[str, int]], Timings]:
    """Read `latency.parquet`.

    Args:
        data: The file.
        known: Says on what was timed, and how many answers.

    Returns:
        Category and example id of each item, those for warming up included, and the timings.

    Raises:
        UnusableData: It is no such table, or holds other answers, or they are not in the order of their turns.
    """
    rows = read_table(data, SCHEMA).to_pylist()
    count = known.items + WARMUP
    if len(rows) != 2 * count:
        raise wrong(f"holds {len(rows):,} answers where {2 * count:,} are due")
    seconds, items = np.empty((count, 2, 2)), []
    for index in range(count):
        pair = rows[2 * index : 2 * index + 2]
        items.append((pair[0]["category"], pair[0]["example_id"]))
        for side, row in zip(turns(index), pair, strict=True):
            due = (*items[-1], MODELS[side], index >= WARMUP)
            if (row["category"], row["example_id"], row["model"], row["counted"]) != due:
                raise wrong(f"does not hold the {MODELS[side]} model's answer to item {index} where it is due")
            seconds[index, side] = row["prefill_seconds"], row["decode_seconds"]
    if not (seconds > 0).all():
        raise wrong("holds an answer that took no time")
    return items, Timings(seconds, known.device, known.dtype, known.threads)


def record_of(timings: Timings, data: DataSource, seed: int, seconds: float) -> Latency:
    """Sum up what was timed; the first `WARMUP` items are not counted."""
    counted = timings.seconds[WARMUP:]
    whole = _part(counted.sum(axis=2), seed)
    return Latency(
        prompts=data,
        items=len(counted),
        warmup=WARMUP,
        new_tokens=NEW_TOKENS,
        device=timings.device,
        dtype=timings.dtype,
        threads=timings.threads,
        dense=whole.dense,
        pruned=whole.pruned,
        ratio=whole.ratio,
        prefill=_part(counted[:, :, 0], seed),
        decode=_part(counted[:, :, 1], seed),
        margin=MARGIN,
        seconds=seconds,
    )


def _part(seconds: Floats, seed: int) -> LatencyPart:
    """Sum up one part of the answers; (items, 2)."""
    dense, pruned = seconds[:, 0], seconds[:, 1]
    ratio = estimate(np.exp(resampled_means(np.log(pruned / dense), REPLICATES, seed)))
    return LatencyPart(dense=_side(dense), pruned=_side(pruned), ratio=ratio)


def _side(seconds: Floats) -> LatencySide:
    return LatencySide(
        mean=float(seconds.mean()), median=float(np.median(seconds)), p95=float(np.quantile(seconds, 0.95))
    )


def _timed_apart(dense: Path, pruned: Path, items: Sequence[Item], device: str, quiet: bool) -> Timings:
    """Run `time_pair` in a process of its own, which ends with this call however that ends."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    work = (sender, dense, pruned, tuple(items), device, quiet)
    process = context.Process(target=_answer, args=work, name="latency", daemon=True)
    try:
        with _deaf_to_interrupts():
            process.start()
        sender.close()
        found: Timings | ReleaseError = receiver.recv()
    except EOFError:
        process.join()
        raise _lost(process.exitcode or 0) from None
    finally:
        receiver.close()
        if process.pid is not None:
            process.kill()
            process.join()
    if isinstance(found, ReleaseError):
        raise found
    return found


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Let a process that is started inside take no Ctrl-C: the terminal sends it to both, and this one answers it.

    A process inherits the mask, so it is deaf from its first moment on, its imports included.
    """
    # It is started with the first process, and lifts the mask for whoever starts it.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _lost(exit_code: int) -> UnusableBase:
    if exit_code == -signal.SIGKILL:
        return UnusableBase("The process that times both models was killed, most likely for want of memory.", REMEDY)
    end = f"was ended by {signal.Signals(-exit_code).name}" if exit_code < 0 else f"failed with exit code {exit_code}"
    return UnusableBase(f"The process that times both models {end}.", "Leave latency out: --latency off.")


def _answer(sender: Connection, dense: Path, pruned: Path, items: Sequence[Item], device: str, quiet: bool) -> None:
    """Time both models, and send back the timings or the error."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        sender.send(time_pair(dense, pruned, items, torch.device(device), Console(quiet)))
    except ReleaseError as error:
        sender.send(error)
    except (MemoryError, torch.OutOfMemoryError) as error:
        seen = str(error).partition("\n")[0] or "memory ran out"
        sender.send(UnusableBase(f"Dense and pruned could not be held beside each other: {seen}.", REMEDY))


def _end_with_parent() -> None:
    """End this process where the one that waits for it is gone: nobody would take its answer."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
