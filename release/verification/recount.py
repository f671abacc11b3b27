"""The numbers of pruning on record, counted again from the weight files and, where it is at hand, the base."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from release.checkpoint.files import PIECE, FileReader
from release.checkpoint.folder import Checkpoint
from release.checkpoint.header import Header, Tensor
from release.checkpoint.prunable import prunable
from release.checkpoint.tally import TensorCount
from release.errors import ReleaseError, UnusableData
from release.format import listed
from release.names import MASK, TABLE
from release.pruning import masks
from release.pruning.budget import Budgets, given, uniform
from release.pruning.prune import sizes_of
from release.pruning.recipe import Recipe
from release.schema.record import Check, Record
from release.verification import sparsity_table as sparsity
from release.verification.audit import check_budgets, check_pattern, summarise
from release.verification.inspection import Inspection, Seen

BEFORE = {"zeros_before", "crowded"}
"""What only the base tells; without one the table is believed."""


def check_numbers(subject: Inspection, record: Record, seen: Seen) -> Iterator[Check]:
    """Hold sparsity.csv against the files, tensor by tensor, and the record's counts against both."""
    try:
        table = {row.name: row for row in subject.table()}
    except ReleaseError as error:
        yield Check(name="tensors", ok=False, detail=error.seen)
        return
    recipe = Recipe.recorded(record.pruning)
    allowed = _allowed(subject.written, recipe, table)
    counted = {row.name: row for row in sparsity.rows(seen.counts, allowed)}
    wrong = list(_differences(table, counted, BEFORE if seen.base is None else set()))
    yield Check(name="tensors", ok=not wrong, detail=listed(wrong) or f"{len(table)} tensors, as recorded")
    believed = counted if seen.base is not None else table
    yield _zeros(subject.written, recipe, allowed, seen.counts, {row.name: row.crowded for row in believed.values()})
    if recipe.pattern is not None:
        yield check_pattern(recipe.pattern, seen.prunable)
    yield _totals(subject.written, record, recipe, [_merged(row, table, seen) for row in counted.values()])


def _allowed(written: Checkpoint, recipe: Recipe, table: Mapping[str, sparsity.SparsityRow]) -> Budgets:
    """What each tensor owes; where the base's weights decide the shares, they are on record in the table."""
    sizes = sizes_of(written)
    if not recipe.shares_by_weights:
        return uniform(sizes, recipe.sparsity)
    return given({name: table[name].budget if name in table else 0 for name in sizes}, sizes)


def _zeros(
    written: Checkpoint, recipe: Recipe, allowed: Budgets, counts: Sequence[TensorCount], crowded: Mapping[str, int]
) -> Check:
    due = uniform(sizes_of(written), recipe.sparsity).total
    if allowed.total != due:
        detail = f"the table's budgets sum to {allowed.total:,}; {due:,} are due"
        return Check(name="zeros", ok=False, detail=detail)
    return check_budgets(allowed, counts, crowded)


def _differences(
    table: Mapping[str, sparsity.SparsityRow], counted: Mapping[str, sparsity.SparsityRow], believed: set[str]
) -> Iterator[str]:
    yield from (f"{name} is missing" for name in sorted(table.keys() - counted.keys()))
    yield from (f"{name} is not on record" for name in sorted(counted.keys() - table.keys()))
    for name in sorted(table.keys() & counted.keys()):
        said, found = table[name], counted[name]
        if said.zeros != found.zeros:
            yield f"{name} holds {found.zeros:,} zeros where {said.zeros:,} are on record"
        elif said.sha256 != found.sha256:
            yield f"{name} holds other bytes than recorded"
        else:
            fields = [f for f in type(said).model_fields if f not in believed and getattr(said, f) != getattr(found, f)]
            if fields:
                yield f"{name}: {', '.join(fields)} on record are not the files'"


def _merged(row: sparsity.SparsityRow, table: Mapping[str, sparsity.SparsityRow], seen: Seen) -> sparsity.SparsityRow:
    """A row as counted; without a base, what only that tells is the table's."""
    if seen.base is not None or row.name not in table:
        return row
    return row.model_copy(update={field: getattr(table[row.name], field) for field in BEFORE})


def _totals(written: Checkpoint, record: Record, recipe: Recipe, rows: Sequence[sparsity.SparsityRow]) -> Check:
    """The record's sums, its budget, and what it says of the stored model."""
    audit = summarise(recipe, written, rows, record.audit.checks, record.audit.files)
    said, found = record.audit, f"{audit.zeroed_parameters:,} zeros of {audit.prunable_parameters:,} prunable"
    wrong = [field for field in type(audit).model_fields if getattr(audit, field) != getattr(said, field)]
    wrong += _facts(written, record, rows)
    if (said.zeroed_parameters, said.prunable_parameters) != (audit.zeroed_parameters, audit.prunable_parameters):
        found += f"; the record says {said.zeroed_parameters:,} of {said.prunable_parameters:,}"
    detail = f"{found}; not the files': {listed(wrong)}" if wrong else found
    return Check(name="totals", ok=not wrong, detail=detail)


def check_table(subject: Inspection, record: Record) -> Iterator[Check]:
    """Where no weights are: record, table and mask against each other."""
    try:
        rows = subject.table()
        described = _described(subject.written, rows)
        recipe = Recipe.recorded(record.pruning)
        allowed = _allowed(described, recipe, {row.name: row for row in rows})
    except ReleaseError as error:
        yield Check(name="table", ok=False, detail=error.seen)
        return
    due = uniform(sizes_of(described), recipe.sparsity).total
    wrong = [f"its budgets sum to {allowed.total:,}; {due:,} are due"] * (allowed.total != due)
    wrong += [each.detail for each in [_totals(described, record, recipe, rows)] if not each.ok]
    if MASK in subject.files.sizes:
        wrong += _mismarked(subject, {row.name: row for row in rows if row.module})
    told = f"record, mask and the {len(rows)} tensors of {TABLE} agree; no weights were read"
    yield Check(name="table", ok=not wrong, detail=listed(wrong) or told)


def _described(written: Checkpoint, rows: Sequence[sparsity.SparsityRow]) -> Checkpoint:
    """The checkpoint that a table describes."""
    try:
        shapes = [tuple(int(size) for size in row.shape.split("×") if size) for row in rows]
    except ValueError:
        raise UnusableData(f"{TABLE} holds a shape that is none.", "Fetch it again.") from None
    tensors = tuple(Tensor(row.name, row.dtype, shape, 0, 0) for row, shape in zip(rows, shapes, strict=True))
    return replace(written, headers=(Header(Path(TABLE), b"", tensors),))


def _mismarked(subject: Inspection, due: Mapping[str, sparsity.SparsityRow]) -> list[str]:
    """Name the tensors of which the mask marks another number of weights than the table says."""
    marks = {tensor.name: tensor for tensor in subject.files.header(MASK).tensors}
    if {name: tensor.nbytes for name, tensor in marks.items()} != {n: masks.size_of(r.numel) for n, r in due.items()}:
        return [f"{MASK} is not the mask of these tensors"]
    with closing(subject.files.open(MASK)) as file:
        found = {name: _marked(file, marks[name]) for name in sorted(marks, key=lambda name: marks[name].start)}
    wrong = [name for name in sorted(due) if found[name] != due[name].zeros]
    return [f"{MASK} does not mark as many weights as the table says of {name}" for name in wrong]


def _marked(file: FileReader, tensor: Tensor) -> int:
    pieces = range(0, tensor.nbytes, PIECE)
    read = (file.read(tensor.start + offset, min(PIECE, tensor.nbytes - offset)) for offset in pieces)
    return sum(int(np.bitwise_count(piece).sum()) for piece in read)


def _facts(written: Checkpoint, record: Record, rows: Sequence[sparsity.SparsityRow]) -> Iterator[str]:
    base = record.base
    if base.parameters != written.parameters:
        yield "base.parameters"
    if base.architecture != written.architecture:
        yield "base.architecture"
    if set(base.dtypes) != {row.dtype for row in rows if row.module}:
        yield "base.dtypes"
    if record.pruning.budget != sum(row.budget for row in rows):
        yield "pruning.budget"


def check_mask(subject: Inspection, seen: Seen) -> Check:
    """The published mask marks the weights that are zero and no other, so that base and mask give this very model."""
    found = {c.name: c for c in seen.prunable}
    numbers = {name: found[name].numel for name in prunable(subject.written)}
    header, wrong = masks.header_of(numbers), []
    due = len(header) + sum(masks.size_of(numel) for numel in numbers.values())
    if subject.files.sizes[MASK] != due:
        return Check(name="mask", ok=False, detail=f"{MASK} is not the mask of these tensors")
    with closing(subject.files.open(MASK)) as file:
        wrong += ["its header"] * (file.read(0, len(header)).tobytes() != header)
        start = len(header)
        for name, numel in numbers.items():
            wrong += [name] * (_digest(file, start, masks.size_of(numel)) != found[name].marks)
            start += masks.size_of(numel)
    detail = f"{MASK} does not mark the zeros of {listed(wrong)}" if wrong else ""
    return Check(name="mask", ok=not wrong, detail=detail or f"{MASK} marks every zero and no other weight")


def _digest(file: FileReader, start: int, nbytes: int) -> str:
    sha = hashlib.sha256()
    for offset in range(0, nbytes, PIECE):
        sha.update(file.read(start + offset, min(PIECE, nbytes - offset)).data)
    return sha.hexdigest()
