"""Some sample answers held against both models again.

An answer is greedy if, read in one pass over the question and itself, every token of it was its model's likeliest. So
one forward pass finds out what decoding token by token would, and a near tie that rounding decides is no difference.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from release.checkpoint.files import content
from release.errors import UnusableData
from release.evals.again import REMEDY, Question, Spotted, Verdict
from release.evals.answers.again import FILE, questions
from release.evals.answers.compare import AnswerPair, TokenRow, parted_at, pieces
from release.evals.answers.reading import FLOOR
from release.evals.answers.result import SampleAnswers
from release.evals.answers.table import read_tokens
from release.evals.answers.work import encoded
from release.evals.engine.closeness import close
from release.evals.engine.generate import ending_tokens
from release.evals.engine.subject import EvaluatedModel
from release.evals.work import SIDES
from release.models.load import read_tokenizer
from release.models.logprobs import read
from release.models.tree import Query
from release.outside import Unfit
from release.values import Tokens

LABEL = "Sample answers again"


class HeldAnswer(NamedTuple):
    """One question with both recorded answers.

    Attributes:
        prompt: The question's token ids as the models got them.
    """

    prompt: Tokens
    pair: AnswerPair


def question(spotted: Spotted, known: SampleAnswers) -> Question:
    """Draw some questions, and hold the texts of their answers against the base's tokenizer.

    Raises:
        InputError: The table cannot be read, or this base is asked otherwise.
    """
    if FILE not in spotted.files.sizes:
        raise UnusableData(f"{FILE} is missing.", "Fetch the release again.")
    asked, tokenizer = tuple(questions(known)), read_tokenizer(spotted.dense)
    pairs = read_tokens(content(spotted.files, FILE), len(asked), known.new_tokens)
    try:
        prompt, tokens = encoded(tokenizer, asked)
    except Unfit as why:
        raise UnusableData(f"{why}.", REMEDY) from None
    if prompt != known.prompt:
        raise UnusableData("This base is asked otherwise than the record says.", REMEDY)
    drawn = [HeldAnswer(tokens[index], pairs[index]) for index in spotted.drawn(len(asked))]
    reworded = _reworded(drawn, ending_tokens(spotted.dense, tokenizer), tokenizer)

    def judge(found: Mapping[str, NDArray[Any]]) -> Verdict:
        if reworded:
            return False, f"the tokens of {reworded} of them give another text, or end elsewhere"
        recorded = {name: np.concatenate([_recorded(name, each.pair) for each in drawn]) for name in found}
        # Below `FLOOR` a probability was kept as 0.
        shares = {name: (np.maximum(found[name], FLOOR), np.maximum(recorded[name], FLOOR)) for name in found}
        return close(shares, "probabilities", known.precision)

    what = f"{len(drawn)} sample answers"
    return Question("answers", what, known.precision, "transformers", lambda model: _taken(model, drawn), judge)


def _reworded(drawn: Sequence[HeldAnswer], ends: frozenset[int], tokenizer: Any) -> int:
    """Count the answers whose tokens do not give the recorded text, or do not end where it says."""
    answers = [rows for each in drawn for rows in each.pair]
    said = [[row.token for row in rows] for rows in answers]
    texts = [
        pieces(tokens, ends, tokenizer) == [row.text for row in rows]
        for tokens, rows in zip(said, answers, strict=True)
    ]
    ended = [all((row.token in ends) == row.end for row in rows) for rows in answers]
    return sum(not (text and end) for text, end in zip(texts, ended, strict=True))


def _recorded(name: str, pair: AnswerPair) -> NDArray[Any]:
    """Return what `_taken` must read: a model's probabilities of its own tokens, and of the other's where they part.

    Its own stand a second time for the likeliest tokens of all, which those of a greedy answer are.
    """
    own = [getattr(row, name) for row in getattr(pair, name)]
    return np.array([*own, *own, *(getattr(row, name) for _, row in _parting(name, pair))])


def _parting(name: str, pair: AnswerPair) -> list[tuple[int, TokenRow]]:
    """Return the place where the answers part, and what the other model said there; none where one had ended."""
    at = parted_at(*([row.token for row in rows] for rows in pair))
    other = getattr(pair, SIDES[1 - SIDES.index(name)])
    return [] if at is None or at >= min(map(len, pair)) else [(at, other[at])]


def _taken(model: EvaluatedModel, drawn: Sequence[HeldAnswer]) -> NDArray[Any]:
    """Read of one model what `_recorded` names, answer by answer."""
    said = [[row.token for row in getattr(each.pair, model.name)] for each in drawn]
    asked = [Query((*each.prompt, *tokens[:-1]), len(tokens)) for each, tokens in zip(drawn, said, strict=True)]
    found: dict[int, NDArray[Any]] = {}
    with model.step(LABEL, len(asked), "answers") as advance:
        for index, logs in read(model.reader, asked, lambda share: advance(share * len(asked)), alone=True):
            shares = np.exp(logs.double().cpu().numpy())
            own = shares[np.arange(len(said[index])), said[index]]
            others = [shares[at, row.token] for at, row in _parting(model.name, drawn[index].pair)]
            found[index] = np.array([*own, *shares.max(axis=1), *others])
    return np.concatenate([found[index] for index in range(len(drawn))])
