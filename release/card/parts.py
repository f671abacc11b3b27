"""A card in its parts: what is generated, and what a person wrote around it.

The front matter's fields and everything between the two marks are generated. The opening mark holds a digest of both,
by which a later run tells whether anybody wrote in them, whatever templates made them.
"""

import hashlib
import json
import re
from functools import lru_cache
from typing import Any, NamedTuple

from release.names import REPO_ID, TAG
from release.outside import Unfit, yaml_mapping

BEGIN = "<!-- release: generated card; templates {templates}; seals {seals}{target}; write outside the two marks -->"
END = "<!-- release: end of the generated card; text after this line is yours and is not checked -->"
FIELDS = (
    *("license", "license_name", "license_link", "base_model", "base_model_relation"),
    *("library_name", "pipeline_tag", "language", "model-index"),
)
"""What is generated of the front matter and nobody else's; of the tags only those that are generated."""

_MARK = re.compile(
    r"<!-- release: generated card; templates (?P<templates>[0-9a-f]+); seals (?P<front>[0-9a-f]+) (?P<body>[0-9a-f]+)"
    rf"(?:; for (?P<repo>{REPO_ID.pattern})(?P<gated>, gated)?(?:, Space (?P<space>{REPO_ID.pattern}))?"
    rf"(?:, as (?P<tag>{TAG.pattern}))?)?"
    r"; write outside the two marks -->"
)
FIELD = re.compile(r"([A-Za-z_][\w.-]*):(?:\s|$)")


class CardPlace(NamedTuple):
    """Where a card goes: a Hub id, whether people must agree to terms there, its Space's id, its tag; or nowhere."""

    repo_id: str | None = None
    gated: bool = False
    space: str | None = None
    tag: str | None = None


NOWHERE = CardPlace()


class CardPart(NamedTuple):
    """Consecutive lines of a card, and the number of the first, from 1."""

    first: int
    lines: list[str]


class Seals(NamedTuple):
    """Digests of the generated fields and of the generated text."""

    front: str
    body: str


class Card(NamedTuple):
    """A card's text in its parts.

    Attributes:
        templates: Digest of the templates that made it.
        target: What it was made for.
        front: The front matter, without its rules.
        above: What stands between front matter and opening mark.
        body: The text between the marks.
        below: What stands after the closing mark.
        sealed: The digests in the mark.
    """

    templates: str
    target: CardPlace
    front: CardPart
    above: CardPart
    body: CardPart
    below: CardPart
    sealed: Seals

    @property
    def text(self) -> str:
        """The whole card, the mark with `sealed` in it; `parse(c.text)` has the same parts as `c`."""
        repo, gated, space, tag = self.target
        shown = f"{', gated' if gated else ''}{f', Space {space}' if space else ''}{f', as {tag}' if tag else ''}"
        target = f"; for {repo}{shown}" if repo else ""
        begin = BEGIN.format(templates=self.templates, seals=" ".join(self.sealed), target=target)
        lines = ("---", *self.front.lines, "---", *self.above.lines, begin, *self.body.lines, END, *self.below.lines)
        return "\n".join(lines)

    @property
    def facts(self) -> dict[str, Any]:
        """The front matter's fields; none where it cannot be read."""
        return dict(_fields("\n".join(self.front.lines))[0])

    @property
    def unread(self) -> str | None:
        """Why the front matter cannot be read; None where it can."""
        return _fields("\n".join(self.front.lines))[1]

    @property
    def seals(self) -> Seals:
        """The digests of what stands there now."""
        facts = {name: value for name, value in self.facts.items() if name in FIELDS}
        return Seals(_digest(json.dumps(facts, sort_keys=True, default=str)), _digest("\n".join(self.body.lines)))

    @property
    def line_count(self) -> int:
        """Lines of the front matter and of the text."""
        return len(self.front.lines) + len(self.body.lines)


@lru_cache(maxsize=8)  # a card is asked for its fields a dozen times while it is compared or merged
def _fields(front: str) -> tuple[dict[str, Any], str | None]:
    try:
        return yaml_mapping(front), None
    except Unfit as why:
        return {}, str(why)


def generated(templates: str, target: CardPlace, front: str, body: str) -> Card:
    """Put a new card together; nobody has written around it yet.

    Args:
        front: YAML of the front matter.
    """
    nothing = CardPart(0, [""])
    lines = CardPart(0, ["", *body.split("\n"), ""])
    card = Card(templates, target, CardPart(2, front.splitlines()), nothing, lines, nothing, Seals("", ""))
    return card._replace(sealed=card.seals)


def parse(card: str) -> Card | None:
    """Take a card apart; None where a mark is missing."""
    lines = [line.rstrip("\r") for line in card.split("\n")]
    start = next((index for index, line in enumerate(lines) if _MARK.fullmatch(line)), None)
    ends = [index for index, line in enumerate(lines) if line == END]
    if start is None or not ends or ends[-1] < start:
        return None
    mark, end, opened = _MARK.fullmatch(lines[start]), ends[-1], _front_end(lines[:start])
    if mark is None:
        return None
    return Card(
        mark["templates"],
        CardPlace(mark["repo"], mark["gated"] is not None, mark["space"], mark["tag"]),
        CardPart(2, lines[1 : max(1, opened - 1)]),
        CardPart(opened + 1, lines[opened:start]),
        CardPart(start + 2, lines[start + 1 : end]),
        CardPart(end + 2, lines[end + 1 :]),
        Seals(mark["front"], mark["body"]),
    )


def adopted(text: str, new: Card) -> Card:
    """Take a person's whole card for one whose text stands below the marks of a new one, beside their own fields."""
    lines = [line.rstrip("\r") for line in text.rstrip().split("\n")]
    opened = _front_end(lines)
    front = CardPart(2, lines[1 : max(1, opened - 1)])
    if new._replace(front=front).unread:  # what cannot be read as fields is kept as text
        front, opened = CardPart(2, []), 0
    card = new._replace(front=front, above=CardPart(0, [""]), below=CardPart(0, ["", *lines[opened:], ""]))
    return card._replace(sealed=card.seals)


def _front_end(lines: list[str]) -> int:
    """How many lines the front matter takes, its rules included."""
    if not lines or lines[0] != "---" or "---" not in lines[1:]:
        return 0
    return lines.index("---", 1) + 1


def field_lines(front: CardPart) -> dict[str, CardPart]:
    """The lines of each field of a front matter, by its name; a name that stands twice counts once, the last time."""
    found: dict[str, CardPart] = {}
    name = ""
    for number, line in enumerate(front.lines, front.first):
        if match := FIELD.match(line):
            name = match[1]
            found[name] = CardPart(number, [])
        if name:
            found[name].lines.append(line)
    return found


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
