"""The marks around a card's generated text, and what differs between two cards.

Generated are the front matter and everything between the two marks. What a person wrote outside them is theirs.
"""

import difflib
import re
from collections.abc import Iterator
from itertools import zip_longest
from typing import NamedTuple

BEGIN = "<!-- release: generated card; templates {templates}{target}; edits up to the end mark are reported -->"
END = "<!-- release: end of the generated card; text after this line is yours and is not checked -->"
QUOTED = 100
"""Characters of a line that are quoted at most."""

REPO_ID = re.compile(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+")
_MARK = re.compile(re.escape(BEGIN).replace(r"\{templates\}\{target\}", rf"([0-9a-f]+)(?:; for ({REPO_ID.pattern}))?"))
_TOKEN = re.compile(r"[+−-]?\d[\d,]*(?:\.\d+)?(?: ?%)?|\w+|\s+|.")
_NUMBER = re.compile(r"\b[0-9a-f]{16,}\b|(?<![\w.])\d[\d,]*(?:\.\d+)*(?!\w)")


class Part(NamedTuple):
    """Consecutive lines of a card, and the number of the first, from 1."""

    first: int
    lines: list[str]


class Generated(NamedTuple):
    """The generated parts of a card.

    Attributes:
        templates: Digest of the templates that made it.
        repo_id: The Hub id it was made for, or None.
        front: The front matter, without its rules.
        body: The text between the marks.
    """

    templates: str
    repo_id: str | None
    front: Part
    body: Part

    @property
    def text(self) -> str:
        """The whole card; `parse(g.text)` holds the same lines as `g`."""
        target = f"; for {self.repo_id}" if self.repo_id else ""
        begin = BEGIN.format(templates=self.templates, target=target)
        return "\n".join(("---", *self.front.lines, "---", "", begin, *self.body.lines, END, ""))

    @property
    def line_count(self) -> int:
        """Lines of the front matter and of the text."""
        return len(self.front.lines) + len(self.body.lines)


def differences(found: Generated, expected: Generated, *, by_line: bool) -> list[str]:
    """List what stands in a card and not in the expected one, each with the card's line number.

    Args:
        found: The card to check.
        expected: The card that the record gives.
        by_line: Compare all lines; else only ask of every number and digest whether it stands anywhere in `expected`.
    """
    if not by_line:
        return list(_foreign_numbers(found, expected))
    pairs = ((found.front, expected.front), (found.body, expected.body))
    return [line for part, other in pairs for line in _changed_lines(part, other.lines)]


def parse(card: str) -> Generated | None:
    """Find the generated parts; None where a mark is missing."""
    lines = [line.rstrip("\r") for line in card.split("\n")]
    marks = [(index, mark) for index, line in enumerate(lines) if (mark := _MARK.fullmatch(line))]
    ends = [index for index, line in enumerate(lines) if line == END]
    if not marks or not ends or ends[-1] < marks[0][0]:
        return None
    start, mark = marks[0]
    body = Part(start + 2, lines[start + 1 : ends[-1]])
    return Generated(mark[1], mark[2], _front_matter(lines), body)


def _front_matter(lines: list[str]) -> Part:
    if lines[0] != "---" or "---" not in lines[1:]:
        return Part(1, [])
    return Part(2, lines[1 : lines.index("---", 1)])


def _changed_lines(found: Part, expected: list[str]) -> Iterator[str]:
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
    return text if len(text) <= QUOTED else f"{text[:QUOTED]}…"


def _foreign_numbers(found: Generated, expected: Generated) -> Iterator[str]:
    """Report every number and digest of the card that the record, rendered by these templates, does not have."""
    known = {
        number for part in (expected.front, expected.body) for line in part.lines for number in _NUMBER.findall(line)
    }
    for part in (found.front, found.body):
        for index, line in enumerate(part.lines):
            for number in _NUMBER.findall(line):
                if number not in known:
                    yield f"line {part.first + index}: {number} stands nowhere in the record; other templates made it"
