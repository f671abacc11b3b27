"""What was measured before on the very same files, so that a rerun does not measure again."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from release import __version__
from release.digests import digest_of
from release.frozen import Frozen
from release.measurements import Measurements
from release.plan import Measuring
from release.record import FileDigest
from release.workspace import Workspace

FILE_NAME = "measurements.json"
EVALUATION = "evaluation"
FOLDERS = (EVALUATION, "figures")
"""What measuring writes into a model folder."""


class Memory(Frozen):
    """Measurements, what they rest on, and the files they came with.

    Attributes:
        key: Digest of version, weights and options.
        files: In `FOLDERS`.
    """

    key: str
    measurements: Measurements
    files: tuple[FileDigest, ...]


def key_of(dense: Sequence[FileDigest], pruned: Sequence[FileDigest], plan: Measuring) -> str:
    """Name what measurements depend on: this version, both models' weights, and what was asked."""
    weights = [[file.sha256 for file in files] for files in (dense, pruned)]
    return hashlib.sha256(json.dumps([__version__, weights, plan.model_dump_json()]).encode()).hexdigest()


def recall(workspace: Workspace, key: str) -> Measurements | None:
    """Return what was measured under `key`, if its files are still as they were."""
    try:
        memory = Memory.model_validate_json((workspace.work / FILE_NAME).read_bytes())
    except (OSError, ValidationError):
        return None
    unchanged = memory.files == _written(workspace.model)
    return memory.measurements if memory.key == key and unchanged else None


def remember(workspace: Workspace, key: str, measurements: Measurements) -> None:
    """Keep what was measured under `key`."""
    memory = Memory(key=key, measurements=measurements, files=_written(workspace.model))
    (workspace.work / FILE_NAME).write_text(memory.model_dump_json(indent=1), encoding="utf-8")


def _written(model: Path) -> tuple[FileDigest, ...]:
    paths = sorted(path for folder in FOLDERS for path in (model / folder).glob("*") if path.is_file())
    return tuple(digest_of(path, path.relative_to(model).as_posix()) for path in paths)
