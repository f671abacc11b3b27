"""What the class of a checkpoint says of it, asked once: a later run takes the answer over.

Asking takes torch and transformers, which take seconds to load. The answer depends on config.json, on the names, types
and shapes of the tensors, on the versions of these libraries, and on the code that asks; its key is a digest of all of
these. Only that a checkpoint is fit is kept: what is refused is looked at again each time.
"""

import hashlib
import json
from functools import cache
from importlib.metadata import version
from pathlib import Path

from release import __version__, files
from release.checkpoint.folder import CONFIG, Checkpoint
from release.frozen import Frozen
from release.models import classes
from release.schema.record import Loader
from release.sources.cache import checks_folder, keep

LIBRARIES = ("torch", "transformers")
CODE = ("checkpoint", "models")
"""Folders of this package whose code asks."""


class ClassAnswer(Frozen):
    """What the class of a checkpoint says of one that is fit to be pruned.

    Attributes:
        loader: The class of transformers whose from_pretrained loads it.
    """

    loader: Loader


def class_answer(base: Checkpoint) -> ClassAnswer:
    """Hold a checkpoint against its class, or recall that this was done before on the very same.

    Raises:
        UnusableBase: See `require_fit` and `require_prunable`.
    """
    path = _place(base)
    known = files.recall(path, ClassAnswer.model_validate_json)
    if known is None:
        known = _asked(base)
        keep(path, known.model_dump_json())
    return known


def _asked(base: Checkpoint) -> ClassAnswer:
    from release.models.fitness import require_fit  # torch and transformers

    model = require_fit(base.folder, base.shapes)
    classes.require_prunable(model, base.config, {t.name: (t.dtype, t.shape) for t in base.tensors()})
    return ClassAnswer(loader=classes.loader_of(base.folder))


def _place(base: Checkpoint) -> Path:
    return checks_folder() / "classes" / f"{_key(base)}.json"


def _key(base: Checkpoint) -> str:
    config = hashlib.sha256((base.folder / CONFIG).read_bytes()).hexdigest()
    tensors = sorted((t.name, t.dtype, t.shape) for t in base.tensors())
    parts = [__version__, *map(version, LIBRARIES), _code(), config, tensors]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@cache
def _code() -> str:
    """A digest of the code that asks: while it is worked on, its version stays the same."""
    package = Path(__file__).parent.parent
    sha = hashlib.sha256()
    for path in sorted(path for folder in CODE for path in (package / folder).glob("*.py")):
        sha.update(path.read_bytes())
    return sha.hexdigest()
