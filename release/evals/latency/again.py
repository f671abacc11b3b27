"""Latency computed again from its tables of times, without a model."""

from collections.abc import Iterator

from release.evals.again import FOLDER, Table
from release.evals.bbq.again import labels, source
from release.evals.bbq.data import known as data_at_hand
from release.evals.bbq.sample import of_categories
from release.evals.bbq.table import wrong
from release.evals.latency.amount import Amount, drawn
from release.evals.latency.result import Latency
from release.evals.latency.table import WARMUP, file_name, logs_of, read_timings, record_of
from release.schema.record import Record


def tables(record: Record, known: Latency) -> Iterator[Table]:
    """Return the table of one engine's times."""
    file = f"{FOLDER}/{file_name(known.engine)}"
    yield Table(known.name, file, lambda data: again(record, known, data), known, labels(_own(known)))


def again(record: Record, known: Latency, data: bytes) -> Latency:
    """Sum up the times of one engine again.

    Raises:
        InputError: The table is not what measuring writes, or other items were timed than are drawn.
    """
    plan = record.plan.measuring
    items, timings = read_timings(data, known)
    if not _own(known) and (found := data_at_hand()):
        due = drawn(of_categories(found[0], plan.bbq_categories), plan.latency, plan.sampling_seed)
        amount = Amount.of(plan.latency).within(len(due) - WARMUP)
        # A machine that was busy from the first prompts on was asked no further ones; one that became so later was.
        stopped = known.load.busy and known.items == amount.least
        needed = WARMUP + amount.needed(logs_of(timings.seconds)[: amount.least], stopped)
        if [(item.category, item.example_id) for item in due[:needed]] != items:
            raise wrong("does not hold the items that are drawn for this seed")
    return record_of(timings, known.prompts if _own(known) else source(known.prompts), 0.0)


def _own(known: Latency) -> bool:
    """Whether its prompts were those of a folder of the maker's own, which have no revision."""
    return known.prompts.revision is None
