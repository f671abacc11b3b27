"""The card of a model folder: written anew without losing what people wrote in it."""

from pathlib import Path

from release import card
from release.card_merge import Copy, difference, required
from release.card_parts import NOWHERE, Target, parse
from release.record import Record

NAME = "README.md"
PUBLISHED = "README.published.md"
"""The card as it was last uploaded from here; tells which of two copies somebody wrote in since."""


def write(model: Path, record: Record, target: Target, on_hub: str | None = None, work: Path | None = None) -> Path:
    """Write the card of a model folder, and carry over what people wrote here and on the Hub.

    Args:
        on_hub: The card as it stands on the Hub.
        work: Where `remember` kept the last one.

    Raises:
        OutputConflict: Somebody wrote where it is generated; lists the lines, and nothing is written.
    """
    text = required(card.renew(record, target, _copies(model, on_hub), _published(work)))
    path = model / NAME
    path.write_text(text, encoding="utf-8", newline="\n")
    return path


def changes(model: Path, record: Record, target: Target, on_hub: str | None = None, work: Path | None = None) -> str:
    """Return what `write` would change, against the Hub's card where there is one; conflicts stand in front."""
    merged = card.renew(record, target, _copies(model, on_hub), _published(work))
    now = on_hub if on_hub is not None else _read(model / NAME) or ""
    lines = (*(f"! {conflict}" for conflict in merged.conflicts), difference(now, merged.text))
    return "\n".join(line for line in lines if line)


def require_intact(model: Path, record: Record | None) -> None:
    """Refuse, before any work, to go on where the generated part of a card was edited.

    Raises:
        OutputConflict: It was; lists the lines.
    """
    copies = _copies(model, None)
    if record is not None and copies and (found := parse(copies[0].text)):
        required(card.renew(record, found.target, copies))


def target_of(model: Path) -> Target:
    """What the card that lies there was made for."""
    found = parse(_read(model / NAME) or "")
    return found.target if found else NOWHERE


def remember(model: Path, work: Path) -> None:
    """Keep the card that was just uploaded."""
    if work.is_dir():
        (work / PUBLISHED).write_bytes((model / NAME).read_bytes())


def _published(work: Path | None) -> str | None:
    return _read(work / PUBLISHED) if work is not None else None


def _copies(model: Path, on_hub: str | None) -> list[Copy]:
    found = (Copy(NAME, _read(model / NAME) or ""), Copy(f"{NAME} on the Hub", on_hub or ""))
    return [copy for copy in found if copy.text.strip()]


def _read(path: Path) -> str | None:
    return path.read_bytes().decode("utf-8", "replace") if path.is_file() else None
