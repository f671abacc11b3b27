"""The process that builds the cells of one task: how it is started, listened to and ended, on any machine."""

import os
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from release import files
from release.sweep.engine import WorkerEnd
from release.sweep.task import SETTLED, SweepTask

LOGS = "logs"
LAST_LINES = 5
"""Of what a worker said before it broke off."""
LONGEST_SAID = 1000


class Workers:
    """Processes that build tasks; all of them end with this one, however this one ends."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[str]] = set()

    def work(self, task: SweepTask, more: Mapping[str, str], tell: Callable[[str], None], folder: Path) -> WorkerEnd:
        """Let a process build a task, and return how it ended.

        Args:
            more: Environment variables beside this process's.
            tell: Is given each line that it writes.
            folder: It works in; relative paths of a grid begin there.
        """
        log = task.work / LOGS / f"{task.cells[0].key}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        last: deque[str] = deque(maxlen=LAST_LINES)
        with (
            tempfile.TemporaryDirectory() as handed,
            log.open("w", encoding="utf-8", newline="\n") as kept,
            self._started(_handed(task, Path(handed)), more, folder) as worker,
        ):
            for line in worker.stderr or ():
                with suppress(OSError):  # a log that finds no room stops no cell
                    kept.write(line)
                    kept.flush()
                last.append(line.strip())
                tell(line.rstrip())
            code = worker.wait()
            settled = files.recall(Path(handed) / SETTLED, lambda content: tuple(content.decode().split("\n")))
            return WorkerEnd(code, " ".join(last)[-LONGEST_SAID:], settled or ())

    def stop(self) -> None:
        """End all of them."""
        for worker in tuple(self._running):
            _end(worker)

    @contextmanager
    def _started(self, task: Path, more: Mapping[str, str], folder: Path) -> "Iterator[subprocess.Popen[str]]":
        """A process in a group of its own."""
        worker = subprocess.Popen(
            [sys.executable, "-P", "-m", "release.sweep.worker", str(task)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=os.environ | dict(more),
            cwd=folder,
            start_new_session=True,
        )
        self._running.add(worker)
        try:
            yield worker
        finally:
            self._running.discard(worker)
            if worker.poll() is None:
                _end(worker)


def _end(worker: "subprocess.Popen[str]") -> None:
    """End a worker with all that it started; Windows, which has no groups of processes to end, ends it alone."""
    with suppress(ProcessLookupError):
        if hasattr(os, "killpg"):
            os.killpg(worker.pid, signal.SIGTERM)
        else:
            worker.terminate()
    worker.wait()


def _handed(task: SweepTask, folder: Path) -> Path:
    """Write down what a worker is given."""
    path = folder / "task.json"
    files.write(path, task.model_dump_json())
    return path
