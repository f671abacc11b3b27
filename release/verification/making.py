"""A release without weights made whole aside, so that a verification reads what its recipe gives.

Its own files are taken as they were published; the weights are made from the base, and nothing of them stays.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from release import contents
from release.checkpoint.files import Files, Folder, is_hidden, pieces
from release.checkpoint.folder import open_checkpoint
from release.checkpoint.loading import INDEX
from release.errors import DiskFull, GateError, HubUnreachable, InputError
from release.files import replacing, write
from release.names import problem_of
from release.progress import Console
from release.pruning import masks
from release.pruning.rebuild import is_decided, rebuild
from release.pruning.recipe import Recipe
from release.schema.record import Check, Record
from release.sources.cache import cache_folder
from release.verification import weightless
from release.verification.closure import check_method
from release.verification.inspection import Dense, Inspection

NAME = "weights"
MISSING = Check(name=NAME, ok=None, detail="none are here, and none were made: it takes the base (--base MODEL)")


Whole = tuple[Inspection | None, tuple[Check, ...]]


@contextmanager
def whole(subject: Inspection, dense: Dense | None, console: Console) -> Iterator[Whole]:
    """Give a release with its weights: itself, or one made of its recipe in a folder that is removed at the end.

    Yields:
        None in its place where the weights are not there and could not be made; and what the making found.

    Raises:
        DiskFull: There is no room for them.
    """
    record = subject.record
    if record is None or not weightless.is_recipe(record):
        yield subject, ()
    elif dense is None:
        yield None, (MISSING,)
    else:
        with _scratch() as folder:
            trouble = _made(subject.files, record, dense, folder, console)
            files = len(record.audit.files)
            source = "recipe" if decides(record) else "mask"
            told = f"{files} files made here from the base and the {source}: their SHA-256 is the one on record"
            found = (Check(name=NAME, ok=not trouble, detail=trouble or told),)
            yield None if trouble else Inspection(Folder(folder), open_checkpoint(folder), record), found


def decides(record: Record) -> bool:
    """Whether the weights are made from base and recipe, with no mask."""
    return check_method(record.pruning).ok is True and is_decided(Recipe.recorded(record.pruning))


@contextmanager
def _scratch() -> Iterator[Path]:
    """Give a folder in this tool's cache: where others keep what is temporary, a model may not fit."""
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    try:
        with TemporaryDirectory(prefix="made-", dir=cache) as folder:
            yield Path(folder)
    except DiskFull as error:
        remedy = "Free some space, or name a folder that has room by RELEASE_CACHE."
        raise DiskFull(error.seen, remedy) from None


def _made(files: Files, record: Record, dense: Dense, folder: Path, console: Console) -> str:
    """Make the release whole, and say why it could not be, or "" where it is."""
    method = check_method(record.pruning)
    if not method.ok:
        return f"could not be made: {method.detail}"
    try:
        _carry(files, folder)
        if INDEX in dense.side_files:
            write(folder / INDEX, dense.side_files[INDEX])
        recipe, base = Recipe.recorded(record.pruning), open_checkpoint(dense.files.folder())
        mask = None if is_decided(recipe) else masks.published(folder)
        rebuild(base, recipe, mask, record.audit.files, folder, console)
    except (DiskFull, HubUnreachable):
        raise
    except (InputError, GateError) as error:
        return f"could not be made: {error.seen} {error.remedy}"
    return ""


def _carry(files: Files, folder: Path) -> None:
    """Copy what belongs to a release without weights; what does not was told of where the contents are checked."""
    strangers = {INDEX, *contents.unexpected(files.sizes, ())}
    for name in files.sizes:
        if name not in strangers and not is_hidden(name) and problem_of(name) is None:
            with replacing(folder / name) as temporary, temporary.open("wb") as file:
                for piece in pieces(files, name):
                    file.write(piece.data)
