"""The numbers of a release, computed again from the tables under `evaluation/` by the code that measured them.

So whoever invents a score has to invent the answers too, and `--spot-check` asks some of those again.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from release.checkpoint.files import Files, content
from release.errors import InputError, UnusableData
from release.evals import claims
from release.evals import spread as seeds
from release.evals.bbq import data as bbq
from release.evals.bbq.result import Bbq, Looks
from release.evals.latency.result import Latency
from release.evals.perplexity.result import Perplexity
from release.format import listed
from release.frozen import Frozen
from release.progress import Console
from release.schema.record import Check, Record

if TYPE_CHECKING:
    from release.evals.bbq.sample import Sample
    from release.evals.bbq.table import AnswerTable

BBQ, PERPLEXITY = (f"evaluation/{name}.parquet" for name in ("bbq", "perplexity"))
EXACT = 1e-9
"""Relative difference that is another machine's rounding of sums."""
CLOCKED = {"seconds", "recalled"}
"""What only the run itself knew."""
LABELS = "what it says of the items was taken as it is: BBQ was not fetched here before"


class Table(NamedTuple):
    """A table and what is computed from it.

    Attributes:
        name: Of the check.
        file: Its path in the model folder.
        again: Makes the numbers again from the file's bytes.
        recorded: The same numbers as recorded.
        note: What else to say where they agree.
    """

    name: str
    file: str
    again: Callable[[bytes], Frozen]
    recorded: Frozen
    note: str


def checks(files: Files, record: Record) -> Iterator[Check]:
    """Hold every number that was measured against the tables it was computed from, and every claim against them."""
    for table in _tables(record):
        yield _check(files, table)
    yield _storage(record)
    if record.measurements.masks is not None or record.plan.seeds > 1:
        yield _masks(record)
    decided = claims.decide(record.audit, record.measurements)
    wrong = list(differences(record.claims, decided, "claims"))
    yield Check(name="claims", ok=not wrong, detail=listed(wrong) or f"{len(decided)} claims, decided again: the same")


def _tables(record: Record) -> Iterator[Table]:
    found = record.measurements
    asked = found.bbq is not None or bool(found.latencies)
    labels = "" if not asked or bbq.known() else LABELS  # to know BBQ is to read all of it: seconds
    if found.bbq is not None:
        yield Table("bbq", BBQ, lambda data: bbq_again(record, data), found.bbq, labels)
    if found.perplexity is not None:
        yield Table("perplexity", PERPLEXITY, lambda data: perplexity_again(record, data), found.perplexity, "")
    for one in found.latencies:
        yield _times(record, one, labels)


def _times(record: Record, known: Latency, labels: str) -> Table:
    file = f"evaluation/{known.name}.parquet"
    return Table(known.name, file, lambda data: latency_again(record, known, data), known, labels)


def _check(files: Files, table: Table) -> Check:
    if table.file not in files.sizes:
        return Check(name=table.name, ok=False, detail=f"{table.file} is missing: the numbers rest on nothing")
    try:
        again = table.again(content(files, table.file))
    except InputError as error:
        return Check(name=table.name, ok=False, detail=f"{table.file} {error.seen}")
    wrong = list(differences(table.recorded, again))
    detail = f"every number computed again from {table.file}: the same"
    return Check(name=table.name, ok=not wrong, detail=listed(wrong) or "; ".join(filter(None, (detail, table.note))))


def bbq_again(record: Record, data: bytes) -> Bbq:
    """Compare the answers again; what a table cannot tell is taken from the record.

    Raises:
        InputError: The table is not what measuring writes, or holds other items than were drawn.
    """
    from release.evals.bbq.answers import Task
    from release.evals.bbq.compare import compare

    known = required(record.measurements.bbq)
    found = bbq.known()
    asked = answers(record, data, found and found[0])
    task = Task(sample_of(record, asked), known.reading, known.prompt)
    again = compare(
        task,
        asked.dense,
        asked.pruned,
        _source(known.data),
        record.plan.seed,
        known.rounding,
        known.precision,
        known.sampling,
        _looked_again(record, asked),
    )
    return again.model_copy(update={"engine": known.engine, "packages": known.packages})


def _looked_again(record: Record, asked: "AnswerTable") -> Looks | None:
    """Look at the growing samples again, where BBQ is at hand to draw them from.

    Raises:
        UnusableData: Further items would have been looked at.
    """
    known, plan = required(record.measurements.bbq), record.plan
    data = bbq.known()
    if plan.precision is None or data is None:
        return None if plan.precision is None else cast(Looks, known.looks)
    from release.evals.bbq import looks
    from release.evals.bbq.answers import Task
    from release.evals.bbq.sample import draw, of_categories
    from release.evals.bbq.table import wrong

    items = of_categories(data[0], plan.bbq_categories)
    place = {(item.category, item.example_id): index for index, item in enumerate(asked.items)}

    def ask(size: int) -> looks.Round:
        sample = draw(items, looks.amount(size, len(items)), plan.seed)
        if len(sample.items) > len(asked.items):
            raise wrong("ends before its precision was reached")
        rows = [place[item.category, item.example_id] for item in sample.items]
        sides = {"dense": asked.dense, "pruned": asked.pruned}
        answers = {name: replace(found, choices=found.choices[rows]) for name, found in sides.items()}
        return looks.Round(Task(sample, known.reading, known.prompt), answers, len(rows) * known.rotations)

    return looks.look(float(plan.precision), len(items), ask, Console(quiet=True))[1]


def answers(record: Record, data: bytes, known: Sequence[bbq.Item] | None) -> "AnswerTable":
    """Read the table of answers.

    Args:
        data: The file.
        known: BBQ's items, where they are at hand.

    Raises:
        UnusableData: It is not what measuring writes, or says of an item what is not so in BBQ.
    """
    from release.evals.bbq.table import read_answers

    asked = required(record.measurements.bbq)
    items = {(item.category, item.example_id): item for item in known} if known else None
    return read_answers(data, asked.reading, asked.sampling.seeds if asked.sampling else (), items)


def sample_of(record: Record, asked: "AnswerTable") -> "Sample":
    """Return the sample that was asked: with BBQ at hand it is drawn again.

    Raises:
        UnusableData: Other items would have been drawn.
        UnknownName: The record names a category that BBQ has not.
    """
    from release.evals.bbq.sample import STUDY, Sample, draw, of_categories
    from release.evals.bbq.table import wrong

    known, plan = required(record.measurements.bbq), record.plan
    if known.sample_seed not in (None, plan.seed):
        raise wrong(f"was drawn with seed {known.sample_seed}, where the release has seed {plan.seed}")
    if data := bbq.known():
        amount = "study" if plan.bbq == "study" else "full" if known.sample_seed is None else str(len(asked.items))
        drawn = draw(of_categories(data[0], plan.bbq_categories), amount, plan.seed)
        if drawn.items != asked.items:
            raise wrong("does not hold the items that this sample draws")
        return drawn
    categories = plan.bbq_categories or tuple(bbq.SIZES)
    sizes = {name: bbq.SIZES[name] for name in categories if name in bbq.SIZES}
    if plan.bbq == "study":
        sizes = {name: size // 2 for name, size in sizes.items() if name in STUDY}
    if not {item.category for item in asked.items} <= sizes.keys():
        raise wrong("holds an item of a category that was not asked")
    return Sample(asked.items, sizes, known.sample_seed)


def perplexity_again(record: Record, data: bytes) -> Perplexity:
    """Compare the losses again.

    Raises:
        UnusableData: The table is not what measuring writes.
    """
    from release.evals.perplexity import compare as perplexity
    from release.evals.perplexity.table import read_losses

    known = required(record.measurements.perplexity)
    if min(known.window - 1, known.windows) < 1:
        raise UnusableData("belongs to no windows at all", "Fetch the release again.")
    dense, pruned = (
        perplexity.Readings(losses, 0, 0.0) for losses in read_losses(data, known.windows, known.window - 1)
    )
    windows = perplexity.Windows(known.windows, known.window, known.token_sha256)
    return perplexity.compare(windows, dense, pruned, known.text, known.precision)


def latency_again(record: Record, known: Latency, data: bytes) -> Latency:
    """Sum up the times of one engine again.

    Raises:
        InputError: The table is not what measuring writes, or other items were timed than are drawn.
    """
    from release.evals.bbq.sample import of_categories
    from release.evals.bbq.table import wrong
    from release.evals.latency.amount import Amount, drawn
    from release.evals.latency.table import logs_of, read_timings, record_of

    plan = record.plan
    items, timings = read_timings(data, known)
    if found := bbq.known():
        due = drawn(of_categories(found[0], plan.bbq_categories), plan.latency, plan.seed)
        amount = Amount.of(plan.latency).within(len(due) - known.warmup)
        needed = known.warmup + amount.needed(logs_of(timings.seconds)[: amount.least])
        if [(item.category, item.example_id) for item in due[:needed]] != items:
            raise wrong("does not hold the items that are drawn for this seed")
    return record_of(timings, _source(known.prompts), 0.0)


def _source(recorded: Any) -> Any:
    """Return where BBQ comes from, as recorded only where the data are not at hand."""
    found = bbq.known()
    return found[1] if found else recorded


def required(recorded: Any) -> Any:
    """Return a measurement that is on record."""
    if recorded is None:
        raise ValueError("this was not measured")
    return recorded


def _storage(record: Record) -> Check:
    stated = record.measurements.storage
    dense, pruned = (sum(file.bytes for file in files) for files in (record.base.files, record.audit.files))
    same = (stated.dense_bytes, stated.pruned_bytes) == (dense, pruned)
    found = f"weight files: dense {dense:,} bytes, pruned {pruned:,} bytes"
    told = "" if same else f"; measured were {stated.dense_bytes:,} and {stated.pruned_bytes:,}"
    return Check(name="storage", ok=same, detail=found + told)


def _masks(record: Record) -> Check:
    """The first mask is the published one and the spread follows from the masks; the others' answers are not kept."""
    held, seed = record.measurements.masks, record.pruning.seed
    if held is None:
        return Check(name="masks", ok=False, detail="several were asked for, and none is on record")
    if [mask.seed - seed for mask in held.masks] != list(range(len(held.masks))):
        return Check(name="masks", ok=False, detail=f"the seeds are not those from {seed} on")
    if len(held.masks) != record.plan.seeds:
        return Check(
            name="masks", ok=False, detail=f"{len(held.masks)} masks, where {record.plan.seeds} were asked for"
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
