"""Read a release, or any pruned checkpoint, again and say whether it is what it claims to be.

Every count comes from the weight files themselves. Where there is a record, files, counts, other files and card are
held against it; where there is a base, every kept weight is held against that.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from release import card, foreign_card, sparsity
from release.audit import check_budgets, check_files, check_finite, check_kept, listed
from release.checkpoint.count import Beside, TensorCount, count
from release.checkpoint.files import Files, Folder, content, digest
from release.checkpoint.folder import AT_ONCE, Checkpoint, open_checkpoint, open_files
from release.checkpoint.prunable import from_shapes
from release.describe import CARD
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
class _Subject:
    """The model in question.

    Attributes:
        written: Its headers.
        record: None where there is none.
    """

    files: Files
    written: Checkpoint
    record: Record | None


@dataclass(frozen=True)
class _Seen:
    """What reading the weights once gave.

    Attributes:
        base_files: Digests of the base's weight files; None where no base was read.
    """

    files: tuple[FileDigest, ...]
    counts: tuple[TensorCount, ...]
    base_files: tuple[FileDigest, ...] | None


@dataclass(frozen=True)
class Again:
    """How to make the masks again.

    Attributes:
        calibration_file: The text file that a release was calibrated on, where it was one of its maker's own.
        device: Where blocks run in calibration.
    """

    calibration_file: Path | None = None
    device: str = "auto"


def verify(files: Files, base: Files | None, console: Console, again: Again | None = None) -> Verification:
    """Verify a release's model folder, or any other pruned checkpoint, wherever its files lie.

    Args:
        base: What to compare kept weights with; by default the base the record names, where it was fetched before.
        again: Make every mask again from base, recipe and seed, and compare; None leaves that out.

    Raises:
        UnusableBase: There is no checkpoint there.
        AuditFailed: There is a record, but it or a weight file cannot be read.
    """
    record = read_record(files)
    subject = _Subject(files, _open(files, record), record)
    base = base or (bases.cached(record.base.source, record.base.id, record.base.revision) if record else None)
    if base is not None and again is not None:
        base = Folder(base.folder())  # what is made again is read here and there, and more than once
    seen = _read(subject, base, console)
    checks = [*_checks(subject, seen)]
    if again is not None:
        checks.append(_rebuilt(subject, base, seen, again, console))
    return _report(subject, seen, tuple(checks))


def _open(files: Files, record: Record | None) -> Checkpoint:
    try:
        return open_files(files, Path(files.name))
    except UnusableBase as error:
        if record is None:
            raise
        raise AuditFailed(f"weight files: {error.seen}", "Fetch the release again.") from None


def read_record(files: Files) -> Record | None:
    """Read release.json, where there is one.

    Raises:
        AuditFailed: It does not follow the schema; names the first field that is wrong.
    """
    if FILE_NAME not in files.sizes:
        return None
    try:
        return Record.model_validate_json(content(files, FILE_NAME))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise AuditFailed(f"{FILE_NAME}: {place}: {first['msg']}.", "Build the release again.") from None


def required_record(model: Path) -> Record:
    """Read release.json of a folder that must have one.

    Raises:
        OutputConflict: There is none.
    """
    record = read_record(Folder(model))
    if record is None:
        raise OutputConflict(f"{model} has no {FILE_NAME}.", "Give a folder that `release` made.")
    return record


def _read(subject: _Subject, base: Files | None, console: Console) -> _Seen:
    written = subject.written
    prunable = set(from_shapes(written.shapes))
    dense = Beside(open_files(base, Path(base.name)), base) if base else None
    step = console.step("Verify: read every weight", written.size)
    with step as advance, dense or nullcontext():
        results = [count(h, prunable, dense, advance, files=subject.files) for h in written.headers]
        base_files = dense.digests() if dense else None
    return _Seen(tuple(f for f, _ in results), tuple(c for _, cs in results for c in cs), base_files)


def _checks(subject: _Subject, seen: _Seen) -> Iterator[Check]:
    if subject.record is None:
        yield Check(name="record", ok=None, detail=f"no {FILE_NAME}: not made by this tool; counted only")
        yield from _against_foreign_card(subject, seen)
    else:
        yield from _against_record(subject, subject.record, seen)
    yield from _against_base(subject, seen)
    if seen.base_files is None:
        yield check_finite(seen.counts)


def _against_record(subject: _Subject, record: Record, seen: _Seen) -> Iterator[Check]:
    yield Check(name="record", ok=True, detail=f"{FILE_NAME} follows schema {record.schema_version}")
    yield check_files("weight files", record.audit.files, seen.files, "as recorded")
    yield check_files("other files", record.files, _other_files(subject.files, seen), "as recorded")
    yield from _against_table(subject, record, seen)
    yield _totals(record, subject.written, seen)
    yield from card.compare(record, _card(subject.files))


def _other_files(files: Files, seen: _Seen) -> tuple[FileDigest, ...]:
    """Digest every file but weights, card, the record itself and hidden ones, as was done for the record."""
    left_out = {*(file.name for file in seen.files), CARD, FILE_NAME}
    names = [name for name in sorted(files.sizes) if name not in left_out and not name.startswith(".")]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return tuple(pool.map(partial(digest, files), names))


def _against_foreign_card(subject: _Subject, seen: _Seen) -> Iterator[Check]:
    """Hold the files against what the card of a model that another tool made says of them."""
    if CARD not in subject.files.sizes:
        yield Check(name="card", ok=None, detail=f"no {CARD}")
        return
    prunable = _prunable(subject.written, seen)
    held = foreign_card.Held(
        prunable=sum(c.numel for c in prunable),
        zeros=sum(c.zeros for c in prunable),
        parameters=sum(c.numel for c in seen.counts),
        all_zeros=sum(c.zeros for c in seen.counts),
        zeros_before=None if seen.base_files is None else sum(c.zeros_before or 0 for c in prunable),
    )
    yield from foreign_card.compare(_card(subject.files), held)


def _card(files: Files) -> str:
    return content(files, CARD).decode("utf-8", errors="replace") if CARD in files.sizes else ""


def _against_table(subject: _Subject, record: Record, seen: _Seen) -> Iterator[Check]:
    """Hold each tensor against sparsity.csv, which tells a damaged tensor from its neighbours."""
    try:
        table = {row.name: row for row in _table(subject.files)}
    except ReleaseError as error:
        yield Check(name="tensors", ok=False, detail=error.seen)
        return
    found = {c.name: c for c in seen.counts}
    wrong = [f"{name} is missing" for name in sorted(table.keys() - found.keys())]
    wrong += [f"{name} is not on record" for name in sorted(found.keys() - table.keys())]
    for name in sorted(table.keys() & found.keys()):
        wrong += _tensor_differences(table[name], found[name])
    yield Check(name="tensors", ok=not wrong, detail=listed(wrong) or f"{len(table)} tensors, as recorded")
    yield _budgets(subject.written, record, seen, list(table.values()))


def _table(files: Files) -> tuple[sparsity.Row, ...]:
    if sparsity.FILE_NAME not in files.sizes:
        raise sparsity.missing()
    return sparsity.parse(content(files, sparsity.FILE_NAME))


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


def _rebuilt(subject: _Subject, base: Files | None, seen: _Seen, again: Again, console: Console) -> Check:
    """Make every mask again and compare; possible where the recipe alone decides it."""
    record = subject.record
    if record is None or base is None:
        return Check(name="rebuild", ok=None, detail="needs release.json and --base MODEL")
    recipe, dense = Recipe.recorded(record.pruning), open_checkpoint(base.folder())
    if recipe.version != recipe.row.version:
        detail = f"made by version {recipe.version} of {recipe.method}; this is version {recipe.row.version}"
        return Check(name="rebuild", ok=None, detail=detail)
    if record.pruning.calibration is not None:
        return _recalibrated(subject, record, dense, again, console)
    found = {c.name: c.sha256 for c in seen.counts}
    allowed = budgets_of(dense, recipe, console, CORES)
    wrong = differing(dense, recipe, allowed, found, console)
    detail = f"{len(allowed.zeros)} tensors made again from base, recipe and seed: identical"
    return Check(name="rebuild", ok=not wrong, detail=listed(wrong) or detail)


def _recalibrated(subject: _Subject, record: Record, base: Checkpoint, again: Again, console: Console) -> Check:
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
    written = open_checkpoint(subject.files.folder())
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


def _against_base(subject: _Subject, seen: _Seen) -> Iterator[Check]:
    if seen.base_files is None:
        reason = "no base at hand; give --base MODEL to compare every kept weight"
        yield Check(name="kept weights", ok=None, detail=reason)
        return
    record, prunable = subject.record, {c.name for c in _prunable(subject.written, seen)}
    if record is not None:
        yield check_files("base files", record.base.files, seen.base_files, "as recorded")
    if record is None or not _updates(record):
        yield check_kept([c for c in seen.counts if c.name in prunable], "kept weights")
    yield check_kept([c for c in seen.counts if c.name not in prunable], "untouched tensors")
    yield check_finite(seen.counts)


def _updates(record: Record) -> bool:
    return record.pruning.updates_kept_weights


def _prunable(written: Checkpoint, seen: _Seen) -> Sequence[TensorCount]:
    names = set(from_shapes(written.shapes))
    return sorted((c for c in seen.counts if c.name in names), key=lambda c: c.name)


def _report(subject: _Subject, seen: _Seen, checks: tuple[Check, ...]) -> Verification:
    record, prunable = subject.record, _prunable(subject.written, seen)
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
