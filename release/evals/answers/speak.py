"""Greedy answers of one model, with the tokens that it found likely at every place.

The two models are never in memory together, yet each must say how likely it found the other's token where the answers
part. Up to there both have read the same, so nothing needs to be read again: it is enough to keep, at every place, the
tokens to which a model gave `FLOOR` at least. There are 1 / `FLOOR` of them at most, mostly a few dozen; of all others
it is known that they were less likely.
"""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from transformers import GenerationConfig, LogitsProcessorList

from release.errors import UnusableData
from release.evals.answers.reading import FLOOR, Answer, SpokenToken, flat, unfolded
from release.evals.engine.subject import EvaluatedModel
from release.models.layers import told_by_layer
from release.models.logprobs import TOLERANCE, read
from release.models.reader import ModelReader, Resident
from release.models.tree import Query
from release.progress import Advance
from release.values import Tokens

LABEL = "Sample answers"
QUESTION = "greedy answer with likely tokens"


class Spoken(NamedTuple):
    """What a model answered.

    Attributes:
        answers: One for each prompt, the end of the answer included; None where the model does not fit into memory.
        recalled: Prompts whose answers were known before.
        seconds: Wall time.
    """

    answers: tuple[Answer, ...] | None
    recalled: int
    seconds: float


def speak(subject: EvaluatedModel, prompts: Sequence[Tokens], ends: frozenset[int], most: int) -> Spoken:
    """Answer every prompt greedily; what is known is not answered again.

    Args:
        ends: Tokens that end an answer.
        most: Tokens of one answer, at most.

    Raises:
        UnusableData: The model gave NaN.
    """
    started = time.perf_counter()
    # All are answered in one batch, and how that rounds depends on all: each is kept as one of these, all or none.
    keys = [subject.store.key(f"{QUESTION}, {most}", prompt, sorted(ends), *prompts) for prompt in prompts]
    known = subject.store.recall(keys)
    recalled = len(keys) if all(key in known for key in keys) else 0
    if recalled < len(keys):
        reader = subject.reader
        if not isinstance(reader, Resident):
            return Spoken(None, recalled, time.perf_counter() - started)
        with subject.step(LABEL, len(keys), "answers") as advance:
            found = _answered(reader, prompts, ends, most, lambda share: advance(share * len(keys)))
        for key, answer in zip(keys, found, strict=True):
            _require_numbers(answer, subject.name)
            known[key] = flat(answer)
            subject.store.put(key, known[key])
    return Spoken(tuple(unfolded(known[key]) for key in keys), recalled, time.perf_counter() - started)


def _require_numbers(answer: Answer, name: str) -> None:
    if any(math.isnan(value) for said in answer for value in said.likely.values()):
        raise UnusableData(
            f"The {name} model returned NaN for a sample question.",
            "Its weights are broken: check them with `release verify`.",
        )


@torch.inference_mode()
def _answered(
    reader: Resident, prompts: Sequence[Tokens], ends: frozenset[int], most: int, advance: Advance
) -> list[Answer]:
    """Answer all at once where this model reads padded prompts as it reads them alone, else one by one."""
    with _plain(reader.module, ends):
        if _takes_padding(reader, prompts):
            return _generated(reader, prompts, most, ends, advance)
        share = 1 / len(prompts)
        return [_generated(reader, [prompt], most, ends, lambda part: advance(part * share))[0] for prompt in prompts]


@contextmanager
def _plain(module: Any, ends: frozenset[int]) -> Iterator[None]:
    """Let a model decode by nothing but its own likeliest token, whatever its folder says of generating."""
    before = module.generation_config
    stop = sorted(ends)
    module.generation_config = GenerationConfig(eos_token_id=stop or None, pad_token_id=stop[0] if stop else 0)
    try:
        yield
    finally:
        module.generation_config = before


def _takes_padding(reader: ModelReader, prompts: Sequence[Tokens]) -> bool:
    """Whether the shortest prompt, padded most, gives the same log-probabilities as alone."""
    if len({len(prompt) for prompt in prompts}) == 1:
        return True
    shortest = min(range(len(prompts)), key=lambda index: len(prompts[index]))
    [(_, alone)] = read(reader, [Query(prompts[shortest])], lambda _: None, alone=True)
    watch = Watch()
    try:
        _run(reader, prompts, 1, watch)
    except (TypeError, ValueError, RuntimeError, NotImplementedError):
        return False
    padded = watch.first[shortest].to(alone.device)
    return torch.allclose(alone[-1], padded, rtol=0, atol=TOLERANCE[reader.dtype], equal_nan=True)


def _generated(
    reader: ModelReader, prompts: Sequence[Tokens], most: int, ends: frozenset[int], advance: Advance
) -> list[Answer]:
    watch = Watch()
    with told_by_layer(reader.module, lambda part: advance(part / most)):
        said = _run(reader, prompts, most, watch)
    answers = []
    for row, tokens in enumerate(said):
        stop = next((place for place, token in enumerate(tokens) if token in ends), len(tokens) - 1)
        answers.append(tuple(SpokenToken(tokens[at], watch.likely[at][row]) for at in range(stop + 1)))
    return answers


def _run(reader: ModelReader, prompts: Sequence[Tokens], most: int, watch: "Watch") -> list[list[int]]:
    """Return the new tokens of every prompt; the prompts are padded in front."""
    width = max(map(len, prompts))
    pad = reader.module.generation_config.pad_token_id
    ids = [[pad] * (width - len(prompt)) + list(prompt) for prompt in prompts]
    seen = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    found: torch.Tensor = reader.module.generate(
        input_ids=torch.tensor(ids, device=reader.device),
        attention_mask=torch.tensor(seen, device=reader.device),
        do_sample=False,
        num_beams=1,
        max_new_tokens=most,
        logits_processor=LogitsProcessorList([watch]),
    )
    said: list[list[int]] = found[:, width:].tolist()
    return said


class Watch:
    """Notes at every step what a model finds likely; `generate` takes it for one of its processors.

    Attributes:
        first: Log-probabilities of the first step, (prompts, vocabulary).
        likely: Step → prompt → token → log-probability.
    """

    def __init__(self) -> None:
        self.first = torch.empty(0)
        self.likely: list[list[dict[int, float]]] = []

    def __call__(self, _: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Note the scores of one step and give them back as they are."""
        logs = scores.float().log_softmax(dim=-1)
        if not self.likely:
            self.first = logs
        self.likely.append([_likely(*each) for each in zip(logs, scores.argmax(dim=-1).tolist(), strict=True)])
        return scores


def _likely(logs: torch.Tensor, best: int) -> dict[int, float]:
    """Return the tokens with `FLOOR` at least, and the best one whatever it has."""
    kept = torch.nonzero(logs >= math.log(FLOOR)).flatten().tolist()
    kept = kept if best in kept else [*kept, best]
    return dict(zip(kept, logs[kept].tolist(), strict=True))
