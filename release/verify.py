"""Read a release, or any pruned checkpoint, again and say whether it is what it claims to be.

Every count comes from the weight files themselves. Where there is a record, files, counts, other files and card are
held against it; where there is a base, every kept weight is held against that.
"""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from pydantic import ValidationError

from release import card, sparsity
from release.audit import check_budgets, check_files, check_finite, check_kept, listed
from release.checkpoint.count import Beside, TensorCount, count
from release.checkpoint.folder import Checkpoint, open_checkpoint
from release.checkpoint.prunable import from_shapes
from release.describe import CARD, side_files
from release.digests import digest_of
from release.errors import AuditFailed, OutputConflict, ReleaseError, UnusableBase
from release.progress import Console
from release.pruning.budget import given, uniform
from release.pruning.prune import Calibrating, budgets_of, sizes_of
from release.pruning.rebuild import CORES, agreement, differing
from release.pruning.recipe import Recipe
from release.record import FILE_NAME, Check, FileDigest, Frozen, Record
from release.sources import base as bases

AGREEMENT = 0.999
"""Share of weights on whose fate a second calibration must agree with the first."""


class TensorReport(Frozen):
    """One prunable tensor, as read from the files."""

    name: str
    shape: tuple[int, ...]
    numel: int
    zeros: int


class Verification(Frozen):
    """The answer of `release verify`.

    Attributes:
        ok: No check failed.
        method: None where there is no record.
        zeroed_parameters: Exact zeros among the prunable parameters, read from the files.
        tensors: The prunable ones, in name order.
        checks: A check that could not be made has ok None and says why.
    """

    ok: bool
    method: str | None
    seed: int | None
    target_sparsity: Decimal | None
    actual_sparsity: float
    prunable_parameters: int
    zeroed_parameters: int
    tensors: tuple[TensorReport, ...]
    checks: tuple[Check, ...]


@dataclass(frozen=True)
class _Seen:
    """What reading the files once gave."""

    files: tuple[FileDigest, ...]
    counts: tuple[TensorCount, ...]
    compared: bool


@dataclass(frozen=True)
class Again:
    """How to make the masks again.

    Attributes:
        calibration_file: The text file that a release was calibrated on, where it was one of its maker's own.
        device: Where blocks run in calibration.
    """

    calibration_file: Path | None = None
    device: str = "auto"


def verify(folder: Path, base: Checkpoint | None, console: Console, again: Again | None = None) -> Verification:
    """Verify a release, its model/ folder, or any other pruned checkpoint.

    Args:
        folder: A release, or a model folder.
        base: What to compare kept weights with; by default the base the record names, where it was fetched before.
        again: Make every mask again from base, recipe and seed, and compare; None leaves that out.

    Raises:
        UnusableBase: There is no checkpoint there.
        AuditFailed: There is a record, but it or a weight file cannot be read.
    """
    model = model_folder(folder)
    record = read_record(model)
    written = _open(model, record)
    base = base or (bases.cached(record.base.source, record.base.id, record.base.revision) if record else None)
    seen = _read(written, base, console)
    checks = [*_checks(model, written, record, base, seen)]
    if again is not None:
        checks.append(_rebuilt(written, record, base, seen, again, console))
    return _report(written, record, seen, tuple(checks))


def model_folder(folder: Path) -> Path:
    """The model/ folder of a release, or the folder itself."""
    return folder / "model" if (folder / "model").is_dir() else folder


def _open(model: Path, record: Record | None) -> Checkpoint:
    try:
        return open_checkpoint(model)
    except UnusableBase as error:
        if record is None:
            raise
        raise AuditFailed(f"weight files: {error.seen}", "Fetch the release again.") from None


def read_record(model: Path) -> Record | None:
    """Read release.json, where there is one.

    Raises:
        AuditFailed: It does not follow the schema; names the first field that is wrong.
    """
    if not (model / FILE_NAME).is_file():
        return None
    try:
        return Record.read(model)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise AuditFailed(f"{FILE_NAME}: {place}: {first['msg']}.", "Build the release again.") from None


def required_record(model: Path) -> Record:
    """Read release.json of a folder that must have one.

    Raises:
        OutputConflict: There is none.
    """
    record = read_record(model)
    if record is None:
        raise OutputConflict(f"{model} has no {FILE_NAME}.", "Give a folder that `release` made.")
    return record


def _read(written: Checkpoint, base: Checkpoint | None, console: Console) -> _Seen:
    prunable = set(from_shapes(written.shapes))
    step = console.step("Verify: read every weight", written.size)
    with step as advance, Beside(base) if base else nullcontext() as beside:
        results = [count(header, prunable, beside, advance) for header in written.headers]
    return _Seen(tuple(f for f, _ in results), tuple(c for _, cs in results for c in cs), base is not None)


def _checks(
    model: Path, written: Checkpoint, record: Record | None, base: Checkpoint | None, seen: _Seen
) -> Iterator[Check]:
    if record is None:
        yield Check(name="record", ok=None, detail=f"no {FILE_NAME}: not made by this tool; counted only")
    else:
        yield from _against_record(model, written, record, seen)
    yield from _against_base(written, record, base, seen)
    if not seen.compared:
        yield check_finite(seen.counts)


def _against_record(model: Path, written: Checkpoint, record: Record, seen: _Seen) -> Iterator[Check]:
    yield Check(name="record", ok=True, detail=f"{FILE_NAME} follows schema {record.schema_version}")
    yield check_files("weight files", record.audit.files, seen.files, "as recorded")
    weights = {file.name for file in seen.files}
    yield check_files("other files", record.files, side_files(model, weights), "as recorded")
    yield from _against_table(model, written, record, seen)
    yield _totals(record, written, seen)
    yield from card.compare(record, (model / CARD).read_text(encoding="utf-8") if (model / CARD).is_file() else "")


def _against_table(model: Path, written: Checkpoint, record: Record, seen: _Seen) -> Iterator[Check]:
    """Hold each tensor against sparsity.csv, which tells a damaged tensor from its neighbours."""
    try:
        table = {row.name: row for row in sparsity.read(model)}
    except ReleaseError as error:
        yield Check(name="tensors", ok=False, detail=error.seen)
        return
    found = {c.name: c for c in seen.counts}
    wrong = [f"{name} is missing" for name in sorted(table.keys() - found.keys())]
    wrong += [f"{name} is not on record" for name in sorted(found.keys() - table.keys())]
    for name in sorted(table.keys() & found.keys()):
        wrong += _tensor_differences(table[name], found[name])
    yield Check(name="tensors", ok=not wrong, detail=listed(wrong) or f"{len(table)} tensors, as recorded")
    yield _budgets(written, record, seen, list(table.values()))


def _tensor_differences(row: sparsity.Row, seen: TensorCount) -> Iterator[str]:
    if row.zeros != seen.zeros:
        yield f"{row.name} holds {seen.zeros:,} zeros where {row.zeros:,} are on record"
    elif row.sha256 != seen.sha256:
        yield f"{row.name} holds other bytes than recorded"


def _budgets(written: Checkpoint, record: Record, seen: _Seen, table: Sequence[sparsity.Row]) -> Check:
    """Hold the files against what each tensor owes.

    Where the base's weights decide the shares, they are on record in the table, and only their total follows from
    the recipe.
    """
    recipe, sizes = Recipe.recorded(record.pruning), sizes_of(written)
    allowed = uniform(sizes, recipe.sparsity)
    if recipe.shares_by_weights:
        recorded = given({row.name: row.budget for row in table if row.module}, sizes)
        if recorded.total != allowed.total:
            detail = f"the table's budgets sum to {recorded.total:,}; {allowed.total:,} are due"
            return Check(name="zeros", ok=False, detail=detail)
        allowed = recorded
    return check_budgets(allowed, seen.counts, {row.name: row.crowded for row in table})


def _rebuilt(
    written: Checkpoint, record: Record | None, base: Checkpoint | None, seen: _Seen, again: Again, console: Console
) -> Check:
    """Make every mask again and compare; possible where the recipe alone decides it."""
    if record is None or base is None:
        return Check(name="rebuild", ok=None, detail="needs release.json and --base MODEL")
    recipe = Recipe.recorded(record.pruning)
    if recipe.version != recipe.row.version:
        detail = f"made by version {recipe.version} of {recipe.method}; this is version {recipe.row.version}"
        return Check(name="rebuild", ok=None, detail=detail)
    if record.pruning.calibration is not None:
        return _recalibrated(written, record, base, again, console)
    found = {c.name: c.sha256 for c in seen.counts}
    allowed = budgets_of(base, recipe, console, CORES)
    wrong = differing(base, recipe, allowed, found, console)
    detail = f"{len(allowed.zeros)} tensors made again from base, recipe and seed: identical"
    return Check(name="rebuild", ok=not wrong, detail=listed(wrong) or detail)


def _recalibrated(written: Checkpoint, record: Record, base: Checkpoint, again: Again, console: Console) -> Check:
    """Calibrate again and say how far the masks agree; floating-point sums differ a little between machines."""
    from release.measure.model import choose_device
    from release.pruning.calibration import text_again

    recorded = record.pruning.calibration
    if recorded is None:
        raise ValueError("this release was not calibrated")
    if recorded.plan.file_sha256 is not None and again.calibration_file is None:
        detail = f"was calibrated on {recorded.text.name}: give --calibration FILE"
        return Check(name="rebuild", ok=None, detail=detail)
    text = text_again(record, again.calibration_file, base.folder, console)
    if text.token_sha256 != recorded.token_sha256:
        return Check(name="rebuild", ok=False, detail="the calibration text gives other tokens than recorded")
    means = Calibrating(text, choose_device(again.device))
    agreeing, total = agreement(base, written, Recipe.recorded(record.pruning), means, console)
    detail = f"calibrated again: {agreeing:,} of {total:,} prunable weights agree ({agreeing / total:.4%})"
    return Check(name="rebuild", ok=agreeing >= AGREEMENT * total, detail=detail)


def _totals(record: Record, written: Checkpoint, seen: _Seen) -> Check:
    prunable = _prunable(written, seen)
    found = (sum(c.numel for c in prunable), sum(c.zeros for c in prunable))
    recorded = (record.audit.prunable_parameters, record.audit.zeroed_parameters)
    detail = "{1:,} zeros of {0:,} prunable".format(*found)
    if found != recorded:
        detail += "; the record says {1:,} of {0:,}".format(*recorded)
    return Check(name="totals", ok=found == recorded, detail=detail)


def _against_base(written: Checkpoint, record: Record | None, base: Checkpoint | None, seen: _Seen) -> Iterator[Check]:
    if base is None:
        reason = "no base at hand; give --base MODEL to compare every kept weight"
        yield Check(name="kept weights", ok=None, detail=reason)
        return
    if record is not None:
        yield check_files("base files", record.base.files, [digest_of(h.path) for h in base.headers], "as recorded")
    prunable = {c.name for c in _prunable(written, seen)}
    if record is None or not _updates(record):
        yield check_kept([c for c in seen.counts if c.name in prunable], "kept weights")
    yield check_kept([c for c in seen.counts if c.name not in prunable], "untouched tensors")
    yield check_finite(seen.counts)


def _updates(record: Record) -> bool:
    return record.pruning.updates_kept_weights


def _prunable(written: Checkpoint, seen: _Seen) -> Sequence[TensorCount]:
    names = set(from_shapes(written.shapes))
    return sorted((c for c in seen.counts if c.name in names), key=lambda c: c.name)


def _report(written: Checkpoint, record: Record | None, seen: _Seen, checks: tuple[Check, ...]) -> Verification:
    prunable = _prunable(written, seen)
    parameters, zeros = sum(c.numel for c in prunable), sum(c.zeros for c in prunable)
    return Verification(
        ok=all(check.ok is not False for check in checks),
        method=record.pruning.method if record else None,
        seed=record.pruning.seed if record else None,
        target_sparsity=record.pruning.target_sparsity if record else None,
        actual_sparsity=zeros / parameters,
        prunable_parameters=parameters,
        zeroed_parameters=zeros,
        tensors=tuple(TensorReport(name=c.name, shape=c.shape, numel=c.numel, zeros=c.zeros) for c in prunable),
        checks=checks,
    )
