"""The folder a release is built in: whose it is, and what may be continued there."""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from release import files
from release.checkpoint.files import Folder
from release.checkpoint.folder import Checkpoint
from release.contents import carried, carried_names
from release.errors import GateError, InputError, OutputConflict, UnusableBase
from release.names import alike, is_litter, understood
from release.pruning.recipe import Recipe
from release.release_folder import ReleaseFolder
from release.schema.record import FILE_NAME, Pruning, Record

MARKER = "recipe.txt"
RECIPE = "recipe.json"
"""What the marker stands for, in words that a refusal can name."""
PRUNED = "pruning.json"
FURTHER = "further"
"""Folder of a model that is measured and not published."""
TAG = re.compile(r"[0-9a-f]{16}")
"""What a marker holds; see `Recipe.tag`."""


@dataclass(frozen=True)
class Workspace:
    """Where one release is built."""

    folder: ReleaseFolder

    @property
    def model(self) -> Path:
        """What is uploaded as the model repository."""
        return self.folder.model

    @property
    def work(self) -> Path:
        """Markers and caches; never uploaded."""
        return self.folder.work

    @contextmanager
    def claimed(self, base: Checkpoint, recipe: Recipe) -> Iterator[None]:
        """Take the folder for one recipe, or go on where an earlier run of it stopped.

        What bad input, or a gate that refuses, leaves behind before the first weight file is whole is removed again.

        Raises:
            OutputConflict: It holds something else, or another run is at work there.
            UnusableBase: The model folder is a link that leads out of the release.
        """
        if not self.folder.alone:
            files.require_inside(self.folder.root, self.model.name)
        tag, fresh = recipe.tag(base), not self.model.exists()
        with files.locked(self.work):
            if not self._is_ours(base, recipe, tag):
                raise OutputConflict(
                    f"{self.model} holds something else.", "Give another --out, or remove that folder first."
                )
            files.sweep(self.folder.root)
            files.remove(self.work / FURTHER)
            files.write(self.work / RECIPE, recipe.options.model_dump_json())
            files.write(self.work / MARKER, tag)
            self.model.mkdir(exist_ok=True)
            try:
                yield
            except (InputError, GateError):
                if fresh:
                    self._forget(unless_whole=_tag_now(base, recipe) == tag)
                raise

    @contextmanager
    def aside(self) -> Iterator[Path]:
        """Give a folder to build the model in; what was built takes its place once the gate let it pass.

        An interrupted run goes on in it; what the gate refused is removed. The work folder is empty at the end.
        """
        folder = self.work / "model"
        folder.mkdir(exist_ok=True)
        try:
            yield folder
        except GateError:
            files.remove(folder)
            raise
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            target = self.model / path.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
        self.close()

    @contextmanager
    def further(self) -> "Iterator[Workspace]":
        """Give a place for a model that is not published, removed at the end; after a kill `claimed` removes it."""
        folder = ReleaseFolder(self.work / FURTHER)
        files.remove(folder.root)
        folder.model.mkdir(parents=True)
        try:
            yield Workspace(folder)
        finally:
            files.remove(folder.root)

    def pruned(self) -> Pruning | None:
        """How the weight files here were made, where a run before this one saw it from beginning to end."""
        if known := files.recall(self.work / PRUNED, Pruning.model_validate_json):
            return known
        record = self.record()
        return record.pruning if record else None

    def record(self) -> Record | None:
        """The record of an earlier run; None where there is none, or it cannot be read: it will be written anew."""
        return files.recall(self.model / FILE_NAME, Record.model_validate_json)

    def remember(self, pruning: Pruning) -> Pruning:
        """Keep how the weight files here were made; a run that only continued one takes over what that one kept."""
        if pruning.seconds is None:
            return self.pruned() or pruning
        files.write(self.work / PRUNED, pruning.model_dump_json())
        return pruning

    def close(self) -> None:
        """Empty the work folder of a finished release, of which the record tells what it holds; the lock goes last."""
        files.clear(self.work, *files.of_lock(self.work))

    def _is_ours(self, base: Checkpoint, recipe: Recipe, tag: str) -> bool:
        if marked := files.recall(self.work / MARKER, _tag_of):
            return marked == tag
        if record := self.record():
            return _same(record, base, recipe)
        if (self.work / MARKER).exists():
            self._start_over()
            return True
        inside = self.model.iterdir() if self.model.exists() else ()
        return all(path == self.work or is_litter(path.name) for path in inside)

    def _start_over(self) -> None:
        """Remove the weights of a run whose marker cannot be read: of what, nobody knows, but a run left them."""
        for pattern in ("*.safetensors", ".*.partial"):
            for path in list(self.model.glob(pattern)):
                path.unlink()
        files.clear(self.work, *files.of_lock(self.work))

    def _forget(self, unless_whole: bool) -> None:
        """Remove what this run put into a folder that it made; the lock goes last.

        Args:
            unless_whole: Keep it where a weight file is whole, for the next run to go on from.
        """
        if not (unless_whole and any(self.model.glob("*.safetensors"))):
            files.clear(self.work, *files.of_lock(self.work))
            files.clear(self.model, self.work)
            files.remove_empty([self.model])


@contextmanager
def place_for_answers(out: Path | None) -> Iterator[Path]:
    """Give a folder for per-item answers and figures: one run at a time, or none that outlasts this one.

    Raises:
        OutputConflict: Another run is at work there; says which.
    """
    if out is None:
        with TemporaryDirectory() as scratch:
            yield Path(scratch)
        return
    with files.locked(out / ".release"):
        for part in ("evaluation", "figures"):
            files.sweep(out / part)
        yield out


def _tag_now(base: Checkpoint, recipe: Recipe) -> str | None:
    """The recipe's tag for the base as it is now: another one where the base was changed meanwhile."""
    try:
        return recipe.tag(base)
    except OSError:
        return None


def _tag_of(content: bytes) -> str:
    """Understand a marker."""
    tag = content.decode("ascii")
    if not TAG.fullmatch(tag):
        raise ValueError(tag)
    return tag


def _same(record: Record, base: Checkpoint, recipe: Recipe) -> bool:
    sizes = [(h.path.name, h.size) for h in base.headers]
    return Recipe.recorded(record.pruning) == recipe and sizes == [(f.name, f.bytes) for f in record.base.files]


def carry_side_files(base: Path, model: Path) -> None:
    """Write what pruning takes over from a base beside its weights; see `contents.carried`."""
    for name, data in carried(Folder(base)):
        files.write(model / name, data)


def require_side_files(base: Path) -> None:
    """Refuse, before any work, a base of which a file that is carried over cannot be, or is not its own.

    Raises:
        UnusableBase: Names the file.
    """
    found = (Path(at, name) for at, folders, names in os.walk(base) for name in (*folders, *names))
    names = carried_names(path.relative_to(base).as_posix() for path in found)
    for name in names:
        files.require_own(base, name)
    if pair := alike(names):
        raise UnusableBase(
            f"{pair[0]} and {pair[1]} are one file on macOS and Windows.", "Rename or remove one of them."
        )
    for _ in carried(Folder(base)):
        pass


def carry_files(source: Path, target: Path, names: Iterable[str]) -> None:
    """Copy the named files from one folder to another, folders inside included.

    Raises:
        UnusableBase: One of them is missing, is no regular file, or is not the folder's own.
    """
    for path in [files.require_own(source, understood(name)) for name in names]:
        files.copy(path, target / path.relative_to(source))
