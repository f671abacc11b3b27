"""Write the pruned weight files: streaming, exact, resumable."""

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from release.checkpoint.buffers import room_like
from release.checkpoint.folder import Checkpoint
from release.checkpoint.header import Header, Raw, Tensor
from release.checkpoint.landed import Landed
from release.checkpoint.prunable import block_of, prunable
from release.checkpoint.rewrite import Change, Edit, Target, WrittenFile, rewrite
from release.checkpoint.stage_timer import StageTimer
from release.errors import DiskFull
from release.format import size as bytes_text
from release.machine import cores
from release.progress import BYTES, Advance, Console
from release.pruning.budget import Budgets, uniform
from release.pruning.global_threshold import global_budgets
from release.pruning.method import PrunedTensor
from release.pruning.prune_tensor import prune_by_score, scorer_of
from release.pruning.recipe import Recipe
from release.pruning.store import BlockStore
from release.schema.record import Calibration, PruneWork, Pruning

if TYPE_CHECKING:
    import torch

    from release.pruning.calibrate import Calibrator
    from release.pruning.calibration import Text

SPARE = 64 << 20
"""Bytes that must stay free beside the weight files, for everything else in a release."""


@dataclass(frozen=True)
class Job:
    """One pruned copy to be written.

    Attributes:
        destination: An existing folder.
        work: Folder for what must be kept between a kill and the next run.
        known: Budgets that an earlier run worked out, where the recipe and the base's shapes alone do not give them.
        follower: Reads the files while they are written.
    """

    recipe: Recipe
    destination: Path
    work: Path
    known: Budgets | None = None
    follower: "Follower | None" = field(default=None, compare=False)


class Follower(Protocol):
    """Who reads weight files while they are written."""

    def begin(self, budgets: Budgets) -> Mapping[str, Landed]:
        """Return who is to be told how far each file is written, by its name.

        Args:
            budgets: What each tensor owes.
        """


@dataclass(frozen=True)
class Calibrating:
    """What calibrated methods work with.

    Attributes:
        device: Where blocks run.
        outliers: Shares of outliers that were looked for with this text: neither sparsity nor seed changes them.
    """

    text: "Text"
    device: "torch.device"
    outliers: dict[str, list[float]] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class PruneContext:
    """What pruning works with.

    Attributes:
        threads: Workers; 0 means one per core.
        calibrating: For methods that need it.
    """

    threads: int = 0
    calibrating: "Calibrating | None" = None

    @property
    def workers(self) -> int:
        """Threads to start."""
        return self.threads or cores()


@dataclass(frozen=True)
class Pruned:
    """A pruned copy that was written.

    Attributes:
        sums: CRC-32 of each pruned tensor's bytes as they were computed, by name; what an earlier run wrote is not
            among them.
        budgets: What each tensor owed.
    """

    pruning: Pruning
    sums: Mapping[str, int]
    budgets: Budgets


@dataclass(frozen=True)
class _Decided:
    """What is to be written, settled before the first byte.

    Attributes:
        store: The blocks that calibration made; None where weights and seed decide.
        unreached: Tensors that saw no calibration token.
        landed: Who is told how far each file is written, by its name.
    """

    job: Job
    budgets: Budgets
    store: BlockStore | None = None
    calibration: Calibration | None = None
    unreached: tuple[str, ...] = field(default=())
    landed: Mapping[str, Landed] = field(default_factory=dict)

    def followed(self) -> "_Decided":
        """Begin to be read while it is written, where that is wanted."""
        follower = self.job.follower
        return replace(self, landed=follower.begin(self.budgets)) if follower else self


def sizes_of(checkpoint: Checkpoint) -> dict[str, int]:
    """Weights of each prunable tensor, by name, in name order."""
    sizes = {t.name: t.numel for t in checkpoint.tensors()}
    return {name: sizes[name] for name in prunable(checkpoint)}


def prune(base: Checkpoint, jobs: Sequence[Job], console: Console, context: PruneContext) -> tuple[Pruned, ...]:
    """Write `base`'s weight files, pruned, once for each job, all from one read.

    Files that an earlier, interrupted run of the same recipe finished are kept; one that it left half is continued.

    Args:
        jobs: Their recipes may differ in how many weights go, not in method or seed.

    Raises:
        DiskFull: Before anything is written, or while writing.
        UnusableBase: See `global_budgets` and `Calibrator.run`; or NaN or infinities stand in the base.
    """
    started = time.perf_counter()
    require_room(base, [job.destination for job in jobs])
    continued = [_left_from_before(base, job) for job in jobs]
    busy = StageTimer()
    with busy.on("decide"):
        decided = [_decide(base, job, console, context).followed() for job in jobs]
    first = jobs[0].recipe
    with console.step(f"Prune ({first.method}, {_listed(jobs)})", base.size * len(jobs), BYTES) as advance:
        written = _write_shards(base, decided, context.workers, advance, busy)
    seconds = None if any(continued) else time.perf_counter() - started
    work = None if any(continued) else _work(busy)
    return tuple(
        Pruned(_describe(base, each, seconds, work, context.workers, len(jobs)), sums, each.budgets)
        for each, sums in zip(decided, written, strict=True)
    )


def _listed(jobs: Sequence[Job]) -> str:
    return ", ".join(f"{job.recipe.sparsity:f}" for job in jobs)


def _decide(base: Checkpoint, job: Job, console: Console, context: PruneContext) -> _Decided:
    """Settle how many weights each tensor loses and, for calibrated methods, which."""
    if context.calibrating is not None:
        return _calibrated(base, job, console, context.calibrating, context.workers)
    return _Decided(job, _known(base, job) or budgets_of(base, job.recipe, console, context.workers))


def _known(base: Checkpoint, job: Job) -> Budgets | None:
    """The budgets of weight files that are all there already; only a finished run leaves them behind."""
    if not all((job.destination / header.path.name).exists() for header in base.headers):
        return None
    return job.known if job.recipe.shares_by_weights else uniform(sizes_of(base), job.recipe.sparsity)


def budgets_of(base: Checkpoint, recipe: Recipe, console: Console, threads: int) -> Budgets:
    """What each tensor owes where shapes, or shapes and weights, decide it."""
    sizes = sizes_of(base)
    if recipe.scope == "global":
        return global_budgets(base, list(sizes), recipe.sparsity, console, threads)
    return uniform(sizes, recipe.sparsity)


def _calibrated(base: Checkpoint, job: Job, console: Console, calibrating: Calibrating, threads: int) -> _Decided:
    from release.pruning.calibrate import Calibrator

    store = BlockStore(_blocks(job), job.recipe.row.updates_kept_weights)
    calibrator = Calibrator(base, job.recipe, calibrating.text.ids, store, calibrating.device, threads)
    budgets = _known(base, job) or _calibrate(calibrator, calibrating.outliers, console)
    return _Decided(job, budgets, store, calibrating.text.described(calibrating.device.type), store.unreached())


def _calibrate(calibrator: "Calibrator", known: dict[str, list[float]], console: Console) -> Budgets:
    """Run a calibration; outliers that another sparsity was shared out by are not looked for again."""
    base, recipe, store = calibrator.base, calibrator.recipe, calibrator.store
    asked = f"{base.folder} {base.stamps} {recipe.uncalibrated}"
    if asked in known and recipe.allocation == "owl" and store.outliers() is None:
        store.keep_outliers(known[asked])
    budgets = calibrator.run(console)
    if shares := store.outliers():
        known[asked] = shares
    return budgets


def _left_from_before(base: Checkpoint, job: Job) -> bool:
    """Tell whether an earlier run of this recipe left anything, and remove what other recipes left half."""
    tag = job.recipe.tag(base)
    for partial in job.destination.glob(".*.partial"):
        if tag not in partial.name:
            partial.unlink()
    return any(any(job.destination.glob(name)) for name in ("*.safetensors", ".*.partial")) or _blocks(job).exists()


def forget_blocks(job: Job) -> None:
    """Remove what calibration kept, once the weight files are whole and audited."""
    shutil.rmtree(_blocks(job), ignore_errors=True)


def _blocks(job: Job) -> Path:
    """Where calibration keeps finished blocks."""
    return job.work / "blocks"


def _work(busy: StageTimer) -> PruneWork:
    return PruneWork(
        decide=busy.seconds("decide"),
        prune=busy.seconds("prune"),
        write=busy.seconds("write"),
        hash=busy.seconds("hash"),
    )


def _describe(
    base: Checkpoint, decided: _Decided, seconds: float | None, work: PruneWork | None, threads: int, together: int
) -> Pruning:
    recipe = decided.job.recipe
    return Pruning(
        method=recipe.method,
        algorithm_version=recipe.version,
        updates_kept_weights=recipe.row.updates_kept_weights,
        scope=recipe.scope,
        pattern=recipe.pattern,
        seed=recipe.seed,
        target_sparsity=recipe.sparsity,
        budget=decided.budgets.total,
        seconds=seconds,
        work=work,
        threads=threads,
        together=together,
        allocation=recipe.allocation,
        block_sparsities=_per_block(base, decided.budgets) if recipe.shares_by_weights else None,
        calibration=decided.calibration,
        uncalibrated=recipe.uncalibrated,
        uncalibrated_tensors=decided.unreached,
        allow_nonfinite=recipe.allow_nonfinite,
    )


def _per_block(base: Checkpoint, budgets: Budgets) -> tuple[float, ...]:
    due: dict[int, int] = {}
    sizes: dict[int, int] = {}
    for name, size in sizes_of(base).items():
        block = block_of(name)
        due[block] = due.get(block, 0) + budgets.zeros[name]
        sizes[block] = sizes.get(block, 0) + size
    return tuple(due[block] / max(1, sizes[block]) for block in sorted(due))


def require_room(base: Checkpoint, destinations: Sequence[Path]) -> None:
    """Refuse to start where the disk cannot hold a copy of the base for each destination.

    Raises:
        DiskFull: It cannot.
    """
    present = sum(f.stat().st_size for folder in destinations for f in folder.iterdir() if f.is_file())
    needed = base.size * len(destinations) - present + SPARE
    free = shutil.disk_usage(destinations[0]).free
    if needed > free:
        raise DiskFull(
            f"{bytes_text(needed)} are needed and {bytes_text(free)} are free.",
            "Free some space or give another --out.",
        )


def _write_shards(
    base: Checkpoint, decided: Sequence[_Decided], threads: int, advance: Advance, busy: StageTimer
) -> tuple[dict[str, int], ...]:
    """Write every weight file for every job, but for those that an earlier run finished; return each job's sums."""
    found: tuple[dict[str, int], ...] = tuple({} for _ in decided)
    for header in base.headers:
        places = [each.job.destination / header.path.name for each in decided]
        open_ones = [i for i, place in enumerate(places) if not place.exists()]
        _tell_of_finished(decided, places)
        advance(header.size * (len(places) - len(open_ones)))
        if open_ones:
            written = _write_shard(base, header, [decided[i] for i in open_ones], threads, advance, busy)
            for i, each in zip(open_ones, written, strict=True):
                found[i].update(each.sums)
    return found


def _tell_of_finished(decided: Sequence[_Decided], places: Sequence[Path]) -> None:
    """Let files be read that an earlier run finished."""
    for each, place in zip(decided, places, strict=True):
        if place.exists() and (landed := each.landed.get(place.name)):
            landed.whole(place)


def _write_shard(
    base: Checkpoint, header: Header, decided: Sequence[_Decided], threads: int, advance: Advance, busy: StageTimer
) -> tuple[WrittenFile, ...]:
    name = header.path.name
    targets = [
        Target(each.job.destination / name, each.job.recipe.tag(base), landed=each.landed.get(name)) for each in decided
    ]
    changes = dict.fromkeys(decided[0].budgets.parts, _change(decided))
    edit = Edit(changes, decided[0].job.recipe.allow_nonfinite)
    return rewrite(header, targets, edit, threads, advance, busy)


def _change(decided: Sequence[_Decided]) -> Change:
    """The change that makes one tensor's bytes into those of every job."""
    if stores := [each.store for each in decided if each.store]:
        return _change_from_stores(stores)
    return change_by_score([(each.job.recipe, each.budgets) for each in decided])


def change_by_score(wanted: Sequence[tuple[Recipe, Budgets]]) -> Change:
    """Prune by weights and seed alone; what is written and what is rebuilt are the same.

    The scores are prepared once for all recipes.
    """

    def change(tensor: Tensor, data: Raw) -> Sequence[Raw]:
        recipe = wanted[0][0]
        subject = PrunedTensor(tensor, tensor.bits(data), recipe.draws(tensor.name))
        scorer = scorer_of(subject, recipe)
        # The last in place: all others are made of what is still dense.
        results = [*(room_like(data) for _ in wanted[1:]), data]
        for (each, budgets), out in zip(wanted, results, strict=True):
            prune_by_score(subject, scorer, budgets.parts[tensor.name], each, tensor.bits(out))
        return results

    return change


def _change_from_stores(stores: Sequence[BlockStore]) -> Change:
    def change(tensor: Tensor, data: Raw) -> Sequence[Raw]:
        results = [*(data.copy() for _ in stores[1:]), data]
        for store, out in zip(stores, results, strict=True):
            store.apply(block_of(tensor.name), tensor, out)
        return results

    return change
