"""What asking both models a few questions gives: their answers, and where these part."""

from typing import Literal

from release.frozen import Frozen
from release.values import DataSource, Precision

BBQ = "bbq"
"""What the key of an item of BBQ begins with."""


class SaidAnswer(Frozen):
    """One model's greedy answer.

    Attributes:
        tokens: How many it took, the end of the answer included.
        ended: Whether the model ended by itself; otherwise it was cut at the limit.
    """

    text: str
    tokens: int
    ended: bool


class PartingToken(Frozen):
    """What one model said where the answers part.

    Attributes:
        text: Its token; empty for the end of the answer.
        dense: How likely the dense model found it, 0 to 1; None below 0.001.
        pruned: Likewise.
    """

    text: str
    dense: float | None
    pruned: float | None


class Parting(Frozen):
    """The first token that two answers do not share.

    Attributes:
        position: Tokens that they share before it.
        characters: Length of the text that these make.
        dense: What the dense model said there.
        pruned: What the pruned model said there.
    """

    position: int
    characters: int
    dense: PartingToken
    pruned: PartingToken


class AnsweredQuestion(Frozen):
    """One question and both answers.

    Attributes:
        key: Which one; see `answers.questions`.
        parting: Where the answers part; None where they are the same, token by token.
    """

    key: str
    question: str
    dense: SaidAnswer
    pruned: SaidAnswer
    parting: Parting | None

    @property
    def of_bbq(self) -> bool:
        """Whether it comes from BBQ, so that it probes a stereotype."""
        return self.key.startswith(f"{BBQ}/")


class SampleAnswers(Frozen):
    """A few questions that both models answered greedily; an illustration, and no measurement of quality.

    Attributes:
        version: Of the list of questions.
        new_tokens: Length of one answer at most, in tokens.
        precision: Arithmetic of the forward passes.
        prompt: Whether the question went through the model's chat template, or stood alone.
        bbq: Where the questions from BBQ come from; None where there are none.
    """

    version: int
    new_tokens: int
    precision: Precision
    prompt: Literal["chat", "plain"]
    bbq: DataSource | None
    asked: tuple[AnsweredQuestion, ...]
    recalled: int = 0
    seconds: float

    @property
    def shown(self) -> tuple[AnsweredQuestion, ...]:
        """Two that stand for all: the first of our own whose answers part, or the first, and the first from BBQ."""
        own = [each for each in self.asked if not each.of_bbq]
        parted = [each for each in own if each.parting is not None]
        return (*(parted or own)[:1], *[each for each in self.asked if each.of_bbq][:1])
