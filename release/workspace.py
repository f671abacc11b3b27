"""The folder a release is built in: whose it is, and what may be continued there."""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from release.checkpoint.files import Folder
from release.checkpoint.folder import Checkpoint
from release.contents import carried
from release.errors import InputError, OutputConflict
from release.pruning.recipe import Recipe
from release.record import Pruning, Record

MARKER = "recipe.txt"
PRUNED = "pruning.json"


@dataclass(frozen=True)
class Workspace:
    """Where one release is built.

    Attributes:
        model: What is uploaded as the model repository.
        work: Markers and caches; never uploaded.
    """

    model: Path
    work: Path

    @contextmanager
    def claimed(self, base: Checkpoint, recipe: Recipe) -> Iterator[None]:
        """Take the folder for one recipe, or go on where an earlier run of it stopped.

        What bad input leaves behind before the first weight file is whole is removed again.

        Raises:
            OutputConflict: It holds something else.
        """
        tag = recipe.tag(base)
        if not self._is_ours(base, recipe, tag):
            raise OutputConflict(
                f"{self.model} holds something else.", "Give another --out, or remove that folder first."
            )
        fresh = [folder for folder in (self.work, self.model, *self.model.parents) if not folder.exists()]
        for folder in (self.model, self.work):
            folder.mkdir(parents=True, exist_ok=True)
        (self.work / MARKER).write_text(tag, encoding="utf-8")
        try:
            yield
        except InputError:
            self._forget(fresh)
            raise

    def pruned(self) -> Pruning | None:
        """How the weight files here were made, where a run before this one saw it from beginning to end."""
        if (self.work / PRUNED).is_file():
            return Pruning.model_validate_json((self.work / PRUNED).read_bytes())
        record = self.record()
        return record.pruning if record else None

    def record(self) -> Record | None:
        """The record of an earlier run; None where there is none, or it cannot be read: it will be written anew."""
        try:
            return Record.read(self.model)
        except (FileNotFoundError, ValidationError):
            return None

    def remember(self, pruning: Pruning) -> Pruning:
        """Keep how the weight files here were made; a run that only continued one takes over what that one kept."""
        if pruning.seconds is None:
            return self.pruned() or pruning
        (self.work / PRUNED).write_text(pruning.model_dump_json(), encoding="utf-8")
        return pruning

    def close(self) -> None:
        """Remove the work folder of a finished release; its record tells from now on what the folder holds."""
        shutil.rmtree(self.work)

    def _is_ours(self, base: Checkpoint, recipe: Recipe, tag: str) -> bool:
        if (self.work / MARKER).is_file():
            return (self.work / MARKER).read_text(encoding="utf-8") == tag
        if record := self.record():
            return _same(record, base, recipe)
        return not self.model.exists() or not any(self.model.iterdir())

    def _forget(self, fresh: list[Path]) -> None:
        """Remove the folders that were made for this run, innermost first, unless a weight file is whole."""
        if self.model not in fresh or any(self.model.glob("*.safetensors")):
            return
        for folder in fresh:
            if folder in (self.work, self.model) or not any(folder.iterdir()):
                shutil.rmtree(folder, ignore_errors=True)


def _same(record: Record, base: Checkpoint, recipe: Recipe) -> bool:
    sizes = [(h.path.name, h.size) for h in base.headers]
    return Recipe.recorded(record.pruning) == recipe and sizes == [(f.name, f.bytes) for f in record.base.files]


def carry_side_files(base: Path, model: Path) -> None:
    """Write what pruning takes over from a base beside its weights; see `contents.carried`."""
    for name, data in carried(Folder(base)):
        (model / name).parent.mkdir(parents=True, exist_ok=True)
        (model / name).write_bytes(data)


def carry_files(source: Path, target: Path, names: Iterable[str]) -> None:
    """Copy the named files from one folder to another, folders inside included."""
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)
