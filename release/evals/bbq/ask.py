"""BBQ asked of one model: which answer it gives to each item, by one of three readings.

`letters` and `answers` take the answer that a model finds likeliest, averaged over three orders of the options, so
that a preference for a letter or a place cancels. `generate` is the protocol of arXiv 2605.08137: the model writes,
and a strict parser reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from release.errors import UnusableData
from release.evals.bbq.answers import Answers, Task, by_answer
from release.evals.bbq.items import Item
from release.evals.bbq.parse import parse
from release.evals.bbq.prompts import AS_SHOWN, ROTATIONS, Prompter
from release.evals.bbq.rates import rate
from release.evals.bbq.result import Sampling
from release.evals.bbq.sample import Sample
from release.evals.bbq.scores import Templates
from release.evals.engine.generate import NOTHING, STUDY, Generated, ending_tokens, generate
from release.evals.engine.likelihood import Ask, likelihoods
from release.evals.engine.subject import EvaluatedModel
from release.models.load import context_window, read_config
from release.values import Rate, Reading, Tokens

FLOOR = 60
"""Items on which rounding is measured: each is read alone, which takes as long as five in trees."""


@dataclass(frozen=True)
class Script:
    """A task as token ids.

    Attributes:
        prompts: One per item and rotation, item by item; one per item where answers are generated.
        asks: What may follow each prompt; none where answers are generated.
        sampling: How answers are generated; None where they are not.
    """

    task: Task
    prompter: Prompter
    prompts: tuple[Tokens, ...]
    asks: tuple[Ask, ...]
    sampling: Sampling | None

    @property
    def rotations(self) -> int:
        """Prompts per item."""
        return len(self.prompts) // len(self.task.items)

    def part(self, chosen: Sequence[int]) -> "Script":
        """Return the script of some of the items."""
        turns = [index * self.rotations + turn for index in chosen for turn in range(self.rotations)]
        sample = Sample(tuple(self.task.items[i] for i in chosen), self.task.sample.population, None)
        return Script(
            replace(self.task, sample=sample),
            self.prompter,
            tuple(self.prompts[turn] for turn in turns),
            tuple(self.asks[turn] for turn in turns) if self.asks else (),
            self.sampling,
        )


def prepare(sample: Sample, tokenizer: Any, folder: Path, reading: Reading) -> Script:
    """Render and tokenise the prompts.

    Raises:
        UnusableBase: The tokenizer has no single tokens for the letters, and letters are to be read.
        UnusableData: A prompt is longer than the model's context window.
    """
    prompter = Prompter(tokenizer)
    turns = range(1 if reading == "generate" else ROTATIONS)
    texts = prompter.texts([(item, turn) for item in sample.items for turn in turns])
    prompts = tuple(tuple(ids) for ids in prompter.encode(texts))
    asks: tuple[Ask, ...] = ()
    if reading == "letters":
        letters = tuple((token,) for token in prompter.letters(texts[0]))
        asks = tuple(Ask(prompt, letters) for prompt in prompts)
    elif reading == "answers":
        asks = tuple(_with_answers(prompter, sample.items[i // len(turns)], ids) for i, ids in enumerate(prompts))
    script = Script(
        Task(sample, reading, prompter.style), prompter, prompts, asks, STUDY if reading == "generate" else None
    )
    _require_short(script, context_window(read_config(folder)))
    return script


def _with_answers(prompter: Prompter, item: Item, prompt: Tokens) -> Ask:
    return Ask(prompt, tuple(tuple(prompter.continuation(answer)) for answer in item.answers))


def _require_short(script: Script, window: int | None) -> None:
    """Refuse a prompt that does not fit into the context window together with its answer."""
    added = script.sampling.new_tokens if script.sampling else 0
    sizes = [len(prompt) + added for prompt in script.prompts]
    for index, ask in enumerate(script.asks):
        sizes[index] += max(map(len, ask.continuations)) - 1
    longest = int(np.argmax(sizes))
    if window is not None and sizes[longest] > window:
        raise UnusableData(
            f"BBQ item {_name(script.task.items[longest // script.rotations])} takes {sizes[longest]} tokens,"
            f" but the model reads at most {window}.",
            "Leave BBQ and latency out with --bbq off --latency off.",
        )


def _name(item: Item) -> str:
    return f"{item.category} {item.example_id}"


def ask(subject: EvaluatedModel, script: Script, alone: bool = False) -> Answers:
    """Ask a model every item.

    Args:
        alone: Read every prompt in a pass of its own: mathematically the same.

    Raises:
        UnusableData: The model answered with NaN or an infinity; names the model and the item.
    """
    if script.sampling is not None:
        ends = ending_tokens(subject.folder, script.prompter.tokenizer)
        found = generate(subject, script.prompts, script.sampling, ends, "BBQ", alone)
        return _parsed(script, found)
    read = likelihoods(subject, script.asks, "BBQ", alone)
    by_turn = read.values.reshape(len(script.task.items), script.rotations, 3)
    _require_finite(by_turn, subject.name, script.task.items)
    letters = by_turn if script.task.reading == "letters" else None
    values = by_answer(by_turn) if letters is not None else np.asarray(by_turn.mean(axis=1), dtype=np.float32)
    choices = np.asarray(values.argmax(axis=1), dtype=np.int64)[:, None]
    return Answers(choices, values, letters, None, read.recalled, read.seconds)


def _parsed(script: Script, found: Generated) -> Answers:
    decode = script.prompter.tokenizer.decode
    texts = np.empty(found.tokens.shape[:2], dtype=object)
    choices = np.empty(found.tokens.shape[:2], dtype=np.int64)
    for (index, run), _ in np.ndenumerate(texts):
        item, ids = script.task.items[index], found.tokens[index, run]
        said = str(decode(ids[ids != NOTHING].tolist(), skip_special_tokens=True))
        texts[index, run] = said
        choices[index, run] = parse(said, item.answers, item.unknown, AS_SHOWN, script.task.phrases)
    return Answers(choices, None, None, texts, found.recalled, found.seconds)


def _require_finite(values: NDArray[np.float32], name: str, items: Sequence[Item]) -> None:
    spoilt = np.flatnonzero(~np.isfinite(values).all(axis=(1, 2)))
    if len(spoilt):
        raise UnusableData(
            f"The {name} model returned NaN or an infinity for BBQ item {_name(items[spoilt[0]])}"
            f" ({len(spoilt)} of {len(items)} items).",
            "Its weights are broken: check them with `release verify`.",
        )


def rounding(subject: EvaluatedModel, script: Script, known: Answers) -> Rate:
    """Ask some items again, each prompt alone, and return how many answers the other order of sums changed.

    Args:
        known: What the same model answered.
    """
    count = len(script.task.items)
    chosen = np.unique(np.linspace(0, count - 1, min(FLOOR, count)).round().astype(int)).tolist()
    again = ask(subject, script.part(chosen), alone=True)
    changed = (again.choices != known.choices[chosen]).any(axis=1)
    return rate(Templates([script.task.items[index] for index in chosen]), changed, np.ones_like(changed))
