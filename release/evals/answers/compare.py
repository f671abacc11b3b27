"""Both models' answers beside each other: token by token for the table, and in short for the record."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, NamedTuple

from release.evals.answers.questions import VERSION, SampleQuestion
from release.evals.answers.reading import FLOOR, Answer
from release.evals.answers.result import AnsweredQuestion, Parting, PartingToken, SaidAnswer, SampleAnswers
from release.values import DataSource, Precision

UNASKED = -1.0
"""Stands where the other model was not there any more: behind the place where the answers part."""
UNLIKELY = 0.0
"""Stands for a probability below `FLOOR`."""
LONGEST = 240
"""Bytes of the text of one token that are kept; hostile tokenizers write books."""
BROKEN = "\ufffd"


class TokenRow(NamedTuple):
    """One token of one answer, as the table holds it.

    Attributes:
        text: What it adds to the text.
        end: Whether it ends the answer.
        dense: How likely the dense model found it; UNLIKELY below `FLOOR`, UNASKED where it was not asked.
        pruned: Likewise.
    """

    token: int
    text: str
    end: bool
    dense: float
    pruned: float


Rows = tuple[TokenRow, ...]


class AnswerPair(NamedTuple):
    """Both answers to one question."""

    dense: Rows
    pruned: Rows


@dataclass(frozen=True)
class QuestionSet:
    """What was asked, as far as a record names it."""

    questions: tuple[SampleQuestion, ...]
    new_tokens: int
    precision: Precision
    prompt: Any
    bbq: DataSource | None


def pair_of(dense: Answer, pruned: Answer, ends: frozenset[int], tokenizer: Any) -> AnswerPair:
    """Put the tokens of both answers beside each other."""
    at = parted_at([said.token for said in dense], [said.token for said in pruned])
    shared = len(dense) if at is None else at + 1
    rows = []
    for place, answer in enumerate((dense, pruned)):
        texts = pieces([said.token for said in answer], ends, tokenizer)
        counterpart = (dense, pruned)[1 - place][:shared]
        values = [_probabilities(said, other) for said, other in zip_longest(answer, counterpart)]
        rows.append(
            tuple(
                TokenRow(said.token, text, said.token in ends, *(value if not place else value[::-1]))
                for said, text, value in zip(answer, texts, values, strict=False)
            )
        )
    return AnswerPair(*rows)


def _probabilities(said: Any, other: Any) -> tuple[float, float]:
    """Return how likely its own model and the other one found a token."""
    if said is None:
        return UNASKED, UNASKED
    return _share(said.likely[said.token]), UNASKED if other is None else _share(other.likely.get(said.token))


def _share(log: float | None) -> float:
    return UNLIKELY if log is None else round(min(1.0, math.exp(log)), 6)


def parted_at(one: Sequence[int], other: Sequence[int]) -> int | None:
    """Return the place of the first token that two answers do not share; None where they are the same."""
    pairs = enumerate(zip_longest(one, other))
    return next((place for place, (left, right) in pairs if left != right), None)


def pieces(tokens: Sequence[int], ends: frozenset[int], tokenizer: Any) -> list[str]:
    """Return what every token adds to the text; a character in several tokens stands with the last of them."""
    found, before = [], ""
    for count in range(1, len(tokens) + 1):
        said = [token for token in tokens[:count] if token not in ends]
        text = tokenizer.decode(said, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        text = text if count == len(tokens) else text.rstrip(BROKEN)
        found.append(_bounded(text[len(before) :]) if text.startswith(before) else "")
        before = text if text.startswith(before) else before
    return found


def _bounded(text: str) -> str:
    return text.encode("utf-8", "replace")[:LONGEST].decode("utf-8", "ignore")


def summary(asked: QuestionSet, pairs: Iterable[AnswerPair], recalled: int = 0, seconds: float = 0.0) -> SampleAnswers:
    """Return what the record holds of the answers."""
    return SampleAnswers(
        version=VERSION,
        new_tokens=asked.new_tokens,
        precision=asked.precision,
        prompt=asked.prompt,
        bbq=asked.bbq,
        asked=tuple(_answered(*each) for each in zip(asked.questions, pairs, strict=True)),
        recalled=recalled,
        seconds=seconds,
    )


def _answered(question: SampleQuestion, pair: AnswerPair) -> AnsweredQuestion:
    at = parted_at([row.token for row in pair.dense], [row.token for row in pair.pruned])
    return AnsweredQuestion(
        key=question.key,
        question=question.text,
        dense=_said(pair.dense),
        pruned=_said(pair.pruned),
        parting=None if at is None else _parting(pair, at),
    )


def _said(rows: Rows) -> SaidAnswer:
    return SaidAnswer(text="".join(row.text for row in rows), tokens=len(rows), ended=rows[-1].end)


def _parting(pair: AnswerPair, at: int) -> Parting:
    shared = "".join(row.text for row in pair.dense[:at])
    dense, pruned = (_token(rows[at]) for rows in pair)
    return Parting(position=at, characters=len(shared), dense=dense, pruned=pruned)


def _token(row: TokenRow) -> PartingToken:
    dense, pruned = (value if value >= FLOOR else None for value in (row.dense, row.pruned))
    return PartingToken(text=row.text, dense=dense, pruned=pruned)
