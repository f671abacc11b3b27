"""Some items of a benchmark of sentences read by both models again."""

from collections.abc import Mapping
from typing import TypeVar

from release.checkpoint.files import content
from release.errors import InputError, UnusableData
from release.evals.again import FOLDER, REMEDY, Question, Spotted, Verdict
from release.evals.engine.closeness import close
from release.evals.engine.statistics import Floats
from release.evals.engine.subject import EvaluatedModel
from release.evals.sentences.compare import AskedSentences, Benchmark
from release.evals.sentences.corpus import Numbered
from release.evals.sentences.work import LayOut, SentenceTask, start_of
from release.frozen import Frozen
from release.models.load import read_tokenizer
from release.values import DataSource

Item = TypeVar("Item", bound=Numbered)
Result = TypeVar("Result", bound=Frozen)


def question(
    benchmark: Benchmark[Item, Result], lay_out: LayOut[Item], spotted: Spotted, known: Result, *, summed: bool
) -> Question:
    """Draw some items, and lay their texts out.

    Raises:
        InputError: The data cannot be had, the table cannot be read or holds other items, or this base is asked
            otherwise.
    """
    layout, told = benchmark.layout, known.model_dump()
    path = f"{FOLDER}/{layout.file_name}"
    if path not in spotted.files.sizes:
        raise UnusableData(f"{path} is missing.", "Fetch the release again.")
    table = layout.read(content(spotted.files, path), told[benchmark.counted])
    chosen = spotted.drawn(len(table.items))
    items = _items(benchmark, spotted, [table.items[index] for index in chosen])
    tokenizer = read_tokenizer(spotted.dense)
    if (start := start_of(tokenizer, REMEDY)) != told["start"]:
        raise UnusableData("This base is asked otherwise than the record says.", REMEDY)
    asked = AskedSentences(items, DataSource(**told["data"]), None, start, told["precision"])
    task = SentenceTask(benchmark, asked, lay_out(items, start, tokenizer), summed)
    recorded = {"dense": table.dense[chosen], "pruned": table.pruned[chosen]}

    def judge(found: Mapping[str, Floats]) -> Verdict:
        # A sum over a sentence differs by as much as its tokens together, so that tokens are compared in the mean.
        numbers = {name: (found[name] / task.lengths, recorded[name] / task.lengths) for name in found}
        return close(numbers, "mean log-probabilities", told["precision"])

    def ask(model: EvaluatedModel) -> Floats:
        return task.read(model).values

    what = f"{len(chosen)} {benchmark.counted} of {benchmark.corpus.title}"
    return Question(benchmark.key, what, told["precision"], "transformers", ask, judge)


def _items(benchmark: Benchmark[Item, Result], spotted: Spotted, bare: list[Item]) -> list[Item]:
    """Return items with their texts."""
    title, layout = benchmark.corpus.title, benchmark.layout
    try:
        by_number = {item.number: item for item in benchmark.corpus.read(spotted.console)[0]}
    except InputError as error:
        raise type(error)(
            error.seen, f"{title} is in the package that BBQ comes in; without it leave --spot-check out."
        ) from None
    items = [by_number[item.number] for item in bare if item.number in by_number]
    if layout.stated(items) != layout.stated(bare):
        raise UnusableData(f"{title} holds other {layout.number}s than the table says.", "Fetch the release again.")
    return items
