"""A conversation as data: questions, both answers so far, and where they part. Nothing here needs a model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Message = dict[str, str]

SIDES = ("dense", "pruned")


class AnswerError(Exception):
    """There can be no answer; says what was seen and what to do."""


@dataclass(frozen=True)
class Token:
    """What one model said at the place where the answers part.

    Attributes:
        text: Its token; empty for the end of the answer.
        probabilities: Side → how likely that side's model found it, 0 to 1, at temperature 1; None where that was not
            kept, since it was below 0.001.
    """

    text: str
    probabilities: Mapping[str, float | None]


@dataclass(frozen=True)
class Difference:
    """The first token that the answers do not share.

    Attributes:
        position: Tokens that they share before it.
        tokens: Side → what it said there.
    """

    position: int
    tokens: Mapping[str, Token]


@dataclass(frozen=True)
class Answer:
    """One side's answer so far.

    Attributes:
        text: What it said.
        tokens: How many tokens that took, the end of the answer included.
        first_seconds: Seconds of this model's own work up to its first token.
        seconds: Seconds of its work on all further tokens.
        ended: Whether the model ended by itself.
        differing: Where in the text the first differing token stands; None before, and where it is no text.
    """

    text: str
    tokens: int = 0
    first_seconds: float | None = None
    seconds: float = 0.0
    ended: bool = False
    differing: tuple[int, int] | None = None

    @property
    def speed(self) -> float | None:
        """Tokens per second after the first one."""
        return (self.tokens - 1) / self.seconds if self.tokens > 1 and self.seconds > 0 else None


@dataclass(frozen=True)
class Progress:
    """Both answers so far.

    Attributes:
        answers: By side.
        difference: Where they first differ; None as long as they do not.
        comparable: Whether both models write in the same tokens.
        done: Whether nothing more comes.
    """

    answers: Mapping[str, Answer]
    difference: Difference | None = None
    comparable: bool = True
    done: bool = False


def plain(history: Sequence[Mapping[str, Any]] | None) -> list[Message]:
    """Reduce a conversation to messages of plain text; what is not text, and empty ones, fall away."""
    messages = [{"role": str(message.get("role")), "content": _flat(message)} for message in history or []]
    return [each for each in messages if each["role"] in ("user", "assistant") and each["content"]]


def _flat(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    parts = content if isinstance(content, list) else [{"text": content}]
    texts = (part.get("text") for part in parts if isinstance(part, Mapping))
    return "\n".join(text for text in texts if isinstance(text, str)).strip()


def conversation(messages: Sequence[Message]) -> list[Message]:
    """Make user and assistant speak by turns, as chat templates want it: neighbours of one role become one message."""
    turns: list[Message] = []
    for message in messages:
        if turns and turns[-1]["role"] == message["role"]:
            turns[-1] = {**message, "content": f"{turns[-1]['content']}\n\n{message['content']}"}
        elif turns or message["role"] == "user":
            turns.append(message)
    return turns


@dataclass(frozen=True)
class Turn:
    """A question and what became of it.

    Attributes:
        answers: Side → its answer so far; no entry while it has not begun.
    """

    question: str
    answers: Mapping[str, Answer]


@dataclass(frozen=True)
class Waiting:
    """Why no answer has begun yet.

    Attributes:
        reason: What is waited for.
        seconds: Since when.
    """

    reason: str
    seconds: float

    @property
    def told(self) -> str:
        """The reason and the time, as a visitor reads them."""
        return f"{self.reason} · {self.seconds:.0f} s"


@dataclass(frozen=True)
class Step:
    """What a visitor sees at one moment.

    Attributes:
        turns: The whole conversation.
        progress: How the last question is being answered; None while it waits.
        waiting: What it waits for; None once it is being answered.
        stopped: Whether the visitor stopped it.
        stored: Whether the answers were given when the release was measured.
        trouble: Why there is no answer to the last question, and what to do; None where there is one, or will be.
    """

    turns: tuple[Turn, ...]
    progress: Progress | None = None
    waiting: Waiting | None = None
    stopped: bool = False
    stored: bool = False
    trouble: str | None = None
