"""What a machine of a cluster does for a task; read by each process there, so it is light."""

import os
import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path

from release.foreseen import foreseen
from release.frozen import Frozen
from release.sweep import readings
from release.sweep.engine import WorkerEnd
from release.sweep.process import Workers
from release.sweep.state import Board
from release.sweep.task import SweepTask

RETRIES = 2
"""How often a task begins anew whose machine or process was lost."""
THERE = "Put that right on that machine, then run the same command with --retry-failed."


class RemoteTask(Frozen):
    """What travels to a machine.

    Attributes:
        tries: A file that grows by a byte at each beginning. Ray begins anew without end where memory runs out.
        folder: That relative paths of the grid begin in.
        variables: Of the environment.
    """

    task: SweepTask
    tries: Path
    folder: Path
    variables: Mapping[str, str]


def build_there(handed: str) -> WorkerEnd:
    """Build the cells of a task that an earlier try, on whatever machine, left.

    Args:
        handed: A `RemoteTask`, as JSON.
    """
    asked = RemoteTask.model_validate_json(handed)
    task, begun = asked.task, _begun(asked.tries)
    if begun > 1:
        settled = [cell.key for cell in task.cells if not Board(task.work, task.out).missing([cell])]
        left = tuple(cell for cell in task.cells if cell.key not in settled)
        if not left:
            return WorkerEnd(0, "", tuple(settled))
        task = task.model_copy(update={"cells": left})
    if begun > RETRIES + 1:
        return WorkerEnd(1, f"It was lost {RETRIES + 1} times; its machine may lack memory.")
    try:
        return _built(asked, task)
    except Exception as error:  # a disk of this machine is full, or a folder cannot be written
        if (told := foreseen(error)) is None:
            raise
        return WorkerEnd(1, "", error=(f"{socket.gethostname()}: {told.seen}", THERE))


def _built(asked: RemoteTask, task: SweepTask) -> WorkerEnd:
    with readings.of_task(task) as store:
        variables = {**asked.variables, "RELEASE_READINGS": str(store)}
        folder = asked.folder if asked.folder.is_dir() else Path(tempfile.gettempdir())
        return Workers().work(task.model_copy(update={"readings": store}), variables, lambda _: None, folder)


def _begun(tries: Path) -> int:
    tries.parent.mkdir(parents=True, exist_ok=True)
    with tries.open("ab") as file:
        file.write(b".")
        file.flush()
        return os.fstat(file.fileno()).st_size
