"""The bias lens: BBQ items with what the dense and the pruned model chose when the release was measured.

The texts come from this Space's examples.json, with BBQ's attribution; the answers from the pruned model's own
`evaluation/bbq.parquet`, which holds no text. An item is shown where both know it.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow
from huggingface_hub import hf_hub_download
from lineup import HERE, Source, once
from pyarrow import parquet
from reading import facts
from trouble import UNREADABLE
from turns import SIDES

TEXTS = HERE / "examples.json"
ANSWERS = "evaluation/bbq.parquet"
STYLES = ("chat", "chat without system role", "plain")
"""How a record says that prompts were rendered, as far as the same is done here."""
CLOSE = 0.02
"""A changed answer is a close call where a model put its own answer less than this before the other model's."""
KINDS = {
    "to": "Flipped to the stereotype",
    "away": "Flipped away from the stereotype",
    "other": "Changed otherwise",
    "close": "Close calls",
    "same": "Unchanged",
}
ANY = "any"

Key = tuple[str, int]


class Unreadable(Exception):
    """A model's tokenizer cannot ask as the measurement did; says why."""


@dataclass(frozen=True)
class LiveReading:
    """What one model says now.

    Attributes:
        shares: The probability of each answer, which sum to 1.
        choice: Index of the likeliest.
    """

    shares: tuple[float, ...]
    choice: int


@dataclass(frozen=True)
class BbqItem:
    """One question of BBQ.

    Attributes:
        condition: `ambig` where the context leaves the answer open, `disambig` where it settles it.
        answers: Three.
        unknown: Index of the answer that says it cannot be known.
        target: Index of the answer that follows the stereotype; None where BBQ counts none.
        label: Index of the right answer.
        prompt: The whole as it was asked, the answers in their own order.
    """

    category: str
    example_id: int
    condition: str
    context: str
    question: str
    answers: tuple[str, ...]
    unknown: int
    target: int | None
    label: int
    prompt: str


@dataclass(frozen=True)
class Asked:
    """One item with both models' answers.

    Attributes:
        choices: Side → index of the answer that it chose; -1 for none.
        shares: Side → the weight of each answer, which sum to 1: probabilities from the log-probabilities averaged over
            the orders of the options; where answers were generated, how often each came.
        kind: A key of `KINDS`.
    """

    item: BbqItem
    choices: Mapping[str, int]
    shares: Mapping[str, tuple[float, ...]]
    kind: str

    @property
    def moved(self) -> float:
        """How far the shares moved, 0 to 1: half the sum of their changes (the total variation distance)."""
        pairs = zip(self.shares["dense"], self.shares["pruned"], strict=True)
        return sum(abs(one - other) for one, other in pairs) / 2


@dataclass(frozen=True)
class Lens:
    """What is known about one variant's answers; empty, with the reason, where nothing is.

    Attributes:
        asked: The items, those whose shares moved farthest first.
        style: How the prompts were rendered, as the record states it; None where it does not.
    """

    asked: tuple[Asked, ...] = ()
    trouble: str | None = None
    style: str | None = None

    @property
    def categories(self) -> list[str]:
        """The categories that have items."""
        return sorted({each.item.category for each in self.asked})

    def select(self, kind: str = ANY, category: str = ANY) -> list[Asked]:
        """Return the items of a kind and a category; `any` is for all."""
        return [each for each in self.asked if kind in (ANY, each.kind) and category in (ANY, each.item.category)]


def attribution() -> str:
    """Return whom the texts are owed to; empty where there are none."""
    return str(_stored().get("attribution", "")) if texts() else ""


def instruction() -> str:
    """Return what stood before every question when it was measured; empty where that is not known."""
    return str(_stored().get("instruction", ""))


@lru_cache(maxsize=1)
def texts() -> dict[Key, BbqItem]:
    """Read the items of examples.json that carry all they need."""
    return {(item.category, item.example_id): item for item in _items(_stored().get("examples", []))}


def _stored() -> dict[str, Any]:
    try:
        stored = json.loads(TEXTS.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}


def _items(examples: Sequence[Mapping[str, Any]]) -> Iterator[BbqItem]:
    for each in examples:
        if "answers" in each:
            named = {name: each[name] for name in BbqItem.__dataclass_fields__}
            yield BbqItem(**named | {"answers": tuple(each["answers"]), "example_id": int(each["example_id"])})


@once
def lens(source: Source) -> Lens:
    """Return what a variant and its base answered, from its folder or from the Hub."""
    if source.copy is not None:
        return Lens(trouble="This copy was made here and not measured, so no answers of it are stored.")
    if not texts():
        return Lens(trouble="This Space was built without BBQ items.")
    try:
        path = Path(source.path) / ANSWERS if source.path else Path(hf_hub_download(source.id, ANSWERS))
        rows = parquet.read_table(path).to_pylist()
        asked = tuple(sorted(_read(rows), key=lambda each: -each.moved))
    except (*UNREADABLE, pyarrow.ArrowException):
        return Lens(trouble=f"{source.id} holds no {ANSWERS} that can be read, so its answers are not known.")
    return Lens(
        asked,
        None if asked else f"{source.id} was asked none of the items that this Space holds.",
        facts(source).bbq_prompt,
    )


def _read(rows: Sequence[Mapping[str, Any]]) -> Iterator[Asked]:
    known, found = texts(), dict[Key, dict[str, list[Mapping[str, Any]]]]()
    for row in rows:
        key = row["category"], row["example_id"]
        if key in known:
            found.setdefault(key, {}).setdefault(row["model"], []).append(row)
    for key, item in known.items():
        runs = found.get(key, {})
        if set(SIDES) <= set(runs):
            shares = {side: _shares(runs[side]) for side in SIDES}
            choices = {side: _choice(runs[side]) for side in SIDES}
            yield Asked(item, choices, shares, _kind(choices, shares, item.target))


def _shares(runs: Sequence[Mapping[str, Any]]) -> tuple[float, ...]:
    logs = [value for answer in range(3) if (value := runs[0].get(f"logp_ans{answer}")) is not None]
    if len(logs) == 3:
        return shares_of(logs)
    return tuple(sum(run["choice"] == answer for run in runs) / len(runs) for answer in range(3))


def shares_of(logs: Sequence[float]) -> tuple[float, ...]:
    """Return probabilities in proportion to exp(logs); they sum to 1."""
    weights = [math.exp(value - max(logs)) for value in logs]
    return tuple(weight / sum(weights) for weight in weights)


def _choice(runs: Sequence[Mapping[str, Any]]) -> int:
    """The answer chosen, where there are several runs the commonest one."""
    choices = [int(run["choice"]) for run in runs]
    return max(choices, key=choices.count)


def _kind(choices: Mapping[str, int], shares: Mapping[str, Sequence[float]], target: int | None) -> str:
    dense, pruned = (choices[side] for side in SIDES)
    if dense == pruned:
        return "same"
    if _is_close(choices, shares):
        return "close"
    if target in (dense, pruned):
        return "to" if pruned == target else "away"
    return "other"


def _is_close(choices: Mapping[str, int], shares: Mapping[str, Sequence[float]]) -> bool:
    """Whether either model put its own answer less than `CLOSE` before the other model's."""
    dense, pruned = (choices[side] for side in SIDES)
    if min(dense, pruned) < 0:
        return False
    leads = shares["dense"][dense] - shares["dense"][pruned], shares["pruned"][pruned] - shares["pruned"][dense]
    return min(leads) < CLOSE
