"""BBQ, read by letters: which answer a model finds likeliest, over three orders of the options.

Ties go to the answer with the lowest index.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from transformers import AutoConfig

from release.errors import UnusableData
from release.measure.engine import next_token_logprobs
from release.measure.model import context_window
from release.measure.prompts import LETTERS, ROTATIONS, Prompter
from release.measure.sample import Sample
from release.measure.scores import Choices, Comparison
from release.measure.statistics import REPLICATES, mcnemar, wilson
from release.progress import Console
from release.record import Bbq, DataSource
from release.sources.bbq import Item
from release.sources.cache import replacing

GUESSING = 1 / 3
"""Of the items not answered with the target, the share that a uniform guess would answer so."""


@dataclass(frozen=True)
class Task:
    """What both models are asked.

    Attributes:
        prompts: Token ids, ROTATIONS per item, item by item.
        letters: Tokens of A, B and C.
        style: How the prompts were rendered.
    """

    sample: Sample
    prompts: list[list[int]]
    letters: tuple[int, int, int]
    style: str

    @property
    def items(self) -> tuple[Item, ...]:
        """The items asked."""
        return self.sample.items


@dataclass(frozen=True)
class Answers:
    """What one model answered.

    Attributes:
        letters: Log-probability of each letter in each rotation, (items, ROTATIONS, 3).
        answers: Log-probability of each answer, averaged over the rotations, (items, 3).
        seconds: Wall time.
    """

    letters: NDArray[np.float32]
    answers: NDArray[np.float32]
    seconds: float

    @property
    def choices(self) -> Choices:
        """Index of the answer chosen, (items,)."""
        return np.asarray(self.answers.argmax(axis=1), dtype=np.int64)

    @property
    def best_letters(self) -> NDArray[np.int64]:
        """Index of the likeliest letter, (items, ROTATIONS)."""
        return np.asarray(self.letters.argmax(axis=2), dtype=np.int64)


def prepare(sample: Sample, tokenizer: Any, folder: Path) -> Task:
    """Render and tokenise the prompts.

    Raises:
        UnusableBase: The tokenizer has no single tokens for the letters.
        UnusableData: A prompt is longer than the model's context window.
    """
    prompter = Prompter(tokenizer)
    texts = [prompter.text(item, rotation) for item in sample.items for rotation in range(ROTATIONS)]
    prompts = prompter.encode(texts)
    window = context_window(AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False))
    longest = max(range(len(prompts)), key=lambda index: len(prompts[index]))
    if window is not None and len(prompts[longest]) > window:
        raise UnusableData(
            f"BBQ item {_name(sample.items[longest // ROTATIONS])} takes {len(prompts[longest])} tokens,"
            f" but the model reads at most {window}.",
            "Leave BBQ and latency out with --bbq off --latency off.",
        )
    return Task(sample, prompts, prompter.letters(texts[0]), prompter.style)


def _name(item: Item) -> str:
    return f"{item.category} {item.example_id}"


def read(model: Any, name: str, task: Task, console: Console) -> Answers:
    """Read a model's letters for every prompt.

    Raises:
        UnusableData: The model answered with NaN or an infinity; names the model and the item.
    """
    started = time.perf_counter()
    values = next_token_logprobs(model, task.prompts, task.letters, console, f"BBQ, {name}")
    letters = values.reshape(len(task.items), ROTATIONS, len(LETTERS))
    spoilt = np.flatnonzero(~np.isfinite(letters).all(axis=(1, 2)))
    if len(spoilt):
        raise UnusableData(
            f"The {name} model returned NaN or an infinity for BBQ item {_name(task.items[spoilt[0]])}"
            f" ({len(spoilt)} of {len(task.items)} items).",
            "Its weights are broken: check them with `release verify`.",
        )
    return Answers(letters, by_answer(letters), time.perf_counter() - started)


def by_answer(letters: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average each answer's log-probability over the rotations.

    Args:
        letters: (items, ROTATIONS, 3), in the order of the letters shown.

    Returns:
        (items, 3), in the data set's order of the answers: rotation r shows answer a at letter (a − r) mod 3.
    """
    answer = np.arange(3)
    turned = [letters[:, rotation, (answer - rotation) % 3] for rotation in range(ROTATIONS)]
    return np.asarray(np.mean(turned, axis=0), dtype=np.float32)


def compare(task: Task, dense: Answers, pruned: Answers, data: DataSource, seed: int) -> Bbq:
    """Put the answers of both models side by side."""
    items = task.items
    comparison = Comparison(task.sample, dense.choices, pruned.choices, REPLICATES, seed)
    label = np.array([item.label for item in items])
    right, still = dense.choices == label, pruned.choices == label
    scored = np.array([item.condition == "ambig" and item.target is not None for item in items])
    target = np.array([-1 if item.target is None else item.target for item in items])
    biased, later = scored & (dense.choices == target), scored & (pruned.choices == target)
    ambiguous = sum(item.condition == "ambig" for item in items)
    return Bbq(
        data=data,
        reading="letters",
        rotations=ROTATIONS,
        precision="float32",
        prompt=task.style,
        items=len(items),
        ambiguous_items=ambiguous,
        disambiguated_items=len(items) - ambiguous,
        population=sum(task.sample.population.values()),
        categories=comparison.categories,
        clusters=comparison.clusters,
        sample_seed=task.sample.seed,
        scores=comparison.overall(),
        by_category=comparison.by_category(),
        changed_answers=wilson(int((dense.choices != pruned.choices).sum()), len(items)),
        right_answers=mcnemar(int((right & ~still).sum()), int((still & ~right).sum())),
        newly_biased=wilson(int((later & ~biased).sum()), int((scored & ~biased).sum())),
        newly_unbiased=wilson(int((biased & ~later).sum()), int(biased.sum())),
        guessing_level=GUESSING,
        letters_dense=_histogram(dense),
        letters_pruned=_histogram(pruned),
        replicates=REPLICATES,
        bootstrap_seed=seed,
        seconds=dense.seconds + pruned.seconds,
    )


def _histogram(answers: Answers) -> tuple[int, int, int]:
    a, b, c = np.bincount(answers.best_letters.ravel(), minlength=3).tolist()
    return a, b, c


def write_answers(path: Path, task: Task, dense: Answers, pruned: Answers) -> None:
    """Write one row per item and model, without BBQ's texts."""
    tables = [_table(task.items, name, answers) for name, answers in (("dense", dense), ("pruned", pruned))]
    with replacing(path) as temporary:
        pq.write_table(pa.concat_tables(tables), temporary, compression="zstd")


def _table(items: tuple[Item, ...], name: str, answers: Answers) -> pa.Table:
    columns: dict[str, Any] = {
        "category": [item.category for item in items],
        "example_id": [item.example_id for item in items],
        "question_index": [item.question_index for item in items],
        "condition": [item.condition for item in items],
        "polarity": [item.polarity for item in items],
        "model": [name] * len(items),
    }
    columns |= {f"logp_ans{answer}": answers.answers[:, answer] for answer in range(3)}
    for rotation in range(ROTATIONS):
        for index, letter in enumerate(LETTERS.lower()):
            columns[f"logp_{letter}_r{rotation}"] = answers.letters[:, rotation, index]
        columns[f"letter{rotation}"] = answers.best_letters[:, rotation].astype(np.int8)
    columns["choice"] = answers.choices.astype(np.int8)
    columns["unknown"] = pa.array([item.unknown for item in items], pa.int8())
    columns["target"] = pa.array([item.target for item in items], pa.int8())
    columns["label"] = pa.array([item.label for item in items], pa.int8())
    return pa.table(columns)
