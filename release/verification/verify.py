"""Read a release, or any pruned checkpoint, again and say whether it is what it claims to be.

Every count comes from the weight files themselves. Where there is a record, files, counts, other files and card are
held against it, and no file may lie beside those of a release. Where there is a base, the whole folder is held against
what pruning that base would write. What was asked for and could not be made is a failure.
"""

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from release.card import foreign as foreign_card
from release.card import render as card
from release.checkpoint.files import Files, Folder
from release.checkpoint.loading import INDEX
from release.errors import OutputConflict, ReleaseError
from release.evals.again import Spot
from release.format import shown
from release.formats import derived
from release.frozen import Frozen
from release.names import MASK
from release.progress import Console
from release.pruning.recipe import Recipe
from release.schema.record import CARD, FILE_NAME, Check, Record
from release.sources import base as bases
from release.sources.changes import History
from release.stages import Stage
from release.verification import making, origin, recompute, signing, space_check, spot_check, weightless
from release.verification.audit import check_files, check_finite, check_kept
from release.verification.closure import (
    check_contents,
    check_headers,
    check_method,
    check_moved,
    check_plan,
    check_side_files,
    check_tensors,
    theirs_of,
    updates,
)
from release.verification.inspection import Dense, Inspection, Seen, open_base, open_subject, read_record, read_weights
from release.verification.recount import check_mask, check_numbers, check_table
from release.verification.remask import Again, rebuilt
from release.verification.verdict import Grounds, unproven, verdict


class TensorReport(Frozen):
    """One prunable tensor, as read from the files."""

    name: str
    shape: tuple[int, ...]
    numel: int
    zeros: int


class Verification(Frozen):
    """The answer of `release verify`.

    Attributes:
        verdict: The answer in one sentence.
        unproven: What nobody may take from it, and the option that would prove it.
        ok: No check failed. Without a base that means no more than consistent with itself.
        method: None where there is no record.
        zeroed_parameters: Exact zeros among the prunable parameters, read from the files; these three are None where
            there are no weights to read.
        tensors: The prunable ones, in name order.
        theirs: Files that a person added and no loader reads.
        checks: A check that could not be made has ok None and says why.
        since: What changed since the revision that was asked for; None where none was.
    """

    verdict: str
    unproven: tuple[str, ...]
    ok: bool
    method: str | None
    seed: int | None
    target_sparsity: Decimal | None
    actual_sparsity: float | None
    prunable_parameters: int | None
    zeroed_parameters: int | None
    tensors: tuple[TensorReport, ...]
    theirs: tuple[str, ...]
    checks: tuple[Check, ...]
    since: History | None = None


class BaseAsked(NamedTuple):
    """The base that a checkpoint is compared with.

    Attributes:
        find: Finds its files.
        name: As it was asked for, where somebody did: it has to be the one on record.
    """

    find: Callable[[], Files]
    name: str | None = None


class Requested(NamedTuple):
    """What is asked beyond the comparison of the files with record, card and base; None leaves it out.

    Attributes:
        again: Make every mask again from base, recipe and seed, and compare.
        who: Whose signature it has to be: a public key's, or an identity's.
        spot: Ask some items of both models again, and compare.
    """

    again: Again | None = None
    who: signing.Who | None = None
    spot: Spot | None = None


NOTHING_MORE = Requested()


def verify(files: Files, base: BaseAsked | None, console: Console, requested: Requested = NOTHING_MORE) -> Verification:
    """Verify a release's model folder, or any other pruned checkpoint, wherever its files lie.

    Args:
        base: What to compare the whole with; by default the base the record names, where it was fetched before.

    Raises:
        BadOption: `requested.who` is a file that holds no public key.
        UnusableBase: There is no checkpoint there.
        AuditFailed: There is a record, but it or a weight file cannot be read.
    """
    subject = open_subject(files)
    record, (again, who, spot) = subject.record, requested
    lean = weightless.is_recipe(record)
    dense, lacking = _dense(base, record, here=lean or again is not None)
    console.begin(Stage.READ)
    with making.whole(subject, dense, console) as (complete, made):
        seen = read_weights(complete, dense, console, *_method_of(record)) if complete else None
        checks = [*_checks(subject, complete, seen, base.name if base else None), *made, *lacking]
        checks += signing.verification(files, () if seen is None or lean else seen.files, who)
        checks += signing.as_recorded(files, record.signed_as if record else None, who)
        base_files = dense.files if dense and complete else None
        if again is not None:
            console.begin(Stage.AGAIN)
            checks.append(rebuilt(complete or subject, base_files, seen, again, console))
        if spot is not None:
            console.begin(Stage.ASK)
            checks += spot_check.checks(complete.files if complete else files, record, base_files, spot, console)
    return _report(subject, seen, _asked(record, dense, again, lean), tuple(checks))


def _asked(record: Record | None, dense: Dense | None, again: Again | None, lean: bool) -> Grounds:
    """What there was to go by; weights that base and recipe alone gave are masks made again."""
    by_recipe = lean and dense is not None and record is not None and making.decides(record)
    return Grounds(record, dense is not None, again is not None or by_recipe)


def _dense(base: BaseAsked | None, record: Record | None, here: bool) -> tuple[Dense | None, tuple[Check, ...]]:
    """Open the base that was asked for, or else the one that the record names; what cannot be had is a check.

    Args:
        here: Bring all of it to this disk: what is made again is read here and there, and more than once.
    """
    try:
        files = base.find() if base else _cached(record)
        if files is None:
            return None, ()
        return open_base(Folder(files.folder()) if here else files), ()
    except ReleaseError as error:
        reason = f"{error.seen} {error.remedy}"
    except OSError as error:
        reason = f"{error.strerror or type(error).__name__}."
    detail = f"nothing could be held against it: {shown(reason)}"
    return None, (Check(name="base", ok=False if base else None, detail=detail),)


def _cached(record: Record | None) -> Files | None:
    return bases.cached(record.base.source, record.base.id, record.base.revision) if record else None


def _method_of(record: Record | None) -> tuple[bool, tuple[int, int] | None]:
    """Whether kept weights may have moved, and the pattern's n and m; by a record that contradicts itself neither."""
    if record is None or not check_method(record.pruning).ok:
        return False, None
    return updates(record.pruning), Recipe.recorded(record.pruning).groups


def required_record(model: Path) -> Record:
    """Read release.json of a folder that must have one.

    Raises:
        OutputConflict: There is none.
    """
    record = read_record(Folder(model))
    if record is None:
        raise OutputConflict(f"{model} has no {FILE_NAME}.", "Give a folder that `release` made.")
    return record


def _checks(subject: Inspection, complete: Inspection | None, seen: Seen | None, asked: str | None) -> Iterator[Check]:
    """Hold a release against its record, and against its base where one was read beside it.

    Args:
        subject: As it was published.
        complete: The same with its weights; None where there are none.
    """
    files, record = subject.files, subject.record
    yield check_contents(files, record, {header.path.name for header in subject.written.headers})
    if record is not None:
        yield from _against_record(complete or subject, record, seen)
        yield from space_check.check(files, record)
    if complete is None or seen is None:
        return
    if record is None:
        yield Check(name="record", ok=None, detail=f"no {FILE_NAME}: not made by this tool; counted only")
        yield from _against_foreign_card(complete, seen)
    yield from _against_base(complete, seen, asked)
    if seen.base_files is None:
        yield check_finite(seen.counts)


def _against_record(subject: Inspection, record: Record, seen: Seen | None) -> Iterator[Check]:
    yield Check(name="record", ok=True, detail=f"{FILE_NAME} follows schema {record.schema_version}")
    method = check_method(record.pruning)
    yield method
    yield check_plan(record)
    yield from _as_recorded(subject, record, seen)
    if method.ok:
        yield from check_table(subject, record) if seen is None else check_numbers(subject, record, seen)
    if seen is not None and MASK in subject.files.sizes:
        yield check_mask(subject, seen)
    yield from card.compare(record, subject.card or "")
    yield from recompute.checks(subject.files, record)
    yield from derived.checks(subject.files, record)


def _as_recorded(subject: Inspection, record: Record, seen: Seen | None) -> Iterator[Check]:
    """Hold the files against the digests on record; without weights there is no index of theirs."""
    if seen is not None:
        yield check_files("weight files", record.audit.files, seen.files, "as recorded")
    due = [file for file in record.files if seen is not None or file.name != INDEX]
    theirs = set(theirs_of(subject.files, record))
    others = [file for file in subject.other_files if file.name not in theirs]
    yield check_files("other files", due, others, "as recorded")


def _against_foreign_card(subject: Inspection, seen: Seen) -> Iterator[Check]:
    """Hold the files against what the card of a model that another tool made says of them."""
    text, prunable = subject.card, seen.prunable
    if text is None:
        yield Check(name=foreign_card.CHECK, ok=None, detail=f"no {CARD}")
        return
    held = foreign_card.Held(
        prunable=sum(c.numel for c in prunable),
        zeros=sum(c.zeros for c in prunable),
        parameters=sum(c.numel for c in seen.counts),
        all_zeros=sum(c.zeros for c in seen.counts),
        zeros_before=None if seen.base_files is None else sum(c.zeros_before or 0 for c in prunable),
    )
    yield from foreign_card.compare(text, held)


def _against_base(subject: Inspection, seen: Seen, asked: str | None) -> Iterator[Check]:
    record, base = subject.record, seen.base
    if base is None or seen.base_files is None:
        reason = "no base at hand; give --base MODEL to compare every kept weight and every other file"
        yield Check(name="kept weights", ok=None, detail=reason)
        return
    if record is not None:
        yield check_files("base files", record.base.files, seen.base_files, "as recorded")
        yield from origin.checks(record.base, base.files, asked)
    yield (
        check_tensors(base.checkpoint, subject.written)
        if record is None
        else check_headers(base.checkpoint, subject.written)
    )
    yield check_side_files(subject, base.side_files)
    if record is not None and updates(record.pruning):
        yield check_moved(seen.prunable)
    else:
        yield check_kept(seen.prunable, "kept weights")
    prunable = {c.name for c in seen.prunable}
    yield check_kept([c for c in seen.counts if c.name not in prunable], "untouched tensors")
    yield check_finite(seen.counts)


def _report(subject: Inspection, seen: Seen | None, asked: Grounds, checks: tuple[Check, ...]) -> Verification:
    record, prunable = subject.record, seen.prunable if seen else ()
    parameters, zeros = sum(c.numel for c in prunable), sum(c.zeros for c in prunable)
    return Verification(
        verdict=verdict(asked, checks),
        unproven=tuple(unproven(asked, checks)),
        ok=all(check.ok is not False for check in checks),
        method=record.pruning.method if record else None,
        seed=record.pruning.seed if record else None,
        target_sparsity=record.pruning.target_sparsity if record else None,
        actual_sparsity=zeros / parameters if seen else None,
        prunable_parameters=parameters if seen else None,
        zeroed_parameters=zeros if seen else None,
        tensors=tuple(TensorReport(name=c.name, shape=c.shape, numel=c.numel, zeros=c.zeros) for c in prunable),
        theirs=theirs_of(subject.files, record),
        checks=checks,
    )
