"""Latency of dense and pruned: wall time of one answer, taken in a process of its own.

The process begins with nothing: no memory that other measurements left behind, no threads they started. It holds one
model, in the type it is stored in, takes the weights of the side whose turn it is, and answers; so no side has a place
in memory to itself. Eight runs of a model beside its own copy, both mapped from files, had differed 1.6 times as much
as their intervals said: where the pages of a file lie sets its speed. Models of different shapes or types cannot take
turns so: several processes, whose pages lie anew, time both beside each other then.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from release import children
from release.checkpoint.folder import open_checkpoint
from release.errors import ReleaseError, UnusableBase
from release.evals.bbq.items import Item
from release.evals.latency.amount import Amount
from release.evals.latency.result import Latency
from release.evals.latency.table import WARMUP, Timings, file_name, merged, record_of, write_timings
from release.evals.latency.timed import Pair, time_pair
from release.machine import BESIDE_WEIGHTS
from release.models.engine import EnginePlace
from release.models.engines import engine
from release.progress import Console
from release.values import DataSource

PROCESSES, EACH = 8, 4
"""Processes that time models which cannot share addresses, and the items that each counts."""
KILLED: int | None = getattr(signal, "SIGKILL", None)
"""What ends a process for want of memory; Windows has no signals."""
REMEDY = "Use a larger machine, or leave latency out: --latency off."


@dataclass(frozen=True)
class TimedPrompts:
    """What both models answer.

    Attributes:
        items: BBQ items; the first `WARMUP` are asked and not counted, and at least two must be left.
        data: Where the items came from.
        amount: How many items are counted; all of them, where it is not given.
    """

    items: Sequence[Item]
    data: DataSource
    amount: Amount | None = None


def measure_latency(pair: Pair, asked: TimedPrompts, device: str, evaluation: Path | None, console: Console) -> Latency:
    """Time both models on the same prompts in a fresh process, item by item, taking turns at who goes first.

    Where their shapes or types differ, `PROCESSES` fresh processes time `EACH` items each.

    The process imports the module that Python was started with once more, as `multiprocessing` does: a script that
    calls this needs its `if __name__ == "__main__"`.

    Args:
        pair: The dense model's tokenizer and chat template serve both.
        device: A torch device.
        evaluation: Folder that receives the table of all times; None to keep nothing.
        console: Where progress is shown.

    Raises:
        MissingSource: The engine is not installed.
        UnusableBase: The models do not fit beside each other, one cannot be loaded, or the process was killed.
    """
    held = open_checkpoint(pair.dense).size + (0 if pair.alike else open_checkpoint(pair.pruned).size)
    require_room(held, engine(pair.engine).place(torch.device(device)))
    started = time.perf_counter()
    parts = [tuple(asked.items)] if pair.alike else parts_of(asked.items)
    amount = asked.amount if pair.alike else None  # of several processes each counts `EACH`
    timings = merged([_timed_apart(pair, part, device, console, amount) for part in parts])
    if evaluation is not None:
        answered = [item for part in parts for item in part][: len(timings.seconds)]
        write_timings(evaluation / file_name(pair.engine), answered, timings)
    return record_of(timings, asked.data, time.perf_counter() - started)


def parts_of(items: Sequence[Item]) -> list[tuple[Item, ...]]:
    """Share items out over `PROCESSES`: each warms up on the same, and counts the next `EACH`, from the first again."""
    first, rest = tuple(items[:WARMUP]), cycle(items[WARMUP:])
    return [first + tuple(islice(rest, EACH)) for _ in range(PROCESSES)]


def require_room(needed: int, place: EnginePlace) -> None:
    """Refuse what does not fit into the memory that is free.

    One model is held where both have the same shapes and types, which pruning keeps; what is copied into it is read
    from pages of its file, which the system may drop.

    Args:
        needed: Bytes of the weights that are held.
        place: Where.

    Raises:
        UnusableBase: They do not fit.
    """
    needed = int(needed * (1 + BESIDE_WEIGHTS))
    if place.free is not None and needed > place.free:
        there = f"{place.free / 1e9:.1f} GB are free"
        raise UnusableBase(f"Timing answers needs {needed / 1e9:.1f} GB of memory on {place.kind}; {there}.", REMEDY)


def _timed_apart(
    pair: Pair, items: tuple[Item, ...], device: str, console: Console, amount: Amount | None = None
) -> Timings:
    """Time answers in a process of its own, which ends with this call however that ends."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    work = (sender, pair, items, device, console, amount)
    process = context.Process(target=_answer, args=work, name="latency", daemon=True)
    try:
        with children.inherited(), _deaf_to_interrupts():
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
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    # It is started with the first process, and lifts the mask for whoever starts it.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _lost(exit_code: int) -> UnusableBase:
    if KILLED is not None and exit_code == -KILLED:
        return UnusableBase("The process that times both models was killed, most likely for want of memory.", REMEDY)
    end = f"was ended by {signal.Signals(-exit_code).name}" if exit_code < 0 else f"failed with exit code {exit_code}"
    return UnusableBase(f"The process that times both models {end}.", "Leave latency out: --latency off.")


def _answer(
    sender: Connection, pair: Pair, items: Sequence[Item], device: str, console: Console, amount: Amount | None
) -> None:
    """Time both models, and send back the timings or the error."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        sender.send(time_pair(pair, items, torch.device(device), console, amount))
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
