"""A result computed again from its table of likelihoods, without a model."""

from collections.abc import Iterator
from typing import TypeVar

from release.evals.again import FOLDER, Table
from release.evals.bbq.table import wrong
from release.evals.sentences.compare import AskedSentences, Benchmark, SentenceLikelihoods
from release.evals.sentences.corpus import Numbered
from release.frozen import Frozen
from release.schema.record import Record
from release.values import DataSource

Item = TypeVar("Item", bound=Numbered)
Result = TypeVar("Result", bound=Frozen)


def tables(benchmark: Benchmark[Item, Result], record: Record, known: Result) -> Iterator[Table]:
    """Return the table of likelihoods."""
    title, file = benchmark.corpus.title, f"{FOLDER}/{benchmark.layout.file_name}"
    unchecked = f"what it says of the {benchmark.counted} was taken as it is: {title} was not fetched here before"
    note = "" if benchmark.corpus.known() else unchecked
    yield Table(benchmark.key, file, lambda data: again(benchmark, record, known, data), known, note)


def again(benchmark: Benchmark[Item, Result], record: Record, known: Result, data: bytes) -> Result:
    """Compare the likelihoods again.

    Raises:
        UnusableData: The table is not what measuring writes, or holds other items than are drawn for the seed.
    """
    corpus, layout, told = benchmark.corpus, benchmark.layout, known.model_dump()
    count, source, plan = told[benchmark.counted], DataSource(**told["data"]), record.plan.measuring
    found = layout.read(data, count)
    if at_hand := corpus.known():
        items, source = at_hand
        due = corpus.drawn(items, getattr(plan, benchmark.key), plan.sampling_seed)
        if layout.stated(due) != layout.stated(found.items):
            raise wrong(f"does not hold the {benchmark.counted} that are drawn for this seed")
    seed = None if count == corpus.count else plan.sampling_seed
    asked = AskedSentences(found.items, source, seed, told["start"], told["precision"])
    return benchmark.compare(asked, SentenceLikelihoods(found.dense), SentenceLikelihoods(found.pruned))
