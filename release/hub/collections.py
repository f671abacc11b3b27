"""The collection that a release is put into: checked before anything is made, filled when all is shown."""

import re
from typing import Literal

from huggingface_hub import Collection

from release.errors import BadOption
from release.format import quoted
from release.hub.account import login
from release.hub.admission import told
from release.hub.client import HubClient
from release.hub.context import PushContext
from release.hub.repos import Kind, Upload
from release.sources.contact import CLIENT_ERRORS, plain, status_of

SLUG = re.compile(r"[\w.-]+/[\w.-]+")
"""A collection's slug: its owner, then its title in small letters with a number that the Hub gave it."""
LONGEST_TITLE = 60
OTHER_COLLECTION = "Give the slug of one of yours, as it stands in its address, or a title: then one is made."


def check(client: HubClient, wanted: str | None, owner: str) -> None:
    """Refuse a collection that the Hub would refuse, before anything is made.

    Args:
        owner: Who the release belongs to.

    Raises:
        BadOption: The title is empty or too long; there is no collection of this slug; or it is somebody else's.
    """
    if wanted is None:
        return
    if SLUG.fullmatch(wanted):
        _check_slug(client, wanted, owner)
    elif not 0 < len(wanted.strip()) <= LONGEST_TITLE:
        raise BadOption(
            f"--collection {quoted(wanted)} has {len(wanted.strip())} characters; a title has 1 to {LONGEST_TITLE}.",
            f"Give a shorter title. {OTHER_COLLECTION}",
        )


def _check_slug(client: HubClient, wanted: str, owner: str) -> None:
    theirs = wanted.split("/")[0]
    if theirs != owner and theirs not in ((account := login(client=client)).name, *account.orgs):
        raise BadOption(f"The collection {wanted} is not yours: it belongs to {theirs}.", OTHER_COLLECTION)
    with told(client, "collection", wanted):
        try:
            found = client.ask(lambda: client.api.get_collection(wanted)).slug
        except CLIENT_ERRORS as error:
            if status_of(error) not in (401, 404):
                raise
            raise BadOption(f"There is no collection {wanted} on the Hub.", OTHER_COLLECTION) from None
    if found != wanted:
        raise BadOption(f"The collection {wanted} leads on to {plain(found)}.", f"Give --collection {plain(found)}.")


def collect(context: PushContext, upload: Upload) -> str | None:
    """Put the repositories into the collection that was asked for, and return its address."""
    wanted = context.options.collection
    if wanted is None:
        return None
    collection = context.ask("collection", wanted, lambda: _collection(context, wanted, upload.id.split("/")[0]))
    held = {(item.item_type, item.item_id) for item in collection.items}
    for target in upload.targets():
        if (target.kind, target.id) not in held:
            _add(context, collection.slug, target.kind, target.id)
    return f"{context.client.endpoint}/collections/{collection.slug}"


def _collection(context: PushContext, wanted: str, owner: str) -> Collection:
    """Return the collection of this slug, or of this title: one is made where there is none."""
    api = context.client.api
    if SLUG.fullmatch(wanted):
        return api.get_collection(wanted)
    return api.create_collection(wanted.strip(), namespace=owner, private=context.options.private, exists_ok=True)


def _add(context: PushContext, slug: str, kind: Kind, repo_id: str) -> None:
    api = context.client.api
    item: Literal["model", "space"] = kind
    context.ask("collection", slug, lambda: api.add_collection_item(slug, repo_id, item, exists_ok=True))
    context.journal.note("collected", context.client.url(kind, repo_id), collection=slug)
