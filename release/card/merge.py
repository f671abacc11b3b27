"""Put a newly generated card in the place of one that a person may have written in.

What stands outside the marks, and fields and tags that were added to the front matter, are carried over, from the
folder and from the Hub alike. What somebody changed inside is a conflict: it is shown, and nothing is written.
"""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from release.card.check import PROPOSED, changed_fields, changed_text
from release.card.metadata import dump
from release.card.parts import FIELDS, Card, CardPart, adopted, parse
from release.errors import OutputConflict

SHOWN = 20
"""Edits that a message lists."""
REMEDY = (
    "Move your words above the first or below the second comment mark, or take the edit back, and run the same command "
    "again; `release card RELEASE --diff` shows what would change."
)


class Copy(NamedTuple):
    """A card as it stands somewhere.

    Attributes:
        where: Where that is, for messages: `README.md`, or `README.md on the Hub`.
        adopted: Whether a person wrote all of it, before there was a release: it has no marks then.
    """

    where: str
    text: str
    adopted: bool = False

    def card(self, new: Card) -> Card | None:
        """Take it apart; None where the marks are missing that should be there."""
        found = parse(self.text)
        return adopted(self.text, new) if found is None and self.adopted else found


class Merged(NamedTuple):
    """The new card with what people wrote, and what of theirs could not be carried over."""

    text: str
    conflicts: tuple[str, ...]


def merge(new: Card, copies: Sequence[Copy], published: str | None = None) -> Merged:
    """Carry over what people wrote around a card.

    Args:
        new: As just generated.
        copies: The card as it stands here and on the Hub; a missing one is left out.
        published: The card as it was last uploaded from here: tells which of two copies somebody wrote in since.
    """
    cards = [(copy.where, copy.card(new)) for copy in copies if copy.text.strip()]
    conflicts = [f"{where}: {edit}" for where, card in cards for edit in _edits(card, new)]
    kept = [card for _, card in cards if card is not None]
    before = parse(published) if published else None
    above, below = (_settle(place, kept, before, conflicts) for place in ("above", "below"))
    facts = _with_theirs(new, kept, before, conflicts)
    front = new.front if facts == new.facts else CardPart(2, dump(facts).splitlines())
    return Merged(new._replace(front=front, above=above, below=below).text, tuple(conflicts))


def required(merged: Merged) -> str:
    """Return the text of a merge without conflicts.

    Raises:
        OutputConflict: Lists them.
    """
    if not merged.conflicts:
        return merged.text
    more = f"; and {len(merged.conflicts) - SHOWN} more" if len(merged.conflicts) > SHOWN else ""
    listed = "\n  ".join(merged.conflicts[:SHOWN])
    raise OutputConflict(f"The card was edited where it is generated:\n  {listed}{more}", REMEDY)


def difference(now: str, then: str) -> str:
    """Return the unified difference of two cards; "" where they are the same."""
    return "\n".join(difflib.unified_diff(now.split("\n"), then.split("\n"), "README.md", "new", lineterm=""))


def _edits(card: Card | None, new: Card) -> list[str]:
    """What was written inside the generated parts since they were generated."""
    if card is None:
        return ["the marks around the generated text are missing"]
    if card.unread:
        return [f"line {card.front.first}: the front matter {card.unread}"]
    found = card.seals
    fields = [] if found.front == card.sealed.front else changed_fields(card, new)
    same = found.body == card.sealed.body or card.body.lines == new.body.lines
    return [*fields, *([] if same else changed_text(card, new))]


def _settle(place: str, cards: Sequence[Card], before: Card | None, conflicts: list[str]) -> CardPart:
    """Choose among what stands in one place of each card, as `_choose` does."""
    lines = [getattr(card, place).lines for card in cards]
    known = getattr(before, place).lines if before else [""]
    found = _choose(known, lines)
    if found is None:
        conflicts.append(f"text {place} the marks differs here and on the Hub, and both were changed")
    return CardPart(0, known if found is None else found)


def _choose(before: Any, found: Sequence[Any]) -> Any:
    """Three-way: the one value that differs from what was there before; None where two do, each in its own way."""
    changed = [value for value in found if value != before]
    if not changed:
        return before
    return changed[0] if all(value == changed[0] for value in changed) else None


def _with_theirs(new: Card, cards: Sequence[Card], before: Card | None, conflicts: list[str]) -> dict[str, Any]:
    """The generated fields, the tags that people added, and the fields that people added."""
    facts, known = new.facts, before.facts if before else {}
    found = [{name: value for name, value in card.facts.items() if _is_theirs(name, card, new)} for card in cards]
    for name in dict.fromkeys(name for theirs in found for name in theirs):
        value = _choose(known.get(name), [theirs.get(name) for theirs in found])
        if value is not None:
            facts[name] = value
        elif all(name in theirs for theirs in found):
            conflicts.append(f"{name} differs here and on the Hub, and both were changed")
    return facts | _tags(facts, [card.facts for card in cards], conflicts)


def _is_theirs(name: str, card: Card, new: Card) -> bool:
    """Whether a field of the front matter was put there by a person, or is their own by now."""
    if name.startswith(PROPOSED):
        return new.target.gated
    return name not in new.facts and (name not in FIELDS or card.seals.front != card.sealed.front)


def _tags(facts: Mapping[str, Any], found: Sequence[Mapping[str, Any]], conflicts: list[str]) -> dict[str, Any]:
    ours = facts.get("tags") or []
    there = [tag for each in found if isinstance(each.get("tags"), list) for tag in each["tags"]]
    added = [tag for tag in there if isinstance(tag, str)]
    if len(added) < len(there):
        conflicts.append("tags holds an entry that is no text; the Hub takes none, write it as text")
    return {"tags": list(dict.fromkeys([*ours, *added]))} if ours or added else {}
