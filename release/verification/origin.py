"""Whether a record names the base that it is held against: by its Hub id, and by the licence on the base's own card."""

from collections.abc import Iterator

from release import outside
from release.checkpoint.files import Files, content
from release.errors import InputError
from release.format import quoted
from release.schema.record import CARD, Base, Check
from release.sources import base as bases
from release.sources.stated import licence_on_card


def checks(base: Base, files: Files, asked: str | None) -> Iterator[Check]:
    """Hold what a record says of its base against the base, as far as that tells.

    Args:
        files: Of the base.
        asked: How it was asked for, as in `resolve`; None where it was not.
    """
    known = bases.id_of(asked) if asked is not None else None
    if known is not None and base.on_hub:
        yield _id(base.id, known)
    if CARD in files.sizes:
        yield _licence(base, files)


def _id(recorded: str, asked: str) -> Check:
    """Equal weights may be another repository's: whose they are said to be is what a card's readers go by."""
    same = recorded.casefold() == asked.casefold()
    told = f"{quoted(recorded)} on record, and held against {quoted(asked)}"
    return Check(name="base id", ok=same, detail=f"{recorded}, as asked for" if same else told)


def _licence(base: Base, files: Files) -> Check:
    try:
        stated = licence_on_card(content(files, CARD))
    except (InputError, outside.Unfit):
        return Check(name="licence", ok=None, detail="the base's own card cannot be read")
    held = base.licence.id
    if stated is None and "licence" in base.stated:
        return Check(name="licence", ok=None, detail=f"{held} is the publisher's word: the base's own card states none")
    if stated == held:
        return Check(name="licence", ok=True, detail=f"{held or 'none stated'}, as on the base's own card")
    told = f"{quoted(held or 'none')} on record, {quoted(stated or 'none')} on the base's own card"
    return Check(name="licence", ok=False, detail=f"{told}; where the base changed it, give --base ID@REVISION")
