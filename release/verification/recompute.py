"""The numbers of a release, computed again from the tables under `evaluation/` by the code that measured them.

So whoever invents a score has to invent the answers too, and `--spot-check` asks some of those again.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from release.checkpoint.files import Files, content
from release.errors import InputError
from release.evals import claims
from release.evals import spread as seeds
from release.evals.again import Table
from release.evals.eval import Eval
from release.evals.registry import EVALS
from release.extras import missing
from release.format import listed
from release.frozen import Frozen
from release.schema.record import Check, Record

EXACT = 1e-9
"""Relative difference that is another machine's rounding of sums."""
CLOCKED = {"seconds", "recalled"}
"""What only the run itself knew."""


def checks(files: Files, record: Record) -> Iterator[Check]:
    """Hold every number that was measured against the tables it was computed from, and every claim against them."""
    for row in EVALS:
        for result in row.results(record.measurements):
            yield from _unless_missing(row.key, (_check(files, table) for table in _tables(row, record, result)))
    if record.measurements.masks is not None or record.plan.building.seeds > 1:
        yield _masks(record)
    yield from _unless_missing("claims", (_claims(each) for each in (record,)))


def _tables(row: Eval[Any], record: Record, result: Any) -> Iterator[Table]:
    """A row's tables; what it needs to read them is imported only as the first is asked for."""
    yield from row.tables(record, result)


def _unless_missing(name: str, found: Iterator[Check]) -> Iterator[Check]:
    """Checks, or that they were not made: without the packages that measure, nothing is computed again."""
    try:
        yield from found
    except ModuleNotFoundError as error:
        told = missing(error)
        if told is None:
            raise
        yield Check(name=name, ok=None, detail=f"not computed again. {' '.join(told)}")


def _claims(record: Record) -> Check:
    """Decide every claim again.

    A claim that a record lacks came with a later version, where nothing was measured for it; one that is decided and
    not on record was left out.
    """
    held = {claim.key: claim for claim in record.claims}
    decided = {claim.key: claim for claim in claims.decide(record.audit, record.measurements)}
    due = {key: claim for key, claim in decided.items() if key in held or claim.verdict != "not measured"}
    wrong = [f"claims[{key[:60]!a}] is none that is known" for key in held.keys() - due.keys()]
    wrong += ["one claim stands on record twice"] * (len(held) < len(record.claims))
    wrong += [f"claims[{key}] is missing from the record" for key in due.keys() - held.keys()]
    for key in due.keys() & held.keys():
        wrong += differences(held[key], due[key], f"claims[{key}]")
    return Check(name="claims", ok=not wrong, detail=listed(wrong) or f"{len(due)} claims, decided again: the same")


def _check(files: Files, table: Table) -> Check:
    if table.file is not None and table.file not in files.sizes:
        return Check(name=table.name, ok=False, detail=f"{table.file} is missing: the numbers rest on nothing")
    try:
        again = table.again(b"" if table.file is None else content(files, table.file))
    except InputError as error:
        return Check(name=table.name, ok=False, detail=f"{table.file} {error.seen}")
    wrong = list(differences(table.recorded, again))
    detail = f"every number computed again from {table.file or 'what the record holds'}: the same"
    return Check(name=table.name, ok=not wrong, detail=listed(wrong) or "; ".join(filter(None, (detail, table.note))))


def _masks(record: Record) -> Check:
    """The first mask is the published one and the spread follows from the masks; the others' answers are not kept."""
    held, seed = record.measurements.masks, record.pruning.seed
    if held is None:
        return Check(name="masks", ok=False, detail="several were asked for, and none is on record")
    if [mask.seed - seed for mask in held.masks] != list(range(len(held.masks))):
        return Check(name="masks", ok=False, detail=f"the seeds are not those from {seed} on")
    if len(held.masks) != record.plan.building.seeds:
        return Check(
            name="masks", ok=False, detail=f"{len(held.masks)} masks, where {record.plan.building.seeds} were asked for"
        )
    again = seeds.spread_of((seeds.published(record.measurements, seed), *held.masks[1:]))
    wrong = listed(list(differences(held, again, "masks")))
    detail = (
        "the spread follows from them; the answers of those not published are not kept, so that they are not proven"
    )
    return Check(name="masks", ok=False if wrong else None, detail=wrong or detail)


def differences(recorded: Any, again: Any, place: str = "") -> Iterator[str]:
    """Name what differs, field by field; floats may differ by another machine's rounding.

    A field that a record does not hold is one that came with a later version.
    """
    if isinstance(recorded, Frozen) and isinstance(again, Frozen):
        for name in sorted(recorded.model_fields_set - CLOCKED):
            yield from differences(getattr(recorded, name), getattr(again, name), f"{place}.{name}".strip("."))
    elif isinstance(recorded, tuple) and isinstance(again, tuple) and len(recorded) == len(again):
        for index, (one, other) in enumerate(zip(recorded, again, strict=True)):
            yield from differences(one, other, f"{place}{_index(one, index)}")
    elif not _equal(recorded, again):
        yield f"{place} is {_told(recorded)} on record and {_told(again)} when computed again"


def _index(entry: Any, index: int) -> str:
    """Name an entry by what it is about, where it says so, else by its number."""
    keys = [getattr(entry, name) for name in ("key", "name", "over", "category") if hasattr(entry, name)]
    return f"[{', '.join(map(str, keys)) or index}]"[:100]


def _equal(recorded: Any, again: Any) -> bool:
    if isinstance(recorded, float) and isinstance(again, float):
        return math.isclose(recorded, again, rel_tol=EXACT, abs_tol=EXACT)
    return bool(recorded == again)


def _told(value: Any) -> str:
    if isinstance(value, tuple | Sequence) and not isinstance(value, str):
        return f"{len(value)} entries"
    return ascii(value)[:80]
