"""What happens when somebody asks: limits, a line, both models' answers, and a conversation that can be stopped."""

import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from html import escape
from typing import Any

import gradio as gr
from decoding import Decoding
from facts import Facts
from lens import ANY, KINDS, Asked, attribution, lens
from line import LineFull, WaitingLine, place
from lineup import Lineup, Source
from memo import Memo, key_of
from reading import facts
from stored import stored
from trouble import LoadError
from turns import SIDES, AnswerError, Message, Progress, Step, Turn, Waiting, plain

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
LOOK = 0.5
"""Seconds between two words on what a question waits for."""
AT_ONCE = 0.2
"""Seconds of work that nobody is told to wait for."""
STORED_ONLY = "Live questions are off here: this page shows answers that were stored. Choose one of its questions."


class Refusal(Exception):
    """A question that is not answered; says what was seen and what to do."""


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
    """Asks the models of a line-up.

    Args:
        live: Whether there are models to ask; without, only stored answers are given.
    """

    def __init__(self, models: Lineup, live: bool = True) -> None:
        self.models = models
        self.memo: Memo[Progress | Waiting] = Memo()
        self.live = live
        self.runs = RunningAnswers()
        self.line = WaitingLine()

    def ask(
        self, visitor: str, question: str, decoding: Decoding, variant: str | None, turns: tuple[Turn, ...]
    ) -> Iterator[Step]:
        """Ask both models the next question of a conversation.

        Yields:
            The conversation as it grows; it ends where the visitor stops it, or with the reason why no answer comes.

        Raises:
            Refusal: This is no question that could be asked.
        """
        if len(turns) >= MOST_TURNS:
            raise Refusal(f"This conversation has {MOST_TURNS} questions, the most there can be. Press Clear.")
        asked = _question(question)
        if not self.live:
            yield self._stored(variant, asked)
            return
        sources = self._sources(variant)
        histories = {side: [*_said(turns, side), {"role": "user", "content": asked}] for side in sources}
        halt = self.runs.begin(visitor)
        try:
            with closing(self._answers(sources, histories, decoding, halt)) as steps:
                for found in steps:
                    step = _step(turns, asked, found)
                    yield step
                    if halt.is_set():
                        yield replace(step, stopped=True)
                        return
        except Refusal as error:
            yield Step((*turns, Turn(asked, {})), trouble=str(error))
        finally:
            self.runs.end(visitor, halt)

    def _stored(self, variant: str | None, question: str) -> Step:
        found = stored(self.variant(variant)).of(question)
        if found is None:
            raise Refusal(STORED_ONLY)
        return found.step

    def _answers(
        self,
        sources: Mapping[str, Source],
        histories: Mapping[str, list[Message]],
        decoding: Decoding,
        halt: threading.Event,
    ) -> Generator[Progress | Waiting, None, None]:
        """Yield what is waited for, and then the answers so far."""
        started = time.monotonic()
        try:
            with self.line.joined() as ticket:
                while ahead := ticket.ahead():
                    yield Waiting(place(ahead), time.monotonic() - started)
                    halt.wait(LOOK)
                yield from _answered(sources, histories, decoding)
        except LineFull:
            raise Refusal("Too many questions are waiting. Ask again in a minute.") from None
        except (AnswerError, LoadError) as error:
            raise Refusal(str(error)) from error

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
        """Ask the dense and the pruned model the same question; both answers stream as two conversations.

        The last message of each conversation also states its tokens, its speed, and the first token that the answers
        do not share, with both models' probabilities for it.

        Args:
            prompt: The question, at most 4,000 characters.
            temperature: 0 to 2; 0 always takes the likeliest token.
            max_new_tokens: Length of each answer, 1 to 512 tokens.
            seed: Of the draw, above temperature 0.
            variant: Id of a pruned model, as /variants lists them, or "random, 35 % zeros, made here"; the first one
                where none is given.
            dense_history: The original's conversation so far, as this returned it.
            pruned_history: The pruned model's conversation so far, as this returned it.
            top_p: 0.01 to 1; draw among the likeliest tokens only.
        """
        try:
            decoding = checked(temperature, top_p, max_new_tokens, seed)
            sources, question = self._sources(variant), _question(prompt)
            given = {"dense": _given(dense_history), "pruned": _given(pruned_history)}
            histories = {side: [*given[side], {"role": "user", "content": question}] for side in sources}
            steps = self._answers(sources, histories, decoding, threading.Event()) if self.live else None
            known = self.memo.through(key_of(sources, histories, decoding), steps) if steps else None
            for found in known or [self._stored(variant, question).progress]:
                dense, pruned = (_messages(side, histories.get(side, []), found) for side in SIDES)
                yield dense, pruned
        except Refusal as error:
            raise refused(error) from error

    def items(
        self, kind: str = ANY, category: str = ANY, variant: str | None = None, limit: int = 20, offset: int = 0
    ) -> dict[str, Any]:
        """List questions of BBQ, a benchmark of social stereotypes, with both models' measured answers.

        Those whose probabilities moved farthest come first.

        Args:
            kind: any, to (flipped to the stereotype), away (from it), other (changes), close (calls) or same.
            category: A category such as Age; any for all.
            variant: Id of a pruned model, as /variants lists them; the first one where none is given.
            limit: Items, 1 to 100.
            offset: Items left out before them.
        """
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

    def variants(self) -> dict[str, Any]:
        """List the pruned models that can be compared, each with its method, its sparsity and what was measured."""
        listed = [listed_variant(source.id, facts(source)) for source in self.models.pruned]
        return {"original": self.models.dense.id if self.models.dense else None, "variants": listed}


def listed_variant(name: str, found: Facts) -> dict[str, Any]:
    """Return what programs are told of a variant: the same numbers as the page's."""
    measured = {
        key: {"original": each.dense, "pruned": each.pruned, "low": each.low, "high": each.high, "n": each.count}
        for key, each in found.numbers.items()
    }
    return {"id": name, "method": found.method, "sparsity": found.sparsity, "measured": measured}


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


def _step(turns: tuple[Turn, ...], asked: str, found: Progress | Waiting) -> Step:
    if isinstance(found, Waiting):
        return Step((*turns, Turn(asked, {})), waiting=found)
    return Step((*turns, Turn(asked, found.answers)), found)


def _answered(
    sources: Mapping[str, Source], histories: Mapping[str, list[Message]], decoding: Decoding
) -> Generator[Progress | Waiting, None, None]:
    """Yield what is being loaded, and then the answers so far."""
    started, told = time.monotonic(), ["Starting PyTorch"]

    def ready() -> dict[str, list[int]]:
        from answers import prompts_of  # PyTorch takes seconds to load, and stored answers do without

        return prompts_of(sources, histories, decoding, lambda words: told.__setitem__(0, words))

    pool = ThreadPoolExecutor(1)
    work = pool.submit(ready)
    pool.shutdown(wait=False)  # who stops waiting does not wait for the loading
    patience = AT_ONCE
    while not _is_done(work, patience):
        yield Waiting(told[0], time.monotonic() - started)
        patience = LOOK
    prompts = work.result()

    from answers import stream

    yield from stream(sources, prompts, decoding)


def _is_done(work: "Future[dict[str, list[int]]]", within: float) -> bool:
    try:
        work.exception(timeout=within)
    except TimeoutError:
        return False
    return True


def _messages(side: str, history: Sequence[Message], progress: Progress | Waiting | None) -> list[dict[str, Any]]:
    """Return one side's conversation as programs get it."""
    said: list[dict[str, Any]] = [{"role": each["role"], "content": _text(each["content"])} for each in history]
    if not isinstance(progress, Progress) or side not in progress.answers:
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
