"""How likely a model finds continuations of prompts."""

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

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


def likelihoods(subject: EvaluatedModel, asks: Sequence[Ask], label: str, alone: bool = False) -> Likelihoods:
    """Return how likely every continuation is; what is known is not computed again.

    Args:
        asks: All with as many continuations.
        label: What the progress is called.
        alone: Read every sequence in a pass of its own: mathematically the same.
    """
    started = time.perf_counter()
    question = QUESTION + (", alone" if alone else "")
    keys = [subject.store.key(question, ask.prompt, *ask.continuations) for ask in asks]
    known = subject.store.recall(keys)
    recalled = sum(key in known for key in keys)
    todo = {key: ask for key, ask in zip(keys, asks, strict=True) if key not in known}
    if todo:
        names = list(todo)
        with subject.console.step(f"{label}, {subject.name}", 1) as advance:
            for index, values in _computed(subject, list(todo.values()), advance, alone):
                known[names[index]] = values
                subject.store.put(names[index], values)
    return Likelihoods(np.stack([known[key] for key in keys]), recalled, time.perf_counter() - started)


def _computed(
    subject: EvaluatedModel, asks: Sequence[Ask], advance: Advance, alone: bool
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield each ask as soon as all its continuations are read."""
    places: dict[Query, list[tuple[int, int]]] = {}
    for index, ask in enumerate(asks):
        for number, continuation in enumerate(ask.continuations):
            sequence = Query((*ask.prompt, *continuation[:-1]), len(continuation))
            places.setdefault(sequence, []).append((index, number))
    sequences = list(places)
    values = np.empty((len(asks), len(asks[0].continuations)), dtype=np.float32)
    missing = [len(ask.continuations) for ask in asks]
    for at, rows in read(subject.reader, sequences, advance, alone):
        for index, number in places[sequences[at]]:
            target = torch.tensor(asks[index].continuations[number], device=rows.device)
            values[index, number] = float(rows.gather(1, target[:, None]).cpu().double().mean())
            missing[index] -= 1
            if not missing[index]:
                yield index, values[index].copy()
