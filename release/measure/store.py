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

from release.checkpoint.folder import open_checkpoint
from release.digests import sha256_file
from release.errors import OutputConflict
from release.progress import Console
from release.record import FileDigest
from release.sources.cache import cache_folder

VERSION = 1
"""Of the arithmetic: readings of another version are not used."""
EVERY = 5.0
"""Seconds of work that a kill may cost."""

PATIENCE = 60.0
"""Seconds to wait for another process that writes."""

Key = bytes

Tokens = Sequence[int]


def model_digest(folder: Path, files: Sequence[FileDigest] | None = None) -> str:
    """Name a model by its configuration and its weight files.

    Args:
        folder: A checkpoint folder.
        files: Its weight files, where their digests are known; otherwise they are read.
    """
    if files is None:
        paths = [header.path for header in open_checkpoint(folder).headers]
        digests = sorted((path.name, sha256_file(path)) for path in paths)
    else:
        digests = sorted((file.name, file.sha256) for file in files)
    return hashlib.sha256(json.dumps([sha256_file(folder / "config.json"), digests]).encode()).hexdigest()


def readings_file() -> Path:
    """Return where readings are kept: in the folder that RELEASE_READINGS names, or in the cache folder."""
    chosen = os.environ.get("RELEASE_READINGS")
    return (Path(chosen) if chosen else cache_folder()) / "readings.sqlite"


class Store:
    """Readings of one model under one arithmetic; leaving it as a context keeps what was put.

    Args:
        model: Digest of the model.
        arithmetic: What else a reading depends on: type and kind of device.
        console: Is told where readings could not be kept.
        path: The file; by default `readings_file()`, for all models.

    Raises:
        OutputConflict: The file is no store, or cannot be written.
    """

    def __init__(self, model: str, arithmetic: str, console: Console, path: Path | None = None) -> None:
        self._console = console
        self._space = f"{VERSION} {model} {arithmetic} ".encode()
        self._path = path or readings_file()
        self._kept = time.monotonic()
        self._waiting: dict[Key, bytes] = {}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(self._path, timeout=PATIENCE)
            self._file.execute("PRAGMA journal_mode = WAL")
            self._file.execute("CREATE TABLE IF NOT EXISTS readings (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID")
        except (OSError, sqlite3.Error) as error:
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

    def key(self, question: str, *tokens: Tokens) -> Key:
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
        for key in keys:
            row = self._file.execute("SELECT value FROM readings WHERE key = ?", (key,)).fetchone()
            if row is not None:
                found[key] = np.frombuffer(row[0], dtype="<f4")
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
        except sqlite3.OperationalError:
            return False
        self._waiting.clear()
        return True
