"""What a Hub Job does: it builds the cells of its task, and pushes each as soon as it is whole.

    python -m release.sweep.hub_worker

Its task is in the variable RELEASE_TASK. A cell that fails, or whose push is refused, stops no other; what the Job says
of each is a line of its log. It ends with exit code 1 where one failed.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from release.errors import ReleaseError
from release.progress import Console
from release.publishing.upload import Publisher, login_for, push_release, take_names, upload_of
from release.release_folder import ReleaseFolder
from release.schema.record import Record
from release.settings.publication import PublishOptions
from release.sources import hub
from release.sweep.grid import GridCell
from release.sweep.hub_task import OUT, PLACE, VARIABLE, CellEvent, JobTask
from release.sweep.job import WORK
from release.sweep.state import Board
from release.sweep.task import SweepTask
from release.sweep.worker import run


class PushingBoard(Board):
    """The states of a Job's cells; one is done when its repository holds it, and whoever reads the log hears of it."""

    def __init__(self, task: JobTask, out: Path, console: Console) -> None:
        super().__init__(out / WORK / "job", out)
        self.task = task
        self.console = console

    def begin(self, cell: GridCell, where: str | None = None) -> None:
        """See `Board.begin`."""
        super().begin(cell, where)
        _tell(CellEvent(cell=cell.key, status="begun"))

    def done(self, cell: GridCell, folder: Path) -> None:
        """Push a release; one that the Hub refuses has failed."""
        release = ReleaseFolder(folder)
        try:
            push_release(release, Record.read(release.model), self._publisher(cell), self.console)
        except ReleaseError as error:
            self.failed(cell, error.seen, error.remedy)
        else:
            super().done(cell, folder)
            _tell(CellEvent(cell=cell.key, status="done"))

    def failed(self, cell: GridCell, seen: str, remedy: str) -> None:
        """See `Board.failed`."""
        super().failed(cell, seen, remedy)
        _tell(CellEvent(cell=cell.key, status="failed", error=(seen, remedy)))

    def admitted(self, cells: Sequence[GridCell]) -> list[GridCell]:
        """Return the cells whose repositories the Hub lets be filled; all that it refuses is known before any work."""
        found = []
        for cell in cells:
            publisher, release = self._publisher(cell), ReleaseFolder(self.out / cell.key)
            try:
                take_names(upload_of(release, cell.key, publisher), publisher, self.console)
            except ReleaseError as error:
                self.failed(cell, error.seen, error.remedy)
            else:
                found.append(cell)
        return found

    def _publisher(self, cell: GridCell) -> Publisher:
        options = PublishOptions.of(
            private=True,
            repositories=(f"{self.task.owner}/{cell.key}",),
            resource_group=self.task.resource_group,
        )
        return login_for(None, options, space=False)


def _tell(event: CellEvent) -> None:
    sys.stdout.write(event.line() + "\n")
    sys.stdout.flush()


def main(packed: str, mount: str | None, console: Console) -> bool:
    """Build what a task says; tell whether nothing failed."""
    task, out = JobTask.unpacked(packed), OUT.absolute()
    if task.base and mount:
        hub.lay(Path(mount), task.base.id, task.base.revision, console)
    board = PushingBoard(task, out, console)
    cells = [cell.model_copy(update={"plan": cell.plan.model_copy(update={"out": out})}) for cell in task.cells]
    if admitted := board.admitted(cells):
        run(SweepTask(out=out, work=board.work, cells=tuple(admitted)), console, board)
    return all(board.state(cell).status == "done" for cell in cells)


if __name__ == "__main__":
    sys.exit(0 if main(os.environ[VARIABLE], os.environ.get(PLACE), Console()) else 1)
