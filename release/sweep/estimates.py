"""What a sweep would do, cell by cell, from config and headers alone, and what cells of its kind took here before.

No model class is built for it: whether a base can be loaded is found out by whoever builds the cell. So a grid of ten
thousand cells is told within seconds.
"""

import math
import socket
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from release import files
from release.checkpoint.decoder import Shapes
from release.checkpoint.folder import open_checkpoint, read_config
from release.checkpoint.prunable import from_shapes
from release.errors import ReleaseError
from release.evals.divergence.amount import kept_bytes
from release.frozen import Frozen
from release.progress import Console
from release.pruning.budget import rounded_share
from release.pruning.prune_tensor import require_rows
from release.settings.base import Identity
from release.sources import base, demo
from release.sources import hub as hub_source
from release.sweep.grid import GridCell
from release.sweep.job import Sweep
from release.sweep.journal import dense_of
from release.sweep.state import CELLS, CellState


class PlannedCell(Frozen):
    """What building a cell would take; None for what is not known.

    Attributes:
        release: The release's name.
        repositories: What it would be on the Hub; empty where the grid is not published. Without a namespace the
            account's own name stands in front.
        zeroed_parameters: Weights that will be zero.
        bytes_to_read: Of the base's weights, for pruning: once for all cells of a task that are not done, so it stands
            beside the first of them. Auditing and measuring read again.
        bytes_to_write: Of weight files.
        seconds: Mean over cells of its kind that were built on this machine; so is `memory`, in bytes, but the largest.
        measured: How many cells these rest on.
        error: Why it cannot be built, and what to do.
    """

    release: str
    repositories: tuple[str, ...] = ()
    zeroed_parameters: int | None = None
    bytes_to_read: int | None = None
    bytes_to_write: int | None = None
    bytes_to_upload: int | None = None
    seconds: float | None = None
    memory: int | None = None
    measured: int = 0
    error: tuple[str, str] | None = None


@dataclass(frozen=True)
class BaseOutline:
    """As much of a base model as planning needs.

    Attributes:
        folder: Holds config.json.
        prunable: Shapes of the prunable tensors; empty where the folder holds no weights.
        size: Bytes of the weight files; None likewise.
    """

    folder: Path
    slug: str
    prunable: Shapes
    size: int | None


def outline(model: str, identity: Identity) -> BaseOutline:
    """Read the headers of a base; fetches no weights but the demo's.

    Raises:
        ReleaseError: There is no such base, or it is none that can be pruned.
    """
    if model == base.DEMO:
        folder = demo.fetch(Console())
        base.require_said(model, identity, Console())
        return _of_folder(folder, base.slug(demo.HUB_ID))
    base.require_said(model, identity, Console())
    if base.is_folder(model):
        return _of_folder(Path(model), base.slug(base.id_of_folder(Path(model), identity)))
    repo_id, _, revision = base.hub_id(model).partition("@")
    found = hub_source.headers(repo_id, revision or None)
    shapes = {name: shape for name, (_, shape) in found.tensors.items()}
    size = sum(found.info.files[name] for name in found.info.weights)
    return BaseOutline(found.folder, base.slug(repo_id), _prunable(found.folder, shapes), size)


def _of_folder(folder: Path, slug: str) -> BaseOutline:
    if not any(folder.glob("*.safetensors*")):
        read_config(folder)
        return BaseOutline(folder, slug, {}, None)
    checkpoint = open_checkpoint(folder)
    return BaseOutline(folder, slug, _prunable(folder, checkpoint.shapes), checkpoint.size)


def _prunable(folder: Path, shapes: Shapes) -> Shapes:
    return {name: shapes[name] for name in from_shapes(shapes, read_config(folder))}


def planned(job: Sweep) -> dict[str, PlannedCell]:
    """Say what each cell of a sweep would take, by its key; nothing is written."""
    known = took_here(job)
    bases = cache(_outline_or_error)
    read: set[str] = set()
    found = {}
    for cell, state in job.states():
        one = _planned(job, cell, bases(cell.plan.model, cell.plan.identity))
        again = state.status == "done" or cell.task in read
        read |= set() if state.status == "done" else {cell.task}
        took = known.get(cell.kind, ())
        found[cell.key] = one.model_copy(update={**({"bytes_to_read": 0} if again else {}), **_estimate(took)})
    return found


def kept_meanwhile(job: Sweep) -> int | None:
    """Return the bytes at most that the sweep's folder holds of dense models until it ends; None for unknown."""
    left = [cell for cell, state in job.states() if state.status != "done"]
    denses = {dense_of(cell): cell for cell in left}.values()
    bases = cache(_outline_or_error)
    sizes = [_kept_of(cell, bases(cell.plan.model, cell.plan.identity)) for cell in denses]
    return None if None in sizes else sum(filter(None, sizes))


def _kept_of(cell: GridCell, found: BaseOutline | ReleaseError) -> int | None:
    if isinstance(found, ReleaseError):
        return 0
    config = read_config(found.folder)
    text = config.get("text_config")
    vocabulary = config.get("vocab_size", text.get("vocab_size") if isinstance(text, dict) else None)
    return kept_bytes(cell.plan.measuring, vocabulary) if isinstance(vocabulary, int) else None


def _outline_or_error(model: str, identity: Identity) -> BaseOutline | ReleaseError:
    try:
        return outline(model, identity)
    except ReleaseError as error:
        return error


def _planned(job: Sweep, cell: GridCell, found: BaseOutline | ReleaseError) -> PlannedCell:
    if isinstance(found, ReleaseError):
        return PlannedCell(release=cell.key, error=(found.seen, found.remedy))
    plan, publication = cell.plan, job.grid.publication
    name = plan.name(found.slug)
    try:
        require_rows(found.folder, found.prunable, plan.recipe)
    except ReleaseError as error:
        return PlannedCell(release=name, error=(error.seen, error.remedy))
    total = sum(map(math.prod, found.prunable.values()))
    uploads = publication is not None and publication.weights == "all"
    owner = f"{publication.namespace}/" if publication and publication.namespace else ""
    return PlannedCell(
        release=name,
        repositories=(f"{owner}{name}",) if publication else (),
        zeroed_parameters=rounded_share(plan.recipe.sparsity, total) if total else None,
        bytes_to_read=found.size,
        bytes_to_write=found.size,
        bytes_to_upload=found.size if uploads else 0,
    )


def _estimate(took: Sequence[CellState]) -> dict[str, object]:
    if not took:
        return {}
    memory = [state.memory for state in took if state.memory is not None]
    mean = sum(state.seconds or 0.0 for state in took) / len(took)
    return {"seconds": mean, "memory": max(memory, default=None), "measured": len(took)}


def took_here(job: Sweep) -> Mapping[str, list[CellState]]:
    """Return what cells took that any sweep into this folder built on this machine, by their kind."""
    found: dict[str, list[CellState]] = defaultdict(list)
    for path in sorted(job.work.parent.glob(f"*/{CELLS}/*.json")):
        state = files.recall(path, CellState.model_validate_json)
        if state and state.status == "done" and state.kind and state.host == socket.gethostname():
            found[state.kind].append(state)
    return found
