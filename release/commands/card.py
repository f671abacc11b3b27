"""`release card`: the card of a release, written anew from its record alone."""

from pathlib import Path

from release.card import file as card_file
from release.card.merge import Merged
from release.checkpoint.folder import model_folder
from release.verification.verify import required_record


def render_again(folder: Path) -> Path:
    """Write the card of a release anew, from its record alone, and return its path.

    Raises:
        OutputConflict: Somebody wrote where it is generated.
    """
    return card_file.write(model_folder(folder), _card_again(folder))


def card_changes(folder: Path) -> str:
    """Return how the card of a release would change if it were written anew; "" for not at all."""
    return card_file.changes(_card_again(folder), card_file.text_of(model_folder(folder)))


def _card_again(folder: Path) -> Merged:
    model = model_folder(folder)
    return card_file.renewed(model, required_record(model))
