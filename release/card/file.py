"""The card of a model folder: written anew without losing what people wrote in it."""

from pathlib import Path

from release import files
from release.card.merge import Copy, Merged, difference, required
from release.card.parts import NOWHERE, CardPlace, parse
from release.card.render import renew
from release.schema.record import CARD, Record

PUBLISHED = "README.published.md"
"""The card as it was last uploaded from here; tells which of two copies somebody wrote in since."""


def renewed(
    model: Path,
    record: Record,
    target: CardPlace | None = None,
    on_hub: str | None = None,
    work: Path | None = None,
    adopted: bool = False,
) -> Merged:
    """Render the card of a model folder anew, and carry over what people wrote here and on the Hub; writes nothing.

    Args:
        target: What it is made for; by default what the card that lies there was made for.
        on_hub: The card as it stands on the Hub.
        work: Where `remember` kept the last one.
        adopted: Whether a person wrote all of the card on the Hub, before any release went there.
    """
    published = _read(work / PUBLISHED) if work is not None else None
    return renew(record, target or _target_of(model), _copies(model, on_hub, adopted), published)


def write(model: Path, merged: Merged) -> Path:
    """Write the card of a model folder.

    Raises:
        OutputConflict: Somebody wrote where it is generated; lists the lines, and nothing is written.
    """
    path = model / CARD
    files.write(path, required(merged))
    return path


def changes(merged: Merged, now: str) -> str:
    """Say how a new card differs from what stands somewhere now; conflicts stand in front."""
    lines = (*(f"! {conflict}" for conflict in merged.conflicts), difference(now, merged.text))
    return "\n".join(line for line in lines if line)


def text_of(model: Path) -> str:
    """The card as it lies there; "" where there is none."""
    return _read(model / CARD) or ""


def require_intact(model: Path, record: Record | None) -> None:
    """Refuse, before any work, to go on where the generated part of a card was edited.

    Raises:
        OutputConflict: It was; lists the lines.
    """
    if record is not None:
        required(renewed(model, record))


def _target_of(model: Path) -> CardPlace:
    """What the card that lies there was made for."""
    found = parse(text_of(model))
    return found.target if found else NOWHERE


def remember(model: Path, work: Path) -> None:
    """Keep the card that was just uploaded."""
    if work.is_dir():
        files.copy(model / CARD, work / PUBLISHED)


def _copies(model: Path, on_hub: str | None, adopted: bool) -> list[Copy]:
    found = (Copy(CARD, text_of(model)), Copy(f"{CARD} on the Hub", on_hub or "", adopted))
    return [copy for copy in found if copy.text.strip()]


def _read(path: Path) -> str | None:
    return path.read_bytes().decode("utf-8", "replace") if path.is_file() else None
