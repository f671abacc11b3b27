"""Runs the tasks of a sweep on this machine, each in a process of its own."""

import os
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from release import files
from release.progress import Console
from release.sweep.grid import GridCell
from release.sweep.state import Board
from release.sweep.worker import SweepTask

LOGS = "logs"
LAST_LINES = 5
"""Of what a worker said before it broke off."""
CRASHED = "Look at its log, then run the same command with --retry-failed."


class Local:
    """Runs tasks one after the other, or several at a time.

    Args:
        parallel: Processes at a time. Each computes with its part of the cores; latency is then measured on a busy
            machine, of which no verdict comes.
    """

    def __init__(self, parallel: int, console: Console) -> None:
        self.parallel = parallel
        self.console = console
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped = False

    def run(self, board: Board, groups: Sequence[Sequence[GridCell]]) -> None:
        """Build groups of cells; returns when each of them is settled.

        Args:
            groups: Cells that one worker builds.
        """
        with ThreadPoolExecutor(self.parallel) as threads:
            settling = [threads.submit(self._settle, board, group) for group in groups]
            try:
                for each in settling:
                    each.result()
            except BaseException:  # Ctrl-C does not reach workers, whose groups are not the terminal's
                self._stop()
                threads.shutdown(wait=False, cancel_futures=True)
                raise

    def _stop(self) -> None:
        self._stopped = True
        for worker in tuple(self._running):
            _end(worker)

    def _settle(self, board: Board, cells: Sequence[GridCell]) -> None:
        """Start workers until every cell is done or has failed; a worker that breaks off has failed in one."""
        left = list(cells)
        while left and not self._stopped:
            code, said = self._work(board, left)
            left = [cell for cell in left if board.state(cell).status not in ("done", "failed")]
            if left and not self._stopped:
                broken = next((cell for cell in left if board.state(cell).status == "interrupted"), left[0])
                board.failed(broken, f"Its process broke off with exit code {code}: {said}", CRASHED)
                left.remove(broken)

    def _work(self, board: Board, cells: Sequence[GridCell]) -> tuple[int, str]:
        """Let a worker build cells; return its exit code and what it said last."""
        name = cells[0].key
        log = board.work / LOGS / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        last: deque[str] = deque(maxlen=LAST_LINES)
        task = SweepTask(out=board.out, work=board.work, cells=tuple(cells))
        with _handed(task) as path, log.open("w", encoding="utf-8", newline="\n") as kept, self._worker(path) as worker:
            for line in worker.stderr or ():
                kept.write(line)
                kept.flush()
                last.append(line.strip())
                self.console.say(f"{name}: {line.rstrip()}")
            return worker.wait(), " ".join(last)[-1000:]

    @contextmanager
    def _worker(self, path: Path) -> "Iterator[subprocess.Popen[str]]":
        """A process in a group of its own, which ends with this one, however this one ends."""
        cores = max(1, (os.cpu_count() or 1) // self.parallel)
        threads = {} if self.parallel == 1 else {"OMP_NUM_THREADS": str(cores)}
        command = [sys.executable, "-P", "-m", "release.sweep.worker", str(path)]
        worker = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=os.environ | threads,
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


@contextmanager
def _handed(task: SweepTask) -> Iterator[Path]:
    """Write what a worker is given into a file that is removed at the end."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "task.json"
        files.write(path, task.model_dump_json())
        yield path
