"""Readings of a sweep on shared storage: a store a task on its machine's own disk, of which it lays down whole copies.

SQLite's write-ahead log is shared memory, which no network file system has: https://www.sqlite.org/wal.html. So no
store is ever open on shared storage for writing. A copy is not changed there, but replaced by its own task; other
tasks take it over.
"""

import hashlib
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from release import files
from release.errors import DiskFull
from release.sweep.task import SweepTask

READINGS = "readings"
FILE = "readings.sqlite"


class Exchange:
    """What a task whose store is its own takes from other tasks' stores, and lays down for them.

    Args:
        work: The sweep's own folder.
        own: Folder of the task's own store.
    """

    def __init__(self, work: Path, own: Path) -> None:
        self._shared = work / READINGS
        self._own = own / FILE
        self._target = self._shared / f"{own.name}.sqlite"
        self._seen = set[tuple[str, int]]()
        self._laid = 0

    def take_over(self) -> None:
        """Add what was laid down since it was last looked for."""
        for found in sorted(self._shared.glob("*.sqlite")):
            with suppress(OSError, sqlite3.DatabaseError, DiskFull):  # what is left out can be read again
                if (version := _version(found)) not in self._seen:
                    _take_over(found, self._own)
                    self._seen.add(version)

    def lay_down(self) -> None:
        """Give others what is known here, unless they have it."""
        if (count := _count(self._own)) > self._laid:
            _lay_down(self._own, self._target)
            self._laid = count
            with suppress(OSError):
                self._seen.add(_version(self._target))


@contextmanager
def of_task(task: SweepTask) -> Iterator[Path]:
    """Give the folder of a task's store, and lay down at the end what it holds, however its process ended.

    After a kill it is still there: the next try on the same machine goes on with it.
    """
    name = hashlib.sha256(f"{task.work}\n{task.cells[0].task}".encode()).hexdigest()[:16]
    own = Path(tempfile.gettempdir()) / f"release-readings-{name}"
    own.mkdir(mode=0o700, exist_ok=True)
    yield own
    Exchange(task.work, own).lay_down()
    files.remove(own)


def _take_over(found: Path, own: Path) -> None:
    """Add what another task read.

    Raises:
        DatabaseError: It is not yet seen whole.
        DiskFull: It finds no room.
    """
    if not own.exists():
        files.copy(found, own)
        return
    with closing(sqlite3.connect(f"file:{quote(str(own))}", uri=True)) as store, store:
        store.execute("ATTACH ? AS other", (f"file:{quote(str(found))}?immutable=1",))
        store.execute("INSERT OR IGNORE INTO readings SELECT key, value FROM other.readings")


def _lay_down(own: Path, target: Path) -> None:
    """Copy a store, with what its log still holds, in one file."""
    whole = own.with_name("whole.sqlite")
    files.remove(whole)
    with suppress(sqlite3.DatabaseError, DiskFull):  # without it later tasks measure again
        with closing(sqlite3.connect(own)) as store:
            store.execute("VACUUM INTO ?", (str(whole),))
        files.copy(whole, target)


def _count(own: Path) -> int:
    """Readings in a store; 0 where there is none."""
    if own.exists():
        with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(own)) as store:
            return int(store.execute("SELECT count(*) FROM readings").fetchone()[0])
    return 0


def _version(path: Path) -> tuple[str, int]:
    return path.name, path.stat().st_mtime_ns
