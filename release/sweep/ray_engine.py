"""Runs the tasks of a sweep on a Ray cluster, each in a process of its own on whatever machine has room.

Only paths and small dictionaries travel: every machine sees the folder of releases, and has this version of `release`.
Core tasks alone are used. https://docs.ray.io/en/latest/ray-core/tasks.html
"""

import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import ray
from ray.exceptions import RayError

from release import files
from release.errors import ReleaseError
from release.format import shown
from release.machine import MOST_MEMORY
from release.progress import Console
from release.sweep import cluster
from release.sweep.demands import Resources, demands, unmet, variables
from release.sweep.engine import WorkerEnd, remaining
from release.sweep.estimates import outline
from release.sweep.grid import GridCell
from release.sweep.remote import RETRIES, RemoteTask, build_there
from release.sweep.state import GRID, Board
from release.sweep.task import SweepTask

LOOK_EVERY = 5.0
"""Seconds that a wait lasts at most, so that Ctrl-C is noticed."""
TRIES = "tries"
TOO_LARGE = "Ask for less (threads, device, --max-memory), or add a machine that has as much."


class RayTask(NamedTuple):
    """Cells that one worker builds, and what it reserves."""

    cells: Sequence[GridCell]
    needed: Resources


class RayEngine:
    """Runs tasks on a cluster.

    Args:
        address: Of the cluster's head, or `HERE` for the one on this machine, which is started if need be.
    """

    def __init__(self, address: str, console: Console) -> None:
        self.address = address
        self.console = console

    def run(self, board: Board, groups: Sequence[Sequence[GridCell]]) -> None:
        """Build groups of cells; see `SweepEngine`.

        Raises:
            UnusableCluster: The cluster cannot be joined, or one of its machines cannot build releases.
        """
        if not groups:
            return
        with cluster.joined(self.address) as nodes:
            processors = sum(node.resources.get("CPU", 0) for node in nodes)
            self.console.say(f"Ray: {len(nodes)} nodes with {processors:g} processors.")
            cluster.require_alike(nodes, board.work / GRID)
            self._follow(board, self._tasks(board, groups, [node.resources for node in nodes]))
        files.remove(board.work / TRIES)

    def _tasks(self, board: Board, groups: Sequence[Sequence[GridCell]], nodes: Sequence[Resources]) -> list[RayTask]:
        """Lay out what can be; cells that fit no machine have failed."""
        allowed, found = os.environ.get(MOST_MEMORY), []
        sizes = {model: _size(cell) for model, cell in {cells[0].plan.model: cells[0] for cells in groups}.items()}
        for cells in groups:
            needed = demands(cells, nodes, sizes[cells[0].plan.model], int(allowed) if allowed else None)
            if (why := unmet(needed, nodes)) is None:
                found.append(RayTask(cells, needed))
                continue
            for cell in cells:
                board.failed(cell, f"No machine of the cluster can build it. {why}", TOO_LARGE)
        return found

    def _follow(self, board: Board, tasks: Sequence[RayTask]) -> None:
        """Start tasks until every cell is done or has failed."""
        waiting = {_started(board, task): task for task in tasks}
        while waiting:
            ended, _ = ray.wait(list(waiting), num_returns=1, timeout=LOOK_EVERY)
            for each in ended:
                cells, needed = waiting.pop(each)
                left = remaining(board, cells, _end_of(each))
                self.console.say(f"{cells[0].key}: {len(cells) - len(left)} of {len(cells)} cells are settled.")
                if left:
                    again = RayTask(left, needed)
                    waiting[_started(board, again)] = again


def _started(board: Board, task: RayTask) -> Any:
    handed = RemoteTask(
        task=SweepTask(out=board.out, work=board.work, cells=tuple(task.cells)),
        tries=board.work / TRIES / uuid.uuid4().hex,
        folder=Path.cwd(),
        variables=variables(task.needed, os.environ),
    )
    more = {name: amount for name, amount in task.needed.items() if name not in ("CPU", "GPU", "memory")}
    remote = ray.remote(
        num_cpus=task.needed["CPU"],
        num_gpus=task.needed.get("GPU", 0.0),
        memory=task.needed.get("memory", 0.0),
        resources=more,
        max_retries=RETRIES,
        max_calls=1,
        scheduling_strategy="SPREAD",
    )(build_there)
    return remote.remote(handed.model_dump_json())


def _end_of(task: Any) -> WorkerEnd:
    try:
        found: WorkerEnd = ray.get(task)
    except RayError as error:
        return WorkerEnd(1, f"{type(error).__name__}: {shown(str(error))[:500]}")
    return found


def _size(cell: GridCell) -> int | None:
    """Bytes of the base's weights; None where nobody says."""
    try:
        return outline(cell.plan.model, cell.plan.identity).size
    except ReleaseError:
        return None
