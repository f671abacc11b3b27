"""Work on what others wrote that may never end or take all memory: done in a child process with limits.

A chat template is a program. It is sandboxed, so that it can reach nothing; but it may loop for ever or grow without
end, and may do so for some inputs only, so that all of them are given to the child at once: it starts in some
milliseconds, with all that this process has in memory.
"""

import gc
import json
import os
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from release.machine import memory_of
from release.outside import Unfit, foreign

T = TypeVar("T")

SECONDS = 20.0
"""Time for one piece of work, and for each input after it `SECONDS_EACH`."""
SECONDS_EACH = 0.02
MEMORY = 1 << 30
"""Bytes that the work may take beside what this process has."""
LONGEST = 1 << 20
"""Characters of one result."""
PIECE = 1 << 16
LOOK = 0.1
"""Seconds between two looks at the memory that the child has."""
FORKS = hasattr(os, "fork")


def texts(work: Callable[[T], str], inputs: Sequence[T], what: str) -> list[str]:
    """Return what `work` makes of every input, in their order.

    Where the system cannot copy a process, it is done in this one, without limits.

    Args:
        work: Returns text; may raise anything, and need not come to an end.
        what: Says in a message whose text or program this is.

    Raises:
        Unfit: It raised, took too long, or wanted too much memory.
    """
    if not FORKS:
        return [_made(work, each, what) for each in inputs]
    seconds = SECONDS + SECONDS_EACH * len(inputs)
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Threads of other libraries are not copied; the child does nothing but this work, in Python alone.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        os.close(reading)
        _answer(writing, lambda: [_made(work, each, what) for each in inputs], seconds)
    os.close(writing)
    try:
        answer = _received(reading, time.monotonic() + seconds, child)
    finally:
        os.close(reading)
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if answer is None:
        raise Unfit(f"{what} does not come to an end")
    return _understood(answer, what)


def _made(work: Callable[[T], str], given: T, what: str) -> str:
    with foreign(f"{what} cannot be used"):
        made = work(given)
    if not isinstance(made, str):
        raise Unfit(f"{what} gives no text")
    if len(made) > LONGEST:
        raise Unfit(f"{what} makes a text of more than {LONGEST:,} characters")
    return made


def _answer(writing: int, work: Callable[[], list[str]], seconds: float) -> NoReturn:
    """Do the work and write what came of it, as JSON; this process ends here, whatever happens."""
    try:
        gc.disable()  # to collect would copy what this process shares with the other
        _limit(seconds)
        try:
            said = json.dumps({"texts": work()})
        except MemoryError:
            said = json.dumps({"memory": True})
        except Unfit as why:
            said = json.dumps({"unfit": str(why)})
        left = memoryview(said.encode())
        while left:
            left = left[os.write(writing, left) :]
    finally:
        os._exit(0)


def _limit(seconds: float) -> None:
    """Take no more memory and processor time than the work may have, and say nothing."""
    import resource  # where processes can be copied, it is to be had

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    limit = int(seconds) + 10  # beside the other process's own clock, which a kill would stop
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError, ValueError):  # only Linux says how much a process has
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        most = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))
    silent = Path(os.devnull).open("w", encoding="utf-8", newline="\n")  # noqa: SIM115 - until the process ends
    sys.stderr = sys.stdout = silent


def _received(reading: int, deadline: float, child: int) -> bytes | None:
    """Read until the other end is closed, or the child has taken too much memory; None where that takes too long."""
    found, most = bytearray(), (memory_of(os.getpid()) or 0) + MEMORY
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([reading], [], [], min(left, LOOK))[0]:
            if (memory_of(child) or 0) > most:  # macOS keeps no such limit by itself
                return b""
            continue
        piece = os.read(reading, PIECE)
        if not piece:
            return bytes(found)
        found += piece
    return None


def _understood(answer: bytes, what: str) -> list[str]:
    said: dict[str, Any] = json.loads(answer) if answer else {"memory": True}
    if "unfit" in said:
        raise Unfit(said["unfit"])
    if "memory" in said:
        raise Unfit(f"{what} takes more than {MEMORY >> 20:,} MB of memory")
    return list(said["texts"])
