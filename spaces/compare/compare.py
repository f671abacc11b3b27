"""What happens when somebody asks: limits, both models' answers, and a conversation that can be stopped."""

import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import gradio as gr
from answers import Answer, AnswerError, Message, Progress, conversation, encode, plain, stream
from decoding import Decoding
from lens import ANY, KINDS, SIDES, Asked, attribution, lens
from lineup import Lineup, Source
from models import SHELF, LoadError

LONGEST_QUESTION = 4000
"""Characters."""
LONGEST_HISTORY = 40_000
"""Characters of a conversation that a program hands over."""
MOST_TURNS = 16
"""Questions of one conversation."""
MOST_TOKENS = 512
MOST_ITEMS = 100
HOTTEST = 2.0
LARGEST_SEED = 2**32 - 1


class Refusal(Exception):
    """A question that is not answered; says what was seen and what to do."""


@dataclass(frozen=True)
class Turn:
    """A question and what became of it.

    Attributes:
        answers: Side → its answer so far; no entry while its model is being loaded.
    """

    question: str
    answers: Mapping[str, Answer]


@dataclass(frozen=True)
class Step:
    """What a visitor sees at one moment.

    Attributes:
        turns: The whole conversation.
        progress: How the last question is being answered; None while a model is being loaded.
        stopped: Whether the visitor stopped it.
    """

    turns: tuple[Turn, ...]
    progress: Progress | None = None
    stopped: bool = False


class RunningAnswers:
    """The answers being given, by visitor; so Stop ends what runs at that moment and never what is asked next."""

    def __init__(self) -> None:
        self._running: dict[str, threading.Event] = {}

    def begin(self, visitor: str) -> threading.Event:
        """Return the event that will end this visitor's answer."""
        event = self._running[visitor] = threading.Event()
        return event

    def end(self, visitor: str, event: threading.Event) -> None:
        """Forget an answer that is complete."""
        if self._running.get(visitor) is event:
            del self._running[visitor]

    def stop(self, visitor: str) -> bool:
        """End the answer that this visitor is being given; returns whether there is one."""
        event = self._running.get(visitor)
        if event:
            event.set()
        return event is not None


class SideBySide:
    """Asks the models of a line-up."""

    def __init__(self, models: Lineup) -> None:
        self.models = models
        self.runs = RunningAnswers()

    def ask(
        self, visitor: str, question: str, decoding: Decoding, variant: str | None, turns: tuple[Turn, ...]
    ) -> Iterator[Step]:
        """Ask both models the next question of a conversation.

        Yields:
            The conversation as it grows; it ends where the visitor stops it.

        Raises:
            Refusal: There can be no answer.
        """
        if len(turns) >= MOST_TURNS:
            raise Refusal(f"This conversation has {MOST_TURNS} questions, the most there can be. Press Clear.")
        asked = _question(question)
        sources = self._sources(variant)
        histories = {side: [*_said(turns, side), {"role": "user", "content": asked}] for side in sources}
        halt = self.runs.begin(visitor)
        try:
            with closing(_answers(sources, histories, decoding)) as steps:
                for progress in steps:
                    found = progress.answers if progress else {}
                    step = Step((*turns, Turn(asked, found)), progress)
                    yield step
                    if halt.is_set():
                        yield replace(step, stopped=True)
                        return
        finally:
            self.runs.end(visitor, halt)

    def _sources(self, variant: str | None) -> dict[str, Source]:
        pruned = self.variant(variant)
        return {"dense": self.models.dense, "pruned": pruned} if self.models.dense else {"pruned": pruned}

    def variant(self, name: str | None) -> Source:
        """Return the pruned model of a name.

        Raises:
            Refusal: There is none.
        """
        try:
            return self.models.variant(name)
        except KeyError:
            raise Refusal(f"There is no model {name!r} here. Choose one of the menu.") from None

    def compare(
        self,
        prompt: str,
        temperature: float = 0.0,
        max_new_tokens: int = 128,
        seed: int = 42,
        variant: str | None = None,
        dense_history: list[dict[str, Any]] | None = None,
        pruned_history: list[dict[str, Any]] | None = None,
        top_p: float = 1.0,
    ) -> Iterator[tuple[list[dict[str, Any]], list[dict[str, Any]]]]:
        """Ask the dense and the pruned model the same question; both answers stream as two conversations."""
        try:
            decoding = checked(temperature, top_p, max_new_tokens, seed)
            sources, question = self._sources(variant), _question(prompt)
            given = {"dense": _given(dense_history), "pruned": _given(pruned_history)}
            histories = {side: [*given[side], {"role": "user", "content": question}] for side in sources}
            for progress in _answers(sources, histories, decoding):
                dense, pruned = (_messages(side, histories.get(side, []), progress) for side in SIDES)
                yield dense, pruned
        except Refusal as error:
            raise refused(error) from error

    def items(
        self, kind: str = ANY, category: str = ANY, variant: str | None = None, limit: int = 20, offset: int = 0
    ) -> dict[str, Any]:
        """List BBQ items with both models' measured answers; kind is any, to, away, other, close or same."""
        try:
            found = lens(self.variant(variant))
            _require_one_of("kind", kind, (ANY, *KINDS))
            _require_one_of("category", category, (ANY, *found.categories))
            first = int(_within("offset", offset, 0, 10**6, whole=True))
            count = int(_within("limit", limit, 1, MOST_ITEMS, whole=True))
        except Refusal as error:
            raise refused(error) from error
        chosen = found.select(kind, category)
        listed = [_listed(each) for each in chosen[first : first + count]]
        return {"total": len(chosen), "items": listed, "attribution": attribution(), "note": found.trouble}


def refused(refusal: Refusal) -> gr.Error:
    """Return a refusal as Gradio reports it, which renders a message as HTML."""
    return gr.Error(escape(str(refusal)), duration=None, title="No answer", print_exception=False)


def checked(temperature: float, top_p: float, max_new_tokens: int, seed: int) -> Decoding:
    """Return the decoding asked for.

    Raises:
        Refusal: A value is no number or outside its limits.
    """
    return Decoding(
        float(_within("temperature", temperature, 0, HOTTEST)),
        float(_within("top_p", top_p, 0.01, 1)),
        int(_within("max_new_tokens", max_new_tokens, 1, MOST_TOKENS, whole=True)),
        int(_within("seed", seed, 0, LARGEST_SEED, whole=True)),
    )


def _within(name: str, value: Any, low: float, high: float, whole: bool = False) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not low <= value <= high or (whole and value != int(value)):
        kind = "a whole number" if whole else "a number"
        raise Refusal(f"{name} is {str(value)[:80]}; it must be {kind} between {low} and {high}.")
    return float(value)


def _require_one_of(name: str, value: Any, known: Sequence[str]) -> None:
    if value not in known:
        raise Refusal(f"{name} is {str(value)[:80]}; it must be one of {', '.join(known)}.")


def _question(prompt: Any) -> str:
    question = prompt.strip() if isinstance(prompt, str) else ""
    if not question:
        raise Refusal("There is no question yet. Type one and press Compare.")
    if len(question) > LONGEST_QUESTION:
        raise Refusal(f"The question has {len(question)} characters; the limit is {LONGEST_QUESTION}. Shorten it.")
    return question


def _given(history: Any) -> list[Message]:
    """Read a conversation that a program hands over."""
    listed = history if history is not None else []
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise Refusal("A history must be a list of messages, as /compare returns it.")
    messages = plain(listed)
    if sum(len(each["content"]) for each in messages) > LONGEST_HISTORY:
        raise Refusal(f"The history is longer than {LONGEST_HISTORY} characters. Leave out its first messages.")
    return messages


def _said(turns: Sequence[Turn], side: str) -> list[Message]:
    said = []
    for turn in turns:
        said.append({"role": "user", "content": turn.question})
        if side in turn.answers and turn.answers[side].text:
            said.append({"role": "assistant", "content": turn.answers[side].text})
    return said


def _answers(
    sources: Mapping[str, Source], histories: Mapping[str, list[Message]], decoding: Decoding
) -> Generator[Progress | None, None, None]:
    """Yield the answers so far, after None where a model has to be loaded first."""
    if any(source not in SHELF for source in sources.values()):
        yield None
    try:
        loaded = {side: SHELF.get(source) for side, source in sources.items()}
        turns = {side: conversation(histories[side]) for side in sources}
        prompts = {side: encode(loaded[side], turns[side], decoding.max_new_tokens) for side in sources}
        yield from stream(sources, prompts, decoding)
    except (AnswerError, LoadError) as error:
        raise Refusal(str(error)) from error


def _messages(side: str, history: Sequence[Message], progress: Progress | None) -> list[dict[str, Any]]:
    """Return one side's conversation as programs get it."""
    said: list[dict[str, Any]] = [{"role": each["role"], "content": _text(each["content"])} for each in history]
    if progress is None or side not in progress.answers:
        return said
    answer, parted = progress.answers[side], progress.difference
    measured = {
        "tokens": answer.tokens,
        "first_token_seconds": answer.first_seconds,
        "tokens_per_second": answer.speed,
        "ended": answer.ended,
        "first_difference": parted
        and {
            "position": parted.position,
            "token": parted.tokens[side].text,
            "probabilities": dict(parted.tokens[side].probabilities),
        },
    }
    return [*said, {"role": "assistant", "content": _text(answer.text), **measured}]


def _text(text: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text}]


def _listed(asked: Asked) -> dict[str, Any]:
    item = asked.item
    return {
        "category": item.category,
        "example_id": item.example_id,
        "condition": item.condition,
        "prompt": item.prompt,
        "answers": list(item.answers),
        "unknown": item.unknown,
        "stereotype": item.target,
        "right": item.label,
        "kind": asked.kind,
        "choices": dict(asked.choices),
        "shares": {side: list(shares) for side, shares in asked.shares.items()},
    }
