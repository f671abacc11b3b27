"""A repository without weights made whole: base and recipe, or base and mask, give the files that its record names.

They are put beside the repository's other files in a folder of its own in the cache. The base is fetched at the commit
on record, and a file is kept only if it has the SHA-256 on record.
"""

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub import HfApi, constants, hf_hub_download, snapshot_download
from huggingface_hub.file_download import repo_folder_name
from rebuild import LOG, decided, prune, recorded, zeroed

RECORD, TABLE, MASK, INDEX = "release.json", "sparsity.csv", "mask/pruned.safetensors", "model.safetensors.index.json"
NOT_LOADED = ("*.safetensors", "*.index.json", "*.bin", "*.pt", "*.py", "*.md", "evaluation/*", "figures/*")
"""What of a repository is no part of the model, or must not be taken for its weights."""
NAME = re.compile(r"\w[\w.-]*\.safetensors", re.ASCII)


class Unmade(ValueError):
    """What came out is not what the record says."""


@dataclass(frozen=True)
class Lean:
    """A model whose weights are not stored.

    Attributes:
        commit: Of its repository.
        record: Its release.json.
    """

    model: str
    commit: str
    record: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        """Where it is put together."""
        cached = repo_folder_name(repo_id=self.model, repo_type="model")
        return Path(constants.HF_HUB_CACHE, cached, "made", self.commit)


def lean(model: str) -> Lean | None:
    """Read what a repository on the Hub says of itself; None for one that does not say that it holds no weights."""
    info = HfApi().model_info(model)
    if RECORD not in {file.rfilename for file in info.siblings or []}:
        return None
    text = Path(hf_hub_download(model, RECORD, revision=info.sha)).read_text(encoding="utf-8")
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):  # nothing that this tool wrote: what is stored is loaded, if anything is
        return None
    is_lean = isinstance(record, dict) and record.get("weights") == "none"
    return Lean(model, str(info.sha), record) if is_lean else None


def made_bytes(model: str) -> int:
    """Return the size of a model's weight files once they are made; 0 for one whose weights are stored, or unknown."""
    found = lean(model)
    return sum(int(file["bytes"]) for file in found.record["audit"]["files"]) if found else 0


def whole(found: Lean) -> Path:
    """Make a model whole, as far as it is not yet, and return its folder.

    Raises:
        Unmade: Its base gives other files than it was made of, or other ones than its record names.
    """
    snapshot = Path(snapshot_download(found.model, revision=found.commit, ignore_patterns=list(NOT_LOADED)))
    for path in (each for each in snapshot.rglob("*") if each.is_file() and not _is_left_out(each, snapshot)):
        target = found.folder / path.relative_to(snapshot)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    base, files = found.record["base"], found.record["audit"]["files"]
    if len(files) > 1:
        shutil.copyfile(hf_hub_download(base["id"], INDEX, revision=base["revision"]), found.folder / INDEX)
    for file in files:
        _make(found, file["name"], file["sha256"])
    return found.folder


def _is_left_out(path: Path, snapshot: Path) -> bool:
    """Whether another download into the same cache brought a file that is no part of the model."""
    relative = path.relative_to(snapshot)
    return any(relative.match(pattern) for pattern in NOT_LOADED)


def _make(found: Lean, name: str, digest: str) -> None:
    """Make one weight file, unless it is there already."""
    if not NAME.fullmatch(name):
        raise Unmade(f"its record names a weight file {name[:80]!r}")
    target, base = found.folder / name, found.record["base"]
    if target.exists():
        return
    source = Path(hf_hub_download(base["id"], name, revision=base["revision"]))
    partial = target.with_name(f".{name}.{os.getpid()}.made")
    try:
        if _pruned(found, source, partial) != digest:
            raise Unmade(f"{base['id']} does not give the {name} on record")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    LOG.info("%s: %s was made from %s; its SHA-256 is the one on record.", found.model, name, base["id"])


def _pruned(found: Lean, source: Path, target: Path) -> str:
    """Write a base's weight file with the zeros of the recipe, where it decides them, or else of the mask."""
    if decided(found.record):
        recipe = recorded(found.record, Path(hf_hub_download(found.model, TABLE, revision=found.commit)))
        return prune(source, target, recipe.budgets, lambda bits, name: zeroed(bits, name, recipe))
    marks = Marks(Path(hf_hub_download(found.model, MASK, revision=found.commit)))
    return prune(source, target, marks.places, marks.cleared)


class Marks:
    """A published mask: a bit for each weight of each tensor, the first weight's the highest of its byte.

    Attributes:
        places: Tensor → the first and the last offset of its bits in the file.
    """

    def __init__(self, path: Path) -> None:
        self._data = np.memmap(path, np.uint8, "r")
        start = 8 + int.from_bytes(self._data[:8].tobytes(), "little")
        header: dict[str, Any] = json.loads(self._data[8:start].tobytes())
        header.pop("__metadata__", None)
        offsets = {name: entry["data_offsets"] for name, entry in header.items()}
        self.places = {name: (start + first, start + last) for name, (first, last) in offsets.items()}

    def cleared(self, bits: np.ndarray, name: str) -> np.ndarray:
        """Return a tensor's words, (weights,), with the marked ones +0.0."""
        first, last = self.places[name]
        kept = np.unpackbits(self._data[first:last], count=bits.size) == 0
        cleared: np.ndarray = np.multiply(bits, kept, dtype=bits.dtype)
        return cleared
