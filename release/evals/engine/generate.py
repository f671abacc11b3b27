"""Short sampled answers that do not depend on the order in which they are drawn.

A token is drawn by adding Gumbel noise to the logits and taking the largest (Gumbel 1954), which is exactly a draw
from the softmax. The noise depends on the seed, the prompt and the step alone, so two models that are asked the same
draw with the same random numbers: what differs between their answers is the models' doing.
"""

import hashlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from transformers import GenerationConfig

from release.evals.bbq.result import Sampling
from release.evals.engine.begun import begun_with
from release.evals.engine.subject import EvaluatedModel
from release.models.logprobs import read
from release.models.tree import Query
from release.progress import Advance
from release.values import Tokens

STUDY = Sampling(temperature=0.3, new_tokens=5, seeds=(42, 123, 456, 789, 1024))
"""As in arXiv 2605.08137."""
PORTION = 64
"""Prompts that are answered together; a kill costs at most these."""
NOTHING = -1
"""Stands where an answer ended early."""


class Generated(NamedTuple):
    """What a model answered.

    Attributes:
        tokens: (prompts, seeds, new tokens), NOTHING after the end of an answer.
        recalled: Prompts whose answers were known before.
        seconds: Wall time.
    """

    tokens: NDArray[np.int64]
    recalled: int
    seconds: float


def generate(
    subject: EvaluatedModel,
    prompts: Sequence[Tokens],
    sampling: Sampling,
    ends: frozenset[int],
    label: str,
    alone: bool,
) -> Generated:
    """Answer every prompt once for each seed; what is known is not drawn again.

    Args:
        ends: Tokens that end an answer; they are no part of it.
        label: What the progress is called.
        alone: Read every sequence in a pass of its own: mathematically the same.
    """
    started = time.perf_counter()
    question = f"generated, {sampling.model_dump_json()}" + (", alone" if alone else "")
    keys = [subject.store.key(question, prompt, sorted(ends)) for prompt in prompts]
    known = subject.store.recall(keys)
    recalled = sum(key in known for key in keys)
    asked = dict(zip(keys, prompts, strict=True))
    todo = asked.keys() - known.keys()
    if todo:
        laid = [(key, asked[key]) for key in begun_with(subject.store, question, keys, todo)]
        portions = [laid[start : start + PORTION] for start in range(0, len(laid), PORTION)]
        portions = [portion for portion in portions if any(key in todo for key, _ in portion)]
        with subject.step(label, sum(map(len, portions)), "prompts") as advance:
            for portion in portions:
                drawn = _drawn(subject, [prompt for _, prompt in portion], sampling, ends, alone, advance)
                for (key, _), tokens in zip(portion, drawn, strict=True):
                    known[key] = tokens.astype(np.float32).reshape(-1)
                    subject.store.put(key, known[key])
    shape = (len(prompts), len(sampling.seeds), sampling.new_tokens)
    tokens = np.stack([known[key] for key in keys]).reshape(shape).astype(np.int64)
    return Generated(tokens, recalled, time.perf_counter() - started)


def _drawn(
    subject: EvaluatedModel,
    prompts: Sequence[Tokens],
    sampling: Sampling,
    ends: frozenset[int],
    alone: bool,
    advance: Advance,
) -> NDArray[np.int64]:
    """Draw token by token; answers that are still the same share a sequence."""
    tokens = np.full((len(prompts), len(sampling.seeds), sampling.new_tokens), NOTHING, dtype=np.int64)
    running = {(index, run) for index in range(len(prompts)) for run in range(len(sampling.seeds))}
    share = len(prompts) / sampling.new_tokens

    def did(part: float) -> None:
        advance(part * share)

    for step in range(sampling.new_tokens):
        waiting: dict[Query, list[tuple[int, int]]] = {}
        for index, run in sorted(running):
            waiting.setdefault(Query((*prompts[index], *tokens[index, run, :step].tolist())), []).append((index, run))
        sequences = list(waiting)
        for at, rows in read(subject.reader, sequences, did, alone) if sequences else ():
            scaled = rows[-1].cpu().double().numpy() / sampling.temperature
            for index, run in waiting[sequences[at]]:
                noise = _noise(sampling.seeds[run], prompts[index], step, len(scaled))
                token = int((scaled + noise).argmax())
                if token in ends:
                    running.discard((index, run))
                else:
                    tokens[index, run, step] = token
    return tokens


def _noise(seed: int, prompt: Tokens, step: int, size: int) -> NDArray[np.float64]:
    """Return Gumbel noise that only these arguments decide."""
    digest = hashlib.sha256(np.asarray([seed, step, *prompt], dtype="<i8").tobytes()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little"))).gumbel(size=size)


def ending_tokens(folder: Path, tokenizer: object) -> frozenset[int]:
    """Return the tokens that end an answer, by the tokenizer and by a checkpoint folder's generation settings."""
    return frozenset(_flat(getattr(tokenizer, "eos_token_id", None), *_configured(folder)))


def _configured(folder: Path) -> Iterator[int | list[int] | None]:
    try:
        yield GenerationConfig.from_pretrained(folder, local_files_only=True).eos_token_id
    except OSError:
        return  # the folder holds no generation settings


def _flat(*values: int | list[int] | None) -> Iterator[int]:
    for value in values:
        yield from value if isinstance(value, list) else [] if value is None else [value]
