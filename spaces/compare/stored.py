"""Answers that were stored when a release was measured: there at once, without a model.

They stand in its release.json, under `measurements.answers`, and come from outside like all of it: what is not of its
form is left out, and reading never fails.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lineup import Source, once
from reading import record_text
from records import at
from trouble import UNREADABLE
from turns import SIDES, Answer, Difference, Progress, Step, Token, Turn

MOST = 40
"""Questions that are read."""
LONGEST = 4000
"""Characters of a text that are read."""


@dataclass(frozen=True)
class StoredAnswer:
    """One question with both answers.

    Attributes:
        of_bbq: Whether it comes from BBQ, so that it probes a stereotype.
        step: What a visitor sees.
    """

    question: str
    of_bbq: bool
    step: Step


@dataclass(frozen=True)
class StoredAnswers:
    """All stored answers of a variant, in their order.

    Attributes:
        arithmetic: Number type in which the models answered.
        trouble: Why there are none, where reading them failed.
    """

    answers: tuple[StoredAnswer, ...] = ()
    arithmetic: str = ""
    trouble: str | None = None

    def of(self, question: str | None) -> StoredAnswer | None:
        """Return the answers to a question."""
        return next((each for each in self.answers if each.question == (question or "").strip()), None)

    @property
    def first(self) -> StoredAnswer | None:
        """The one that a page begins with: the first whose answers part, but none that probes a stereotype."""
        own = [each for each in self.answers if not each.of_bbq]
        parted = [each for each in own if each.step.progress and each.step.progress.difference]
        return next(iter(parted or own), None)


@once
def stored(source: Source) -> StoredAnswers:
    """Return the stored answers of a model."""
    try:
        record = json.loads(record_text(source))
    except (*UNREADABLE, RecursionError) as error:
        return StoredAnswers(trouble=type(error).__name__)
    listed = at(record, "measurements.answers.asked")
    answers = tuple(_read(listed)) if isinstance(listed, list) else ()
    return StoredAnswers(answers, str(at(record, "measurements.answers.precision"))[:20])


def _read(listed: list[Any]) -> Iterator[StoredAnswer]:
    for each in listed[:MOST]:
        question, key = at(each, "question"), at(each, "key")
        sides = {side: _answer(each, side) for side in SIDES}
        answers = {side: answer for side, answer in sides.items() if answer is not None}
        if isinstance(question, str) and isinstance(key, str) and len(answers) == len(SIDES):
            turn = Turn(question[:LONGEST].strip(), answers)
            progress = Progress(answers, _difference(at(each, "parting")), done=True)
            yield StoredAnswer(turn.question, key.startswith("bbq/"), Step((turn,), progress, stored=True))


def _answer(asked: Any, side: str) -> Answer | None:
    text, tokens = at(asked, f"{side}.text"), at(asked, f"{side}.tokens")
    if not isinstance(text, str) or not isinstance(tokens, int):
        return None
    start, token = at(asked, "parting.characters"), at(asked, f"parting.{side}.text")
    whole = isinstance(start, int) and isinstance(token, str) and 0 <= start < start + len(token) <= LONGEST
    differing = (start, start + len(token)) if whole else None
    return Answer(text[:LONGEST], tokens, ended=at(asked, f"{side}.ended") is True, differing=differing)


def _difference(parting: Any) -> Difference | None:
    position = at(parting, "position")
    texts = {side: at(parting, f"{side}.text") for side in SIDES}
    if not isinstance(position, int) or not all(isinstance(text, str) for text in texts.values()):
        return None
    tokens = {
        side: Token(text[:LONGEST], {name: _share(at(parting, f"{side}.{name}")) for name in SIDES})
        for side, text in texts.items()
    }
    return Difference(position, tokens)


def _share(value: Any) -> float | None:
    fits = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    return float(value) if fits else None
