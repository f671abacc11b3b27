"""What lies where releases are to be built, looked at before the base is: a refusal does not wait for its weights."""

from collections.abc import Sequence
from pathlib import Path

from release import files
from release.errors import OutputConflict
from release.names import is_litter
from release.place import require_place
from release.plan import Plan
from release.pruning.recipe import recorded_options
from release.release_folder import ReleaseFolder
from release.schema.record import Record
from release.settings.recipe import RecipeOptions
from release.settings.words import differing, nameless
from release.sources.base import DEMO, id_of, id_of_folder, slug
from release.workspace import MARKER, RECIPE, Workspace

ELSEWHERE = "Give another --out, or remove that folder first."


def base_id(plan: Plan) -> str:
    """Return the id of a plan's base, as far as it is known before the base is here.

    Raises:
        BadOption: It looks like a path that does not exist.
        UnknownName: There is no such model.
    """
    return id_of(plan.model) or id_of_folder(Path(plan.model), plan.identity)


def published_at(plan: Plan) -> ReleaseFolder:
    """Return where a release is built that is published."""
    return ReleaseFolder(plan.out / plan.name(slug(base_id(plan))))


def pruned_at(plans: Sequence[Plan]) -> list[ReleaseFolder]:
    """Return where model folders are written: one to its `out`, several to folders of their own inside."""
    alone = [plan.out / plan.name(slug(base_id(plan))) if len(plans) > 1 else plan.out for plan in plans]
    return [ReleaseFolder(root, alone=True) for root in alone]


def require_alike(plan: Plan, folder: ReleaseFolder) -> None:
    """Refuse a folder that holds anything but this very release, finished or begun, and one that another run holds.

    What only the base's files tell is left to `Workspace.claimed`.

    Raises:
        OutputConflict: Names the option that differs, or the process at work there.
    """
    require_place(plan.out, plan.model)
    place = Workspace(folder)
    files.require_idle(place.work)
    record = place.record()
    there = recorded_options(record.pruning) if record else _begun(place)
    if there is None:
        _require_nothing_else(place)
    elif apart := differing(there, plan.recipe.options):
        raise OutputConflict(f"{folder.root} holds something else: {'; '.join(apart)}.", ELSEWHERE)
    if record is not None:
        _require_same_base(plan, folder, record)
        if not (plan.overwrite or folder.alone):
            _require_same_measuring(plan, folder, record)


def _begun(place: Workspace) -> RecipeOptions | None:
    """What a run that is not finished was asked for."""
    return files.recall(place.work / RECIPE, RecipeOptions.model_validate_json)


def _require_nothing_else(place: Workspace) -> None:
    if (place.work / MARKER).exists() or not place.model.is_dir():
        return
    if not all(path == place.work or is_litter(path.name) for path in place.model.iterdir()):
        raise OutputConflict(f"{place.model} holds something else.", ELSEWHERE)


def _require_same_base(plan: Plan, folder: ReleaseFolder, record: Record) -> None:
    asked, there = base_id(plan), record.base.id
    sources = {DEMO: "demo"}.get(plan.model, "folder" if Path(plan.model).is_dir() else "hub")
    if asked != there or sources != record.base.source:
        seen = f"{folder.root} holds something else: it was made from {there} ({record.base.source}), not {asked}."
        raise OutputConflict(seen, ELSEWHERE)


def _require_same_measuring(plan: Plan, folder: ReleaseFolder, record: Record) -> None:
    if apart := differing(record.plan.measuring, nameless(plan.measuring)):
        seen = f"{folder.root} is a finished release that was measured otherwise: {'; '.join(apart)}."
        raise OutputConflict(seen, "Give --overwrite to measure it anew, or another --out.")
