"""How likely a model finds continuations of prompts."""

import time
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from release.evals.engine.begun import begun_with
from release.evals.engine.subject import EvaluatedModel
from release.models.logprobs import read
from release.models.tree import Query
from release.progress import Advance
from release.values import Tokens

QUESTION = "mean log-probability per token"


class Ask(NamedTuple):
    """A prompt and what might follow it.

    Attributes:
        prompt: Token ids, at least one.
        continuations: Token ids of each, at least one.
    """

    prompt: Tokens
    continuations: tuple[Tokens, ...]


class Likelihoods(NamedTuple):
    """What a model makes of the asks.

    Attributes:
        values: Mean log-probability per token of each continuation, over the whole vocabulary, in nats,
            (asks, continuations); NaN where the model gave NaN.
        recalled: Asks that were known before.
        seconds: Wall time.
    """

    values: NDArray[np.float32]
    recalled: int
    seconds: float


class PassObserver(Protocol):
    """Looks at the passes over asks of one continuation each, so that another evaluation needs none of its own."""

    def wanted(self, subject: EvaluatedModel) -> Collection[int]:
        """Return the asks, by their number, that it must see, whether or not their values are known."""
        ...

    def see(self, subject: EvaluatedModel, ask: int, rows: torch.Tensor) -> None:
        """Look at the log-probabilities that an ask's tokens were read from, (tokens, V).

        Of asks that are the same, the first alone is seen.
        """
        ...


def likelihoods(
    subject: EvaluatedModel,
    asks: Sequence[Ask],
    label: str,
    alone: bool = False,
    watch: PassObserver | None = None,
    unit: str = "prompts",
) -> Likelihoods:
    """Return how likely every continuation is; what is known is not computed again, unless somebody must see it.

    Args:
        asks: All with as many continuations.
        label: What the progress is called.
        alone: Read every sequence in a pass of its own: mathematically the same.
        watch: Sees what is read.
        unit: What an ask is called, in the plural.
    """
    started = time.perf_counter()
    question = QUESTION + (", alone" if alone else "")
    keys = [subject.store.key(question, ask.prompt, *ask.continuations) for ask in asks]
    wanted = {keys[index] for index in watch.wanted(subject)} if watch else set()
    known = subject.store.recall(key for key in keys if key not in wanted)
    recalled = sum(key in known for key in keys)
    first: dict[bytes, int] = {}
    for index, key in enumerate(keys):
        first.setdefault(key, index)
    todo = {index for key, index in first.items() if key not in known}
    if todo:
        laid = begun_with(subject.store, question, keys, {keys[index] for index in todo})
        with subject.step(label, len(todo), unit) as advance:
            for index, values, rows in _computed(subject, asks, [first[key] for key in laid], todo, alone, advance):
                known[keys[index]] = values
                subject.store.put(keys[index], values)
                if watch:
                    watch.see(subject, index, rows)
    return Likelihoods(np.stack([known[key] for key in keys]), recalled, time.perf_counter() - started)


def _computed(
    subject: EvaluatedModel,
    asks: Sequence[Ask],
    chosen: Sequence[int],
    needed: Collection[int],
    alone: bool,
    advance: Advance,
) -> Iterator[tuple[int, NDArray[np.float32], torch.Tensor]]:
    """Yield each needed ask as soon as all its continuations are read: its number, its values, and what was read last.

    That is the log-probabilities of a continuation, (tokens, V). `advance` is told asks, and parts of one. Passes are
    laid out for all chosen asks; of those in a pass with a needed one some are yielded, too.
    """
    places: dict[Query, list[tuple[int, int]]] = {}
    for index in chosen:
        for number, continuation in enumerate(asks[index].continuations):
            sequence = Query((*asks[index].prompt, *continuation[:-1]), len(continuation))
            places.setdefault(sequence, []).append((index, number))
    sequences = list(places)
    wanted = {at for at, sequence in enumerate(sequences) if any(index in needed for index, _ in places[sequence])}
    values = {index: np.empty(len(asks[index].continuations), dtype=np.float32) for index in chosen}
    missing = {index: len(asks[index].continuations) for index in chosen}
    for at, rows in read(subject.reader, sequences, lambda share: advance(share * len(needed)), alone, wanted):
        for index, number in places[sequences[at]]:
            target = torch.tensor(asks[index].continuations[number], device=rows.device)
            values[index][number] = float(rows.gather(1, target[:, None]).cpu().double().mean())
            missing[index] -= 1
            if not missing[index]:
                yield index, values[index], rows
