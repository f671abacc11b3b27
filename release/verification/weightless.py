"""A release without its weights: base and recipe, or base and mask, give them again, bit for bit.

What is uploaded is a view of the model folder, which stays whole: its files but the weights and their index, with a
record that says so and that record's card. The index goes too, since loaders that find it look for the shards it names.
"""

import shutil
from pathlib import Path

from release import files
from release.checkpoint.files import Folder, is_hidden
from release.checkpoint.loading import INDEX
from release.errors import BadOption, OutputConflict, UnknownName
from release.names import SIGNATURE
from release.pruning.rebuild import is_decided
from release.pruning.recipe import Recipe
from release.schema.record import Record

VIEW = "recipe"
"""Folder of the view, among the caches of a release; its signature stays there from one push to the next."""
WAY_OUT = "Leave --weights none out."


def is_recipe(record: Record | None) -> bool:
    """Whether a release holds no weights by its own word."""
    return record is not None and record.weights == "none"


def require_whole(record: Record, folder: Path) -> None:
    """Refuse to work on a release whose weights are not there.

    Raises:
        OutputConflict: Says how to make them.
    """
    if is_recipe(record):
        raise OutputConflict(
            f"{folder} holds no weights, only the recipe that makes them.",
            f"Make it whole first: release rebuild {folder} --base MODEL --out FOLDER",
        )


def require_enough(recipe: Recipe, with_mask: bool) -> None:
    """Refuse to leave out weights that nobody could make again.

    Raises:
        BadOption: Neither base and recipe nor base and mask decide them.
    """
    if recipe.row.updates_kept_weights:
        seen = f"{recipe.row.title} changes the weights it keeps; neither recipe nor mask gives them again."
        raise BadOption(seen, WAY_OUT)
    if not with_mask and not is_decided(recipe):
        why = "is calibrated" if recipe.calibration else f"was made by version {recipe.version}"
        raise BadOption(
            f"{recipe.row.title} pruning {why}: base and recipe alone do not give its weights again.",
            f"Build it again with --with-mask, which publishes the mask. {WAY_OUT}",
        )


def require_for_space(record: Record, with_mask: bool) -> None:
    """Refuse a Space that could not make the weights, from what its base holds on the Hub and what its app knows.

    Raises:
        BadOption: It could not; says why.
        HubUnreachable: The Hub does not say.
    """
    from release.sources import hub  # slow to import, and needed only here

    remedy = f"Publish without a Space (--no-space). {WAY_OUT}"
    if not with_mask and not is_plain(Recipe.recorded(record.pruning)):
        seen = "The Space makes weights again without pattern or allocation, or by a mask."
        raise BadOption(seen, f"Build the release again with --with-mask. {remedy}")
    if not record.base.on_hub:
        raise BadOption(f"{record.base.id} is not on the Hub, so no Space could make the weights from it.", remedy)
    try:
        there = hub.digests(record.base.id, record.base.revision)
    except UnknownName as error:
        raise BadOption(f"{error.seen} So no Space could make the weights from it.", remedy) from None
    if wrong := [file.name for file in record.base.files if there.get(file.name) != file.sha256]:
        seen = f"{record.base.id} holds another {wrong[0]} on the Hub than was pruned: no Space could make the weights."
        raise BadOption(seen, remedy)


def is_plain(recipe: Recipe) -> bool:
    """Whether the app's own `rebuild.py` knows this recipe, beside its method and version."""
    return (recipe.pattern, recipe.allocation) == (None, "uniform")


def recipe_of(record: Record) -> Record:
    """The record of the same release without its weights."""
    return record.model_copy(update={"weights": "none"})


def whole(record: Record) -> Record:
    """The record of the same release with its weights."""
    return record.model_copy(update={"weights": "all"})


def lay_out(model: Path, view: Path, record: Record) -> Path:
    """Make the view of a model folder without its weights; the files are the very same, by hard links where possible.

    Args:
        view: The folder; what it held before is replaced, but for its signature.
        record: Names the weight files.
    """
    left_out = {INDEX, SIGNATURE, *(file.name for file in record.audit.files)}
    names = [name for name in sorted(Folder(model).sizes) if name not in left_out and not is_hidden(name)]
    signature = (view / SIGNATURE).read_bytes() if (view / SIGNATURE).is_file() else None
    with files.replacing_folder(view) as folder:
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            _same(model / name, folder / name)
        if signature is not None:
            files.put(folder / SIGNATURE, signature)
    return view


def _same(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the disk or the system knows no such thing."""
    try:
        target.hardlink_to(source.resolve())
    except OSError:
        shutil.copyfile(source, target)
