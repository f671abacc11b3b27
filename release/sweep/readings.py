"""Readings of a sweep on shared storage: a store a task on its machine's own disk, laid down whole when the task ends.

SQLite's write-ahead log is shared memory, which no network file system has: https://www.sqlite.org/wal.html. So no
store is ever open on shared storage for writing. What a task laid down is not changed there; later tasks take it over.
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


@contextmanager
def of_task(task: SweepTask) -> Iterator[Path]:
    """Give the folder of a task's store, which knows what other tasks laid down before.

    After a kill it is still there: the next try on the same machine goes on with it.
    """
    shared = task.work / READINGS
    name = hashlib.sha256(f"{task.work}\n{task.cells[0].task}".encode()).hexdigest()[:16]
    own = Path(tempfile.gettempdir()) / f"release-readings-{name}"
    own.mkdir(mode=0o700, exist_ok=True)
    for found in sorted(shared.glob("*.sqlite")):
        _take_over(found, own / FILE)
    yield own
    _lay_down(own / FILE, shared / f"{name}.sqlite")
    files.remove(own)


def _take_over(found: Path, own: Path) -> None:
    """Add what another task read; what is not yet seen whole or finds no room is left out, and can be read again."""
    if not own.exists():
        with suppress(DiskFull):
            files.copy(found, own)
        return
    with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(f"file:{quote(str(own))}", uri=True)) as store, store:
        store.execute("ATTACH ? AS other", (f"file:{quote(str(found))}?immutable=1",))
        store.execute("INSERT OR IGNORE INTO readings SELECT key, value FROM other.readings")


def _lay_down(own: Path, target: Path) -> None:
    """Copy a store, with what its log still holds, in one file."""
    if not own.exists():
        return
    whole = own.with_name("whole.sqlite")
    files.remove(whole)
    with suppress(sqlite3.DatabaseError, DiskFull):  # without it later tasks measure again
        with closing(sqlite3.connect(own)) as store:
            store.execute("VACUUM INTO ?", (str(whole),))
        files.copy(whole, target)
