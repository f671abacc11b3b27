"""What travels to a Hub Job, and what the Job says of its cells; read in the Job and beside it, so it is light."""

import base64
import binascii
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, Self

from pydantic import ValidationError

from release.frozen import Frozen
from release.settings.words import nameless
from release.sweep.grid import GridCell

VARIABLE = "RELEASE_TASK"
"""The variable of a Job that holds its task."""
PLACE = "RELEASE_BASE"
"""The variable that says where the base is mounted."""
MOUNT = "/base"
MARK = "release-cell "
"""What a line begins with that tells of a cell."""
LARGEST = 4 << 20
"""Bytes of a task, unpacked."""
OUT = Path("releases")


class MountedBase(Frozen):
    """A model of the Hub that lies in a folder of the Job.

    Attributes:
        id: `org/name`.
        revision: The commit's SHA-1.
    """

    id: str
    revision: str


class JobTask(Frozen):
    """What a Job builds. A Job can be looked at by all of a namespace, so it holds no path of this machine.

    Attributes:
        owner: The namespace that it pushes to.
        cells: As `travelling` makes them.
        base: What is mounted; None where the Job fetches its base.
        resource_group: Where new repositories are made, within an organization.
    """

    owner: str
    cells: tuple[GridCell, ...]
    base: MountedBase | None = None
    resource_group: str | None = None

    def packed(self) -> str:
        """Write it as the value of a variable."""
        return base64.b64encode(zlib.compress(self.model_dump_json().encode())).decode()

    @classmethod
    def unpacked(cls, text: str) -> Self:
        """Read it again.

        Raises:
            ValueError: It is none, or too large.
        """
        try:
            unpacking = zlib.decompressobj()
            content = unpacking.decompress(base64.b64decode(text, validate=True), LARGEST)
        except (binascii.Error, zlib.error) as error:
            raise ValueError("no task") from error
        if unpacking.unconsumed_tail:
            raise ValueError("a task that is too large")
        return cls.model_validate_json(content)


def travelling(cell: GridCell) -> GridCell:
    """Leave out of a cell where it is built here; what is asked for stays."""
    plan = cell.plan.model_copy(update={"out": OUT, "building": nameless(cell.plan.building)})
    return cell.model_copy(update={"plan": plan})


class CellEvent(Frozen):
    """What a Job says of one of its cells.

    Attributes:
        error: What was seen, and what to do.
    """

    cell: str
    status: Literal["begun", "done", "failed"]
    error: tuple[str, str] | None = None

    def line(self) -> str:
        """Write it as a line of a log."""
        return MARK + self.model_dump_json()


def events_of(lines: Iterable[str]) -> Iterator[CellEvent]:
    """Find in a log what a Job said of its cells; a line that cannot be read says nothing."""
    for line in lines:
        _, found, told = line.partition(MARK)
        if not found:
            continue
        try:
            yield CellEvent.model_validate_json(told)
        except ValidationError:
            continue
