"""A grid goes to the Hub, top to bottom.

    every release is filled, private ─→ a Space for all variants of a base, and the report, are filled
        ─→ the collection is filled and checked ─→ each Space answers, with its first model
        ─→ all other releases, the report and the collection are shown

Each step is one that `release push` takes as well, and looks first whether it is done: a rerun goes on where the last
one stopped, and one after success writes nothing. One repository is at work at a time, since the Hub makes one of an
account at a time, and counts requests.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from release import hub
from release.comparison.index import IndexLinks, note, write_index
from release.comparison.rows import ComparedRelease
from release.errors import GateError
from release.evals.bbq.examples import examples
from release.frozen import Frozen
from release.hub import collections
from release.hub.collections import CollectionEntry
from release.names import MASK
from release.publishing import leaks
from release.publishing.upload import stage_release
from release.schema.record import Record
from release.settings.publication import PublishOptions
from release.space.build import write_grid_folder
from release.sweep.grid import GridCell
from release.sweep.publication import GridPublisher
from release.verification import weightless

PUBLISHED = "published"
"""Folder of what is uploaded besides the releases, within the sweep's own."""
REPORT = "report"
"""Its own folder there."""
INDEX_NOTE = "Report of the grid: every metric of every release with its interval, as a page and as a table."
SPACE_NOTE = "Ask the dense model and any of its pruned variants the same question."
SAID = "A grid of pruned models, measured beside their bases by one tool."


class PublishedGrid(Frozen):
    """What lies on the Hub after a grid was published.

    Attributes:
        models: Addresses, in the order of the grid.
        spaces: One for each base.
        report: Address of the data set.
        changed: Whether anything was changed there.
    """

    models: tuple[str, ...]
    spaces: tuple[str, ...]
    report: str | None
    collection: str | None
    changed: bool


@dataclass(frozen=True)
class Staged:
    """A release whose repository is filled.

    Attributes:
        model: Its folder on this disk.
    """

    model: Path
    record: Record
    upload: hub.Upload
    changed: bool


def publish_grid(grid: GridPublisher) -> PublishedGrid:
    """Upload all cells of a grid, which are done, with a Space, a report and a collection.

    Raises:
        GateError: A cell is not done.
        ReleaseError: As for `release push`.
    """
    staged = _releases(grid)
    with_space = _spaces(grid, staged)
    slug, made = _collection(grid)
    index, written = _index(grid, staged, with_space, slug)
    collected = _collected(grid, slug, _items(staged, with_space, index)) if slug else False
    changed = any((made, written, collected, *(each.changed for each in (*staged, *with_space))))
    shown = _shown(grid, staged, with_space, index, slug)
    return shown.model_copy(update={"changed": changed or shown.changed})


def _releases(grid: GridPublisher) -> list[Staged]:
    """Fill the repository of every cell."""
    folders = {cell.key: _folder_of(grid, cell) for cell in grid.job.cells}
    records = {key: Record.read(folder / "model") for key, folder in folders.items()}
    if grid.asked.space and grid.asked.weights == "none":
        for key, record in records.items():
            weightless.require_for_space(record, (folders[key] / "model" / MASK).is_file())
    bases = len({record.base.id for record in records.values()})
    return [
        _release(grid, cell, folders[cell.key], grid.space_id(records[cell.key].base.id, bases))
        for cell in grid.job.cells
    ]


def _folder_of(grid: GridPublisher, cell: GridCell) -> Path:
    record = grid.job.board.record_of(cell)
    if record is None:
        raise GateError(f"The cell {cell.key} is not done.", "Build it first; --status says why it is not.")
    return record.parent.parent


def _release(grid: GridPublisher, cell: GridCell, folder: Path, space_id: str | None) -> Staged:
    upload, changed = stage_release(folder, replace(grid.publisher, shared_space=space_id), grid.console)
    grid.job.board.recorded(cell)
    return Staged(folder / "model", Record.read(folder / "model"), replace(upload, space_id=space_id), changed)


def _spaces(grid: GridPublisher, staged: Sequence[Staged]) -> list[Staged]:
    """Fill a Space for each base, and return its first release with it."""
    if not grid.asked.space:
        return []
    of_base: dict[str, list[Staged]] = {}
    for each in staged:
        of_base.setdefault(each.record.base.id, []).append(each)
    return [_space(grid, variants) for variants in of_base.values()]


def _space(grid: GridPublisher, variants: Sequence[Staged]) -> Staged:
    first = variants[0]
    space_id = str(first.upload.space_id)
    folder = grid.job.work / PUBLISHED / space_id.rpartition("/")[2]
    questions = next(filter(None, (examples(each.model, None, grid.console) for each in variants)), [])
    write_grid_folder([(each.upload.id, each.record) for each in variants], folder, questions, space_id)
    leaks.refuse([folder])
    upload = replace(first.upload, space=folder)
    return replace(first, upload=upload, changed=hub.stage(upload, grid.options, grid.console).changed)


def _collection(grid: GridPublisher) -> tuple[str | None, bool]:
    """Return the slug of the collection, and whether it was made."""
    if grid.asked.collection is False:
        return None, False
    with hub.at_work(grid.job.work, grid.options, grid.console) as context:
        slug = collections.made(context, grid.collection, grid.owner, SAID)
        return slug, bool(context.journal.done)


def _index(
    grid: GridPublisher, staged: Sequence[Staged], with_space: Sequence[Staged], slug: str | None
) -> tuple[hub.Upload | None, bool]:
    """Fill the data set that holds the report, and return it, and whether anything had to be sent."""
    if not grid.asked.report:
        return None, False
    folder = grid.job.work / PUBLISHED / REPORT
    releases = [replace(ComparedRelease.built_here(each.record), name=each.upload.id) for each in staged]
    spaces = tuple(str(each.upload.space_id) for each in with_space)
    write_index(releases, folder, f"Grid {grid.job.grid.name}", IndexLinks(spaces, slug))
    leaks.refuse([folder])
    upload = hub.Upload(folder, None, grid.index_id, grid.job.work, kind="dataset")
    return upload, hub.stage(upload, _open(grid), grid.console).changed


def _open(grid: GridPublisher) -> PublishOptions:
    """The options of what is no model, which has no gate."""
    return grid.options.model_copy(update={"gated": None})


def _items(staged: Sequence[Staged], with_space: Sequence[Staged], index: hub.Upload | None) -> list[CollectionEntry]:
    items = [CollectionEntry("dataset", index.id, INDEX_NOTE)] if index else []
    items += [CollectionEntry("space", str(each.upload.space_id), SPACE_NOTE) for each in with_space]
    return [*items, *(CollectionEntry("model", each.upload.id, note(each.record)) for each in staged)]


def _collected(grid: GridPublisher, slug: str, items: Sequence[CollectionEntry]) -> bool:
    """Fill the collection and look whether all of it can be read, and return whether anything was changed."""
    with hub.at_work(grid.job.work, grid.options, grid.console) as context:
        collections.gather(context, slug, items)
        return bool(context.journal.done)


def _shown(
    grid: GridPublisher,
    staged: Sequence[Staged],
    with_space: Sequence[Staged],
    index: hub.Upload | None,
    slug: str | None,
) -> PublishedGrid:
    """Have each Space answer, and show it, its first release, and then everything else."""
    first = {each.upload.id: each.upload for each in with_space}
    rest = [each.upload for each in staged if each.upload.id not in first]
    pushed = {each.id: hub.push(each, grid.options, grid.console) for each in (*first.values(), *rest)}
    report = hub.push(index, _open(grid), grid.console) if index else None
    with hub.at_work(grid.job.work, grid.options, grid.console) as context:
        if slug and not grid.asked.private:
            collections.show(context, slug)
        shown = bool(context.journal.done)
        address = collections.address(context, slug) if slug else None
    return PublishedGrid(
        models=tuple(pushed[each.upload.id].model_url for each in staged),
        spaces=tuple(str(pushed[name].space_url) for name in first),
        report=report.model_url if report else None,
        collection=address,
        changed=shown or any(each.changed for each in (*pushed.values(), *filter(None, [report]))),
    )
