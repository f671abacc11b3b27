"""The card as it stands on the Hub, which people may have written in since."""

from pathlib import Path
from typing import NamedTuple

from release.errors import OutputConflict
from release.hub.line import Line
from release.hub.plan import told
from release.hub.repos import MAIN, Found, look
from release.record import CARD
from release.sources.contact import patience


class Standing(NamedTuple):
    """A card on the Hub.

    Attributes:
        text: None where there is none.
        commit: Where it was read; None where there is no repository.
    """

    text: str | None
    commit: str | None


def standing_card(repo_id: str, revision: str = MAIN, line: Line | None = None) -> Standing:
    """Read the card of a model repository as it is now.

    Raises:
        HubFailed: The Hub refuses, or cannot be reached.
    """
    line = line or Line()
    patience()
    with told(line, "model", repo_id):
        found = look(line, "model", repo_id, revision)
        if found is None or CARD not in found.files:
            return Standing(None, found.head if found else None)
        path = line.ask(lambda: line.api.hf_hub_download(repo_id, CARD, revision=found.head))
    return Standing(Path(path).read_bytes().decode("utf-8", "replace"), found.head)


def require_unmoved(found: Found, expected: str | None, url: str) -> None:
    """Refuse to go on where somebody committed since the card was read: they may have written in it.

    Raises:
        OutputConflict: Somebody did.
    """
    if expected is not None and found.head != expected:
        raise OutputConflict(
            f"Somebody committed to {url} while this push was prepared.",
            f"Look at {url}/commits/main, and run the same command again; what they wrote around the card is kept.",
        )
