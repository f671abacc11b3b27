"""Sentences measured: every variant of each item, read by one model at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from release.errors import UnusableData
from release.evals.engine.likelihood import Ask, likelihoods
from release.evals.engine.statistics import Floats
from release.evals.engine.subject import EvaluatedModel
from release.evals.sentences.compare import AskedSentences, Benchmark, SentenceLikelihoods
from release.evals.sentences.corpus import Numbered
from release.evals.work import EvalContext, ModelTask, Sides
from release.frozen import Frozen
from release.sources.text import opening, tokenise

Item = TypeVar("Item", bound=Numbered)
Result = TypeVar("Result", bound=Frozen)
LayOut = Callable[[Sequence[Item], int, Any], list[Ask]]
"""Makes the asks of all items, of items, the token that a text begins with, and the tokenizer: item by item, as many of
each, with one continuation each."""


@dataclass(frozen=True)
class SentenceTask(ModelTask[SentenceLikelihoods, Result], Generic[Item, Result]):
    """What both models read.

    Attributes:
        asks: Item by item, as many of each.
        summed: Whether a value is the log-likelihood of a whole text, or the mean over its tokens.
    """

    benchmark: Benchmark[Item, Result]
    asked: AskedSentences[Item]
    asks: Sequence[Ask]
    summed: bool

    @property
    def prompts(self) -> Sequence[Sequence[int]]:
        """Every text behind its beginning."""
        return [(*ask.prompt, *ask.continuations[0]) for ask in self.asks]

    @property
    def lengths(self) -> Floats:
        """Tokens that each value is summed over, (items, values of an item); 1 for a mean."""
        lengths = [len(ask.continuations[0]) if self.summed else 1 for ask in self.asks]
        return np.array(lengths, dtype=np.float64).reshape(len(self.asked.items), -1)

    def read(self, model: EvaluatedModel) -> SentenceLikelihoods:
        """Return the log-likelihood of each text.

        Raises:
            UnusableData: One is NaN or infinite; names the model and the item.
        """
        found = likelihoods(model, self.asks, self.benchmark.corpus.title, unit="texts")
        values = found.values[:, 0].astype(np.float64).reshape(len(self.asked.items), -1) * self.lengths
        spoilt = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if len(spoilt):
            item = f"{self.benchmark.layout.number} {self.asked.items[spoilt[0]].number}"
            raise UnusableData(
                f"The {model.name} model returned NaN or an infinity for {item} of {self.benchmark.corpus.title}.",
                "Its weights are broken: check them with `release verify`.",
            )
        return SentenceLikelihoods(values, found.recalled, found.seconds)

    def compare(self, dense: SentenceLikelihoods, pruned: SentenceLikelihoods) -> Result:
        """Compare the likelihoods item by item."""
        return self.benchmark.compare(self.asked, dense, pruned)

    def write(self, dense: SentenceLikelihoods, pruned: SentenceLikelihoods, sides: Sides) -> None:
        """Write every likelihood."""
        layout = self.benchmark.layout
        layout.write(sides.evaluation / layout.file_name, self.asked.items, dense.values, pruned.values)


def prepare(
    benchmark: Benchmark[Item, Result], lay_out: LayOut[Item], about: EvalContext, *, summed: bool
) -> SentenceTask[Item, Result] | None:
    """Draw the items and tokenise their texts.

    Raises:
        MissingSource: The data cannot be fetched.
        UnusableBase: The tokenizer cannot read them.
        UnusableData: It has no token that a text could begin with.
    """
    plan, corpus = about.plan, benchmark.corpus
    amount = getattr(plan, benchmark.key)
    if amount == "off":
        return None
    items, data = corpus.read(about.console)
    chosen = corpus.drawn(items, amount, plan.sampling_seed)
    start = start_of(about.tokenizer, corpus.remedy)
    seed = None if len(chosen) == len(items) else plan.sampling_seed
    asked = AskedSentences(chosen, data, seed, start, plan.eval_dtype)
    return SentenceTask(benchmark, asked, lay_out(chosen, start, about.tokenizer), summed)


def continued(texts: Sequence[tuple[str, str]], start: int, tokenizer: Any) -> list[Ask]:
    """Return the asks of texts that come in two parts: how likely the second is after the first.

    Both are tokenised as one text, since a tokenizer may join what stands on either side, and read as the second from
    the first token on that the first part alone does not have.

    Args:
        texts: First and second part, with the white space between them; the first may be empty.
        start: Token that a text begins with.
    """
    heads = tokenise([first for first, _ in texts], tokenizer)
    wholes = tokenise([first + second for first, second in texts], tokenizer)
    return [_cut(head.tolist(), whole.tolist(), start) for head, whole in zip(heads, wholes, strict=True)]


def _cut(head: list[int], whole: list[int], start: int) -> Ask:
    differs = (place for place, pair in enumerate(zip(head, whole, strict=False)) if pair[0] != pair[1])
    shared = min(next(differs, len(head)), len(whole) - 1)
    return Ask((start, *whole[:shared]), (tuple(whole[shared:]),))


def start_of(tokenizer: Any, remedy: str) -> int:
    """Return the token behind which a text is read: what the tokenizer puts in front of a text, else its own ends.

    Raises:
        UnusableData: There is none.
    """
    known = (*opening(tokenizer), tokenizer.bos_token_id, tokenizer.eos_token_id)
    found: int | None = next((token for token in known if token is not None), None)
    if found is None:
        raise UnusableData("The tokenizer has no token that begins or ends a text.", remedy)
    return found
