"""A conversation as text that the visitor's own browser keeps, so that it outlasts a reload.

What comes back was in a browser, where anybody can have written it: what is not of its form is left out.
"""

import json
from typing import Any

from turns import SIDES, Answer, Difference, Progress, Step, Token, Turn

LONGEST = 300_000
"""Characters of a conversation that are kept; a longer one is not."""
LONGEST_TEXT = 20_000
MOST_TURNS = 16


def kept(step: Step, variant: str) -> str:
    """Return a conversation as text; empty where there is nothing to keep, or too much."""
    turns = [[turn.question, {side: _answer(each) for side, each in turn.answers.items()}] for turn in step.turns]
    difference = step.progress.difference if step.progress else None
    parting = difference and [
        difference.position,
        {side: [token.text, dict(token.probabilities)] for side, token in difference.tokens.items()},
    ]
    text = json.dumps({"variant": variant, "turns": turns, "parting": parting, "stored": step.stored})
    return text if step.turns and len(text) <= LONGEST else ""


def _answer(answer: Answer) -> list[Any]:
    return [answer.text, answer.tokens, answer.first_seconds, answer.seconds, answer.ended, answer.differing]


def brought_back(text: str, variant: str) -> Step | None:
    """Return the conversation with a variant that `kept` wrote; None where there is none."""
    try:
        found = json.loads(text) if 0 < len(text) <= LONGEST else {}
        if not isinstance(found, dict) or found.get("variant") != variant or not found["turns"]:
            return None
        turns = tuple(_turn(*each) for each in found["turns"][:MOST_TURNS])
        difference = found["parting"] and _difference(*found["parting"])
        return Step(turns, Progress(turns[-1].answers, difference, done=True), stored=found["stored"] is True)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None


def _turn(question: Any, answers: Any) -> Turn:
    return Turn(_text(question), {side: _said(*answers[side]) for side in SIDES if side in answers})


def _said(text: Any, tokens: Any, first: Any, seconds: Any, ended: Any, differing: Any) -> Answer:
    start, end = (int(place) for place in differing) if differing else (0, 0)
    at = (start, end) if 0 <= start < end else None
    return Answer(_text(text), int(tokens), None if first is None else float(first), float(seconds), bool(ended), at)


def _difference(position: Any, tokens: Any) -> Difference:
    return Difference(int(position), {side: _token(*tokens[side]) for side in SIDES})


def _token(text: Any, shares: Any) -> Token:
    return Token(_text(text), {side: None if shares[side] is None else float(shares[side]) for side in SIDES})


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value[:LONGEST_TEXT]
