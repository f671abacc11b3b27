"""BBQ computed again from its table of answers, without a model."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from release.evals.again import FOLDER, Table
from release.evals.bbq import looks
from release.evals.bbq.answers import Task
from release.evals.bbq.categories import SIZES
from release.evals.bbq.compare import BbqFacts, compare
from release.evals.bbq.data import known as data_at_hand
from release.evals.bbq.items import Item
from release.evals.bbq.result import Bbq, Looks
from release.evals.bbq.sample import STUDY, Sample, draw, of_categories
from release.evals.bbq.table import FILE_NAME, AnswerTable, read_answers, wrong
from release.progress import Console
from release.schema.record import Record
from release.values import DataSource

FILE = f"{FOLDER}/{FILE_NAME}"
LABELS = "what it says of the items was taken as it is: BBQ was not fetched here before"
OWN_LABELS = "what it says of the items was taken as it is: they are the maker's own, and not BBQ's"


def tables(record: Record, known: Bbq) -> Iterator[Table]:
    """Return the table of answers."""
    yield Table("bbq", FILE, lambda data: again(record, known, data), known, labels(known.folder is not None))


def labels(own: bool) -> str:
    """Say that what tables tell of the items was not checked, where BBQ is not at hand; to know it takes seconds.

    Args:
        own: Whether they are those of a folder of the maker's own, which nobody else has.
    """
    return OWN_LABELS if own else "" if data_at_hand() else LABELS


def at_hand(known: Bbq) -> tuple[tuple[Item, ...], DataSource] | None:
    """Return the items that were asked of, and their source, where they are at hand."""
    return data_at_hand() if known.folder is None else None


def again(record: Record, known: Bbq, data: bytes) -> Bbq:
    """Compare the answers again; what a table cannot tell is taken from the record.

    Raises:
        InputError: The table is not what measuring writes, or holds other items than were drawn.
    """
    found = at_hand(known)
    asked = answers(known, data, found and found[0])
    task = Task(sample_of(record, known, asked), known.reading, known.prompt)
    looked = _looked_again(record, known, asked)
    data_source = found[1] if found else known.data
    facts = BbqFacts(data_source, known.precision, known.rounding, known.sampling, looked, known.folder)
    result = compare(task, asked.dense, asked.pruned, facts, record.plan.measuring.sampling_seed)
    return result.model_copy(update={"engine": known.engine, "packages": known.packages})


def _looked_again(record: Record, known: Bbq, asked: AnswerTable) -> Looks | None:
    """Look at the growing samples again, where BBQ is at hand to draw them from.

    Raises:
        UnusableData: Further items would have been looked at.
    """
    plan, data = record.plan.measuring, at_hand(known)
    if plan.precision is None or data is None:
        return None if plan.precision is None else known.looks
    items = of_categories(data[0], plan.bbq_categories)
    place = {(item.category, item.example_id): index for index, item in enumerate(asked.items)}

    def ask(size: int) -> looks.Round:
        sample = draw(items, looks.amount(size, len(items)), plan.sampling_seed)
        if len(sample.items) > len(asked.items):
            raise wrong("ends before its precision was reached")
        rows = [place[item.category, item.example_id] for item in sample.items]
        sides = {"dense": asked.dense, "pruned": asked.pruned}
        answers = {name: replace(found, choices=found.choices[rows]) for name, found in sides.items()}
        return looks.Round(Task(sample, known.reading, known.prompt), answers, len(rows) * known.rotations)

    return looks.look(float(plan.precision), len(items), ask, Console(quiet=True))[1]


def answers(asked: Bbq, data: bytes, known: Sequence[Item] | None) -> AnswerTable:
    """Read the table of answers.

    Args:
        asked: What was asked.
        data: The file.
        known: BBQ's items, where they are at hand.

    Raises:
        UnusableData: It is not what measuring writes, or says of an item what is not so in BBQ.
    """
    items = {(item.category, item.example_id): item for item in known} if known else None
    return read_answers(data, asked.reading, asked.sampling.seeds if asked.sampling else (), items)


def sample_of(record: Record, known: Bbq, asked: AnswerTable) -> Sample:
    """Return the sample that was asked: with BBQ at hand it is drawn again.

    Raises:
        UnusableData: Other items would have been drawn.
        UnknownName: The record names a category that BBQ has not.
    """
    plan = record.plan.measuring
    if known.sample_seed not in (None, plan.sampling_seed):
        raise wrong(f"was drawn with seed {known.sample_seed}, where the release has seed {plan.sampling_seed}")
    if data := at_hand(known):
        amount = "study" if plan.bbq == "study" else "full" if known.sample_seed is None else str(len(asked.items))
        drawn = draw(of_categories(data[0], plan.bbq_categories), amount, plan.sampling_seed)
        if drawn.items != asked.items:
            raise wrong("does not hold the items that this sample draws")
        return drawn
    every = SIZES if known.folder is None else known.folder.sizes
    sizes = {name: every[name] for name in plan.bbq_categories or every if name in every}
    if plan.bbq == "study":
        sizes = {name: size // 2 for name, size in sizes.items() if name in STUDY}
    if not {item.category for item in asked.items} <= sizes.keys():
        raise wrong("holds an item of a category that was not asked")
    return Sample(asked.items, sizes, known.sample_seed)


def source(recorded: DataSource) -> DataSource:
    """Return where BBQ comes from, as recorded only where the data are not at hand."""
    found = data_at_hand()
    return found[1] if found else recorded
