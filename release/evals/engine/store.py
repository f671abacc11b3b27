"""Readings that were taken before, so that none is taken twice.

A reading is named by what it depends on and nothing else: the model's files, the arithmetic, and the very tokens. So
the dense model of a grid is read once for all its pruned copies, a larger sample reuses a smaller one, and an
interrupted run goes on where it stopped.
"""

import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from release import files
from release.checkpoint.folder import open_checkpoint
from release.digests import FileDigest, sha256_file
from release.errors import DiskFull, OutputConflict
from release.format import shown
from release.progress import Console
from release.sources.cache import cache_folder

VERSION = 1
"""Of the arithmetic: readings of another version are not used."""
EVERY = 5.0
"""Seconds of work that a kill may cost."""

PATIENCE = 60.0
"""Seconds to wait for another process that writes."""

SPOILT = (
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_CONSTRAINT,
)
"""What sqlite says of a file that holds no readings, or holds them no longer; all else is the disk or another run."""
ELSEWHERE = "Free some space on the disk of the cache folder, or name another folder in RELEASE_READINGS."
ASIDE = "spoilt"
"""Ending of a file that was set aside; an earlier one makes way."""

Key = bytes


def model_digest(folder: Path, weights: Sequence[FileDigest] | None = None) -> str:
    """Name a model by its configuration and its weight files.

    Args:
        folder: A checkpoint folder.
        weights: Its weight files, where their digests are known; otherwise they are read.
    """
    if weights is None:
        paths = [header.path for header in open_checkpoint(folder).headers]
        digests = sorted((path.name, sha256_file(path)) for path in paths)
    else:
        digests = sorted((file.name, file.sha256) for file in weights)
    return hashlib.sha256(json.dumps([sha256_file(folder / "config.json"), digests]).encode()).hexdigest()


def readings_file() -> Path:
    """Return where readings are kept: in the folder that RELEASE_READINGS names, or in the cache folder."""
    chosen = os.environ.get("RELEASE_READINGS")
    return (Path(chosen) if chosen else cache_folder()) / "readings.sqlite"


class ReadingStore:
    """Readings of one model under one arithmetic; leaving it as a context keeps what was put.

    A file that holds no readings, or holds them no longer, is set aside under another name and begun anew: what it held
    can be read again, so it stops nobody.

    Args:
        model: Digest of the model.
        arithmetic: What else a reading depends on: type and kind of device.
        console: Is told where readings could not be kept, and what was set aside.
        path: The file; by default `readings_file()`, for all models.

    Raises:
        DiskFull: Its disk has no room.
        OutputConflict: The file cannot be opened, or not written.
    """

    def __init__(self, model: str, arithmetic: str, console: Console, path: Path | None = None) -> None:
        self._console = console
        self._space = f"{VERSION} {model} {arithmetic} ".encode()
        self._path = path or readings_file()
        self._kept = time.monotonic()
        self._waiting: dict[Key, bytes] = {}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._path.is_dir():
                self._set_aside("it is a folder")
            self._file = self._opened()
        except (OSError, sqlite3.Error) as error:
            if _lacks_room(error):
                seen = f"There was no room left for {self._path.name}, where readings are kept."
                raise DiskFull(seen, ELSEWHERE) from None
            raise OutputConflict(
                f"The readings of earlier measurements cannot be used ({error}).",
                f"Remove {self._path}, or name another folder in RELEASE_READINGS.",
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        kept = self.keep()
        self._file.close()
        if not kept:
            self._console.say(f"Readings could not be kept in {self._path.name}; they will be taken again next time.")

    def key(self, question: str, *tokens: Sequence[int]) -> Key:
        """Name a reading: what was asked, and the token sequences it was asked of."""
        digest = hashlib.sha256(self._space + question.encode())
        for sequence in tokens:
            ids = np.asarray(sequence, dtype="<i4")
            digest.update(len(ids).to_bytes(8, "little") + ids.tobytes())
        return digest.digest()

    def recall(self, keys: Iterable[Key]) -> dict[Key, NDArray[np.float32]]:
        """Return what is known of these readings."""
        self.keep()
        found = {}
        try:
            for key in keys:
                row = self._file.execute("SELECT value FROM readings WHERE key = ?", (key,)).fetchone()
                if row is not None:
                    found[key] = np.frombuffer(row[0], dtype="<f4")
        except sqlite3.DatabaseError as error:
            self._begin_anew(error)
        return found

    def put(self, key: Key, values: NDArray[np.float32]) -> None:
        """Keep a reading; one that is not finite is not kept."""
        if np.isfinite(values).all():
            self._waiting[key] = values.astype("<f4").tobytes()
        if time.monotonic() - self._kept >= EVERY:
            self.keep()

    def keep(self) -> bool:
        """Write what was put, so that it outlasts a kill; tell whether that was possible.

        The file is locked for this moment alone: other processes write to it too. Where it cannot be written, what was
        put waits for the next time.
        """
        self._kept = time.monotonic()
        try:
            with self._file:
                self._file.executemany("INSERT OR REPLACE INTO readings VALUES (?, ?)", self._waiting.items())
        except sqlite3.DatabaseError as error:
            if not _is_spoilt(error):
                return False
            self._begin_anew(error)
            return self.keep()
        self._waiting.clear()
        return True

    def _opened(self) -> sqlite3.Connection:
        file = sqlite3.connect(self._path, timeout=PATIENCE)
        try:
            _prepare(file)
        except sqlite3.DatabaseError as error:
            file.close()
            if not _is_spoilt(error):
                raise
            self._set_aside(str(error))
            file = sqlite3.connect(self._path, timeout=PATIENCE)
            _prepare(file)
        return file

    def _begin_anew(self, error: sqlite3.DatabaseError) -> None:
        """Go on with an empty file where this one turned out to be spoilt.

        Raises:
            DatabaseError: It is not; something else is in the way.
        """
        if not _is_spoilt(error):
            raise error
        self._file.close()
        self._set_aside(str(error))
        self._file = self._opened()

    def _set_aside(self, why: str) -> None:
        """Rename the file, with what sqlite keeps beside it."""
        for part in ("", "-wal", "-shm"):
            path = self._path.with_name(f"{self._path.name}{part}")
            if path.exists():
                target = path.with_name(f"{path.name}.{ASIDE}")
                files.remove(target)
                path.replace(target)
        self._console.say(
            f"{self._path.name} holds no readings that can be used ({shown(why)}); it was set aside as "
            f"{self._path.name}.{ASIDE}, and what it held is read again."
        )


def _prepare(file: sqlite3.Connection) -> None:
    """Make the table, and try whether it is one that readings can be taken from."""
    file.execute("PRAGMA journal_mode = WAL")
    file.execute("CREATE TABLE IF NOT EXISTS readings (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID")
    file.execute("SELECT key, value FROM readings LIMIT 1").fetchone()


def _lacks_room(error: OSError | sqlite3.Error) -> bool:
    if isinstance(error, OSError):
        return error.errno in files.NO_ROOM
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL


def _is_spoilt(error: sqlite3.DatabaseError) -> bool:
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF in SPOILT
