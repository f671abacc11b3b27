"""Sample answers taken: the questions laid out as the Space would ask them, and answered by one model at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from release import guarded
from release.errors import UnusableBase
from release.evals.answers.compare import AnswerPair, QuestionSet, pair_of, summary
from release.evals.answers.questions import OWN, SampleQuestion, of_bbq
from release.evals.answers.result import SampleAnswers
from release.evals.answers.speak import LABEL, Spoken, speak
from release.evals.answers.table import FILE_NAME, write_tokens
from release.evals.bbq.data import read_bbq
from release.evals.bbq.folder import is_own
from release.evals.bbq.rendering import TEMPLATE, Rendering, missing
from release.evals.engine.generate import ending_tokens
from release.evals.engine.subject import EvaluatedModel
from release.evals.work import EvalContext, ModelTask, Sides
from release.models.load import read_config
from release.outside import Unfit, foreign
from release.values import DataSource, Tokens

NEW_TOKENS = 64
"""Length of one answer, at most: two or three sentences."""
FEWEST = 8
"""Tokens of an answer that are worth asking for, where a model reads only short texts."""


@dataclass(frozen=True)
class AnswersTask(ModelTask[Spoken, SampleAnswers]):
    """What both models are asked.

    Attributes:
        encoded: The token ids of every question as the model gets it.
        ends: Tokens that end an answer: those of the dense model, for both.
    """

    asked: QuestionSet
    encoded: tuple[Tokens, ...]
    tokenizer: Any
    ends: frozenset[int]

    @property
    def prompts(self) -> Sequence[Sequence[int]]:
        """Every question."""
        return self.encoded

    def read(self, model: EvaluatedModel) -> Spoken:
        """Answer every question greedily.

        Raises:
            UnusableData: The model gave NaN.
        """
        found = speak(model, self.encoded, self.ends, self.asked.new_tokens)
        if found.answers is None:
            model.console.say(f"{LABEL} are left out: {model.name} does not fit into memory as a whole.")
        return found

    def compare(self, dense: Spoken, pruned: Spoken) -> SampleAnswers | None:
        """Put the answers side by side; None where a model does not fit into memory."""
        pairs = self._pairs(dense, pruned)
        if not pairs:
            return None
        return summary(self.asked, pairs, dense.recalled + pruned.recalled, dense.seconds + pruned.seconds)

    def write(self, dense: Spoken, pruned: Spoken, sides: Sides) -> None:
        """Write every token."""
        if pairs := self._pairs(dense, pruned):
            write_tokens(sides.evaluation / FILE_NAME, pairs)

    def _pairs(self, dense: Spoken, pruned: Spoken) -> list[AnswerPair]:
        both = zip(dense.answers or (), pruned.answers or (), strict=False)
        return [pair_of(*answers, self.ends, self.tokenizer) for answers in both]


def prepare(asked: EvalContext) -> AnswersTask | None:
    """Lay the questions out; by default only where something else is asked of the models, too.

    Raises:
        UnusableBase: The chat template or the tokenizer does not take them, though they were asked for by name.
    """
    plan = asked.plan
    if plan.answers == "off" or (plan.answers == "auto" and not asked.others):
        return None
    questions, data = _questions(asked)
    try:
        prompt, tokens = encoded(asked.tokenizer, questions)
        room = _room(asked.dense, tokens)
    except Unfit as why:
        if plan.answers == "on":
            raise UnusableBase(f"{why}.", "Leave the sample answers out: --answers off.") from None
        asked.console.say(f"{LABEL} are left out: {why}.")
        return None
    found = QuestionSet(questions, room, plan.eval_dtype, prompt, data)
    return AnswersTask(found, tokens, asked.tokenizer, ending_tokens(asked.dense, asked.tokenizer))


def _questions(asked: EvalContext) -> tuple[tuple[SampleQuestion, ...], DataSource | None]:
    """Return our own questions, and BBQ's where it is asked anyway; those of a folder of one's own stay there."""
    if "bbq" not in asked.others or is_own(asked.plan.bbq_data):
        return OWN, None
    items, data = read_bbq(asked.plan.bbq_data, asked.console)
    found = of_bbq(items)
    return (*OWN, *found), data if found else None


def encoded(tokenizer: Any, questions: Sequence[SampleQuestion]) -> tuple[Literal["chat", "plain"], tuple[Tokens, ...]]:
    """Return how the questions are put, and their token ids: through the chat template, without one as they stand.

    Raises:
        Unfit: The template or the tokenizer does not take them.
    """
    texts, chat = [each.text for each in questions], bool(tokenizer.chat_template)
    if chat:
        texts = guarded.texts(lambda text: Rendering().render(tokenizer, [_message(text)]), texts, TEMPLATE)
        for question, text in zip(questions, texts, strict=True):
            if missing(text, [question.text]) is not None:
                raise Unfit(f"{TEMPLATE} leaves out a question, or changes it")
    with foreign("The tokenizer cannot read the questions"):
        rows = tokenizer(texts, add_special_tokens=not chat)["input_ids"]
        tokens = tuple(tuple(row) for row in rows)
    if not all(tokens):
        raise Unfit("The tokenizer makes no token of a question")
    return "chat" if chat else "plain", tokens


def _message(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def _room(folder: Path, encoded: Sequence[Tokens]) -> int:
    """Return how many tokens an answer may take.

    Raises:
        Unfit: The questions leave no room for one.
    """
    limit = getattr(read_config(folder).get_text_config(), "max_position_embeddings", None)
    left = limit - max(map(len, encoded)) if isinstance(limit, int) else NEW_TOKENS
    if left < FEWEST:
        raise Unfit(f"the model reads {limit:,} tokens at most, too few for a question and its answer")
    return min(NEW_TOKENS, left)
