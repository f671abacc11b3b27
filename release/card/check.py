"""What differs between the generated parts of two cards, line by line."""

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import zip_longest

from release.card.parts import FIELD, Card, CardPart, field_lines

QUOTED = 100
"""Characters of a line that are quoted at most."""
DECIMALS = range(1, 5)
MOST_SHOWN = 1e12
"""A number that is larger is not looked for with decimals."""
PROPOSED = "extra_gated_"
"""How the fields begin that are a person's own once they are there: the words of the form before a gate."""

_TOKEN = re.compile(r"[+−-]?\d[\d,]*(?:\.\d+)?(?:\s?%)?|\w+|\s+|.")
_NUMBER = re.compile(r"\b[0-9a-f]{16,}\b|(?<![\w.])\d[\d,]*(?:\.\d+)*(?!\w)")


def differences(found: Card, expected: Card, *, by_line: bool, otherwise: Iterable[str] = ()) -> list[str]:
    """List what stands in the generated parts of a card and not in the expected one, each with the card's line number.

    Fields and tags that a person added to the front matter are theirs.

    Args:
        found: The card to check.
        expected: The card that the record gives.
        by_line: Compare all lines; else only ask of every number and digest whether it stands anywhere in `expected`.
        otherwise: Further numbers that other templates may have written, see `written_otherwise`.
    """
    if found.unread:
        return [f"line {found.front.first}: the front matter {found.unread}"]
    if not by_line:
        return list(_foreign_numbers(found, expected, otherwise))
    return [*changed_fields(found, expected), *changed_text(found, expected)]


def changed_text(found: Card, expected: Card) -> list[str]:
    """List the lines between the marks that are not as expected."""
    return list(_changed_lines(found.body, expected.body.lines))


def changed_fields(found: Card, expected: Card) -> list[str]:
    """List the generated fields of the front matter that are not as expected."""
    facts, due = found.facts, expected.facts
    there, said = field_lines(found.front), field_lines(expected.front)
    wrong = list(_twice(found.front))
    for name, value in due.items():
        if name.startswith(PROPOSED) or _holds(facts.get(name), value):
            continue
        lines = list(_changed_lines(there.get(name, CardPart(found.front.first, [])), said[name].lines))
        wrong += lines or [f"line {there[name].first}: {name} has another value than the record gives"]
    return wrong


def _holds(found: object, due: object) -> bool:
    """Whether a field says what it must; a list of tags may hold more."""
    if isinstance(found, list) and isinstance(due, list) and all(isinstance(each, str) for each in due):
        return all(each in found for each in due)
    return found == due


def _twice(front: CardPart) -> Iterator[str]:
    names = Counter(match[1] for line in front.lines if (match := FIELD.match(line)))
    for name, times in names.items():
        if times > 1:
            yield f"line {field_lines(front)[name].first}: {name} stands there {times} times"


def _changed_lines(found: CardPart, expected: list[str]) -> Iterator[str]:
    matcher = difflib.SequenceMatcher(None, found.lines, expected, autojunk=False)
    for tag, start, end, other_start, other_end in matcher.get_opcodes():
        if tag == "equal":
            continue
        pairs = zip_longest(found.lines[start:end], expected[other_start:other_end])
        for offset, (there, said) in enumerate(pairs):
            yield f"line {found.first + min(start + offset, end)}: {_difference(there, said)}"


def _difference(there: str | None, said: str | None) -> str:
    if there is None:
        return f"{_quote(said or '')} is missing here"
    if said is None:
        return f"{_quote(there)} stands where the record says nothing"
    old, new = _TOKEN.findall(there), _TOKEN.findall(said)
    start = _shared(old, new)
    old, new = old[start:], new[start:]
    end = _shared(old[::-1], new[::-1])
    was, should = "".join(old[: len(old) - end]), "".join(new[: len(new) - end])
    if was and should:
        return f"{_cut(was)} stands where the record says {_cut(should)}"
    return f"{_quote(there)} stands where the record says {_quote(said)}"


def _shared(one: list[str], other: list[str]) -> int:
    """Count the tokens at the start that are the same."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((index for index, (a, b) in pairs if a != b), min(len(one), len(other)))


def _quote(line: str) -> str:
    return f"“{_cut(line)}”" if line else "an empty line"


def _cut(text: str) -> str:
    text = text.replace("\u00a0", " ")
    return text if len(text) <= QUOTED else f"{text[:QUOTED]}…"


def written_otherwise(facts: object) -> Iterator[str]:
    """Yield a record's numbers as other templates may write them: with one to four decimals, as per cent, as MB or GB.

    Args:
        facts: The record as JSON has it.
    """
    if isinstance(facts, dict | list):
        for each in facts.values() if isinstance(facts, dict) else facts:
            yield from written_otherwise(each)
    elif isinstance(facts, float | int) and not isinstance(facts, bool):
        value = abs(facts)
        units = (value, 100 * value) if isinstance(facts, float) else (value / 1e3, value / 1e6, value / 1e9)
        yield from (f"{each:,.{digits}f}" for each in units if each < MOST_SHOWN for digits in DECIMALS)


def _foreign_numbers(found: Card, expected: Card, otherwise: Iterable[str]) -> Iterator[str]:
    """Report every number and digest of the card that the record, rendered by these templates, does not have."""
    known = {*otherwise} | {
        number for part in (expected.front, expected.body) for line in part.lines for number in _NUMBER.findall(line)
    }
    due = expected.facts
    ours = [part for name, part in field_lines(found.front).items() if name in due]
    for part in (*ours, found.body):
        for index, line in enumerate(part.lines):
            for number in _NUMBER.findall(line):
                if number not in known:
                    yield f"line {part.first + index}: {number} stands nowhere in the record; other templates made it"
