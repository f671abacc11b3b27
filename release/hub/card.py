"""The card as it stands on the Hub, which people may have written in since."""

from typing import NamedTuple

from release.errors import HubFailed
from release.hub.admission import admitted, told
from release.hub.client import HubClient
from release.hub.makers import read
from release.hub.repos import Found, RepoFolder, Sight, Upload
from release.schema.record import CARD
from release.settings.publication import PublishOptions
from release.sources.contact import patience


class Standing(NamedTuple):
    """A card on the Hub, and what lies around it.

    Attributes:
        text: The model's card that a new one goes on from; None where there is none, or somebody else's goes.
        adopted: Whether a person wrote it, and nothing else is there.
        sight: What both repositories held when it was read.
    """

    text: str | None
    adopted: bool
    sight: Sight


def standing_card(upload: Upload, options: PublishOptions, client: HubClient | None = None) -> Standing:
    """Read the card of the model repository as it is now, where the release may go there.

    Raises:
        OutputConflict: It may not; see `admitted`.
        HubFailed: The Hub refuses, or cannot be reached.
    """
    client = client or HubClient()
    patience()
    targets = upload.targets(options.revision)
    found = admitted(client, targets, options)
    sight = {target.kind: there for target, there in zip(targets, found, strict=True)}
    model = found[0]
    if model is None or CARD not in model.files or model.maker == "stranger":
        return Standing(None, False, sight)
    return Standing(_text(client, targets[0], model), model.maker == "person", sight)


def _text(client: HubClient, target: RepoFolder, model: Found) -> str:
    with told(client, target.kind, target.id):
        text = read(client, target, model, CARD)
    if text is None:
        url = client.url(target.kind, target.id)
        raise HubFailed(
            f"{CARD} of {url} is no UTF-8 text.", f"Correct or remove it at {url}/tree/main, and try again."
        )
    return text
