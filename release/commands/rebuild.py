"""`release rebuild`: a pruned model from its base, without its weights."""

from pathlib import Path

from release import files
from release.card import file as card_file
from release.card.parts import NOWHERE
from release.checkpoint.files import Folder, is_hidden
from release.checkpoint.folder import model_folder
from release.contents import is_own
from release.errors import OutputConflict
from release.names import SIGNATURE
from release.place import require_place
from release.progress import Console
from release.pruning import masks
from release.pruning.rebuild import rebuild as rebuild_weights
from release.pruning.recipe import Recipe
from release.release_folder import ReleaseFolder
from release.schema.record import CARD, FILE_NAME, Record
from release.sources.base import resolve
from release.stages import Stage
from release.verification import weightless
from release.verification.audit import refuse_failed
from release.verification.closure import check_method
from release.verification.verify import BaseAsked, required_record, verify
from release.workspace import Workspace, carry_files, carry_side_files


def rebuild(release: Path, base: str, out: Path, console: Console) -> Path:
    """Make a release's model folder from its base, without the release's weights; every file is checked by hash.

    It is made and verified aside, and only then put where it was asked for: what a record that nobody vouches for asks
    for is not there for a moment. Of the release only files of this tool's own are taken; all others are the base's.

    Args:
        release: A release or its model folder; weight files are not needed.

    Raises:
        OutputConflict: `out` holds something else, lies in the release or in the base, or `release` has no record.
        AuditFailed: What was made is not the release.
        BadOption: It cannot be made from the base.
    """
    source = model_folder(release)
    _require_another_place(out, release, source)
    require_place(out, base)
    record = required_record(source)
    refuse_failed([check_method(record.pruning)])
    console.plan((Stage.CHECK, Stage.MAKE, Stage.VERIFY))
    console.begin(Stage.CHECK)
    dense = resolve(base, console).checkpoint
    recipe = Recipe.recorded(record.pruning)
    workspace = Workspace(ReleaseFolder(out, alone=True))
    with workspace.claimed(dense, recipe), workspace.aside() as made:
        console.begin(Stage.MAKE)
        rebuild_weights(dense, recipe, masks.published(source), record.audit.files, made, console)
        carry_side_files(dense.folder, made)
        own = [file.name for file in record.files if is_own(file.name) and (source / file.name).is_file()]
        carry_files(source, made, dict.fromkeys([*own, FILE_NAME, CARD]))
        if weightless.is_recipe(record):
            _say_whole(made, weightless.whole(record))
        elif _is_whole(source, made):
            carry_files(source, made, [SIGNATURE])
        elif record.signed_as is not None:
            _say_whole(made, record)
        console.begin(Stage.VERIFY)
        refuse_failed(verify(Folder(made), BaseAsked(lambda: Folder(dense.folder)), console).checks)
    return out


def _require_another_place(out: Path, release: Path, source: Path) -> None:
    """Refuse to make a model in the place of the release that it is made after; what lies inside is refused for all."""
    if out.resolve() in (release.resolve(), source.resolve()):
        raise OutputConflict(f"--out {out} is the release itself.", "Give a folder outside of it.")


def _is_whole(source: Path, made: Path) -> bool:
    """Whether a release is signed, and all that its signature covers was made; a person may have added files."""
    there, covered = Folder(source).sizes, Folder(made).sizes
    return SIGNATURE in there and all(name in covered for name in there if name != SIGNATURE and not is_hidden(name))


def _say_whole(made: Path, record: Record) -> None:
    """Write record and card anew for a model folder that holds its weights again; nobody signed that one."""
    alone = record.model_copy(update={"signed_as": None})
    card_file.write(made, card_file.renewed(made, alone, NOWHERE))
    files.write(made / FILE_NAME, alone.to_json())
