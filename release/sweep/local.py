"""Runs the tasks of a sweep on this machine, each in a process of its own."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from release.machine import cores
from release.progress import Console
from release.sweep.engine import remaining
from release.sweep.grid import GridCell
from release.sweep.process import Workers
from release.sweep.state import Board
from release.sweep.task import SweepTask


class Local:
    """Runs tasks one after the other, or several at a time.

    Args:
        parallel: Processes at a time. Each computes with its part of the cores; latency is then measured on a busy
            machine, of which no verdict comes.
    """

    def __init__(self, parallel: int, console: Console) -> None:
        self.parallel = parallel
        self.console = console
        self._workers = Workers()
        self._stopped = False

    def run(self, board: Board, groups: Sequence[Sequence[GridCell]]) -> None:
        """Build groups of cells; see `SweepEngine`."""
        with ThreadPoolExecutor(self.parallel) as threads:
            settling = [threads.submit(self._settle, board, group) for group in groups]
            try:
                for each in settling:
                    each.result()
            except BaseException:  # Ctrl-C does not reach workers, whose groups are not the terminal's
                self._stopped = True
                self._workers.stop()
                threads.shutdown(wait=False, cancel_futures=True)
                raise

    def _settle(self, board: Board, cells: Sequence[GridCell]) -> None:
        """Start workers until every cell is done or has failed."""

        def tell(line: str) -> None:
            self.console.say(f"{left[0].key}: {line}")

        more = {} if self.parallel == 1 else {"OMP_NUM_THREADS": str(max(1, cores() // self.parallel))}
        left = list(cells)
        while left and not self._stopped:
            task = SweepTask(out=board.out, work=board.work, cells=tuple(left))
            ended = self._workers.work(task, more, tell, Path.cwd())
            if not self._stopped:
                left = remaining(board, left, ended)
