"""The collection that a release, or a whole grid, is put into.

A release's is checked before anything is made, and filled when all is shown. A grid's is filled while everything is
private, and shown last: a reader never meets a list of what they cannot open.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from huggingface_hub import Collection, CollectionItem

from release.errors import BadOption, HubFailed
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
LONGEST_NOTE = 500
LONGEST_DESCRIPTION = 150
"""Characters, as the Hub takes them."""
OTHER_COLLECTION = "Give the slug of one of yours, as it stands in its address, or a title: then one is made."


class CollectionEntry(NamedTuple):
    """A repository in a collection, and what is said of it there."""

    kind: Kind
    id: str
    note: str | None = None


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
            _add(context, collection.slug, CollectionEntry(target.kind, target.id))
    return address(context, collection.slug)


def _collection(context: PushContext, wanted: str, owner: str) -> Collection:
    """Return the collection of this slug, or of this title: one is made where there is none."""
    api = context.client.api
    if SLUG.fullmatch(wanted):
        return api.get_collection(wanted)
    return api.create_collection(wanted.strip(), namespace=owner, private=context.options.private, exists_ok=True)


def _add(context: PushContext, slug: str, item: CollectionEntry) -> None:
    api = context.client.api
    context.ask(
        "collection",
        slug,
        lambda: api.add_collection_item(slug, item.id, item.kind, note=item.note, exists_ok=True),
    )
    context.journal.note("collected", context.client.url(item.kind, item.id), collection=slug)


def made(context: PushContext, wanted: str, owner: str, description: str) -> str:
    """Return the slug of the collection that a grid goes into; one that is made here is private until `show`.

    Args:
        wanted: Its slug, or its title.
        description: Of one that is made here, cut to what the Hub takes.
    """
    api = context.client.api
    if SLUG.fullmatch(wanted):
        return context.ask("collection", wanted, lambda: api.get_collection(wanted)).slug
    title = wanted.strip()
    if known := context.ask("collection", title, lambda: _of_title(context.client, owner, title)):
        return known
    found = context.ask(
        "collection",
        title,
        lambda: api.create_collection(
            title, namespace=owner, description=description[:LONGEST_DESCRIPTION], private=True, exists_ok=True
        ),
    )
    context.journal.note("made", address(context, found.slug))
    return found.slug


def _of_title(client: HubClient, owner: str, title: str) -> str | None:
    return next((each.slug for each in client.api.list_collections(owner=owner) if each.title == title), None)


def gather(context: PushContext, slug: str, items: Sequence[CollectionEntry]) -> None:
    """Put repositories into a collection, each with its note, and look whether all are there and can be read.

    What else lies there stays.

    Raises:
        HubFailed: One is not there, or cannot be read.
    """
    held = _held(context, slug)
    for item in items:
        there = held.get((item.kind, item.id))
        if there is None:
            _add(context, slug, item)
        elif item.note is not None and there.note != item.note:
            _note(context, slug, there.item_object_id, item)
    _require_whole(context, slug, items)


def _held(context: PushContext, slug: str) -> dict[tuple[str, str], CollectionItem]:
    collection = context.ask("collection", slug, lambda: context.client.api.get_collection(slug))
    return {(item.item_type, item.item_id): item for item in collection.items}


def _note(context: PushContext, slug: str, place: str, item: CollectionEntry) -> None:
    api = context.client.api
    context.ask("collection", slug, lambda: api.update_collection_item(slug, place, note=item.note))
    context.journal.note("noted", context.client.url(item.kind, item.id), collection=slug)


def _require_whole(context: PushContext, slug: str, items: Sequence[CollectionEntry]) -> None:
    """Look at the collection and at every repository in it as they are now, whatever was answered before."""
    held = _held(context, slug)
    for item in items:
        there = held.get((item.kind, item.id))
        if there is None or there.note != item.note:
            what = "is not in" if there is None else "has another note in"
            raise HubFailed(
                f"{item.kind.capitalize()} {item.id} {what} {address(context, slug)}, though the Hub said yes. "
                f"{context.visible()}",
                "Run the same command again.",
            )
        _look(context, item)


def _look(context: PushContext, item: CollectionEntry) -> None:
    context.ask(item.kind, item.id, lambda: context.client.api.repo_info(item.id, repo_type=item.kind))


def show(context: PushContext, slug: str) -> None:
    """Make a collection public that was made here and is not.

    Raises:
        HubFailed: The Hub refuses, or says yes and does nothing.
    """
    api, url = context.client.api, address(context, slug)
    if not _is_private(context, slug) or not context.journal.knows("made", url):
        return
    context.ask("collection", slug, lambda: api.update_collection_metadata(slug, private=False))
    if _is_private(context, slug):
        raise HubFailed(f"The Hub said yes, and {url} is not public. {context.visible()}", f"Make it so at {url}.")
    context.journal.note("shown", url)


def _is_private(context: PushContext, slug: str) -> bool:
    return bool(context.ask("collection", slug, lambda: context.client.api.get_collection(slug)).private)


def address(context: PushContext, slug: str) -> str:
    """Where a collection is seen."""
    return f"{context.client.endpoint}/collections/{slug}"
