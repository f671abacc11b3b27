"""What was measured before on the very same files, so that a rerun does not measure again."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from release import __version__, files
from release.digests import FileDigest, digest_of
from release.frozen import Frozen
from release.schema.measurements import Measurements
from release.settings.measuring import Measuring
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
    """Name what measurements depend on: this version, both models' weights, what was asked, and imported logs."""
    weights = [[file.sha256 for file in files] for files in (dense, pruned)]
    logs = [digest_of(path).sha256 for path in plan.import_lm_eval or () if path.is_file()]
    return hashlib.sha256(json.dumps([__version__, weights, plan.model_dump_json(), *logs]).encode()).hexdigest()


def recall(workspace: Workspace, key: str) -> Measurements | None:
    """Return what was measured under `key`, if its files are still as they were."""
    memory = files.recall(workspace.work / FILE_NAME, Memory.model_validate_json)
    known = memory is not None and memory.key == key and memory.files == _written(workspace.model)
    return memory.measurements if memory is not None and known else None


def remember(workspace: Workspace, key: str, measurements: Measurements) -> None:
    """Keep what was measured under `key`."""
    memory = Memory(key=key, measurements=measurements, files=_written(workspace.model))
    files.write(workspace.work / FILE_NAME, memory.model_dump_json(indent=1))


def _written(model: Path) -> tuple[FileDigest, ...]:
    """Digest what measuring wrote; what is derived from the record lies there, too, and is made anew with it."""
    paths = sorted(path for folder in FOLDERS for path in (model / folder).glob("*") if path.is_file())
    paths = [path for path in paths if path.suffix != ".json"]
    return tuple(digest_of(path, path.relative_to(model).as_posix()) for path in paths)
