"""What makes a whole release seen and found: the gate, visibility, a tag, a collection."""

import re
from typing import Literal

from huggingface_hub import Collection

from release.hub.delivery import Delivery
from release.hub.repos import Found, Kind, Parcel, Target

SLUG = re.compile(r"[\w.-]+/[\w.-]+-[0-9a-f]{16,}")
"""A collection's slug: its owner, its title in small letters, and a number that the Hub gave it."""
TAG = re.compile(r"v[1-9][0-9]*")


def gate(delivery: Delivery, model: Target, found: Found) -> str | bool:
    """Set who has to ask for the model, where that was asked for and is not so; return what holds then."""
    wanted = delivery.ways.gated
    if wanted is None or wanted == found.gated:
        return found.gated
    api = delivery.line.api
    delivery.ask("model", model.id, lambda: api.update_repo_settings(model.id, gated=wanted))
    delivery.journal.note("gated", delivery.line.url("model", model.id), gated=wanted)
    return wanted


def show(delivery: Delivery, target: Target, found: Found) -> None:
    """Make a repository public that is not."""
    if found.public:
        return
    api, url = delivery.line.api, delivery.line.url(target.kind, target.id)
    delivery.ask(
        target.kind,
        target.id,
        lambda: api.update_repo_settings(target.id, repo_type=target.kind, visibility="public"),
    )
    delivery.seen.append(f"{url} is public")
    delivery.journal.note("shown", url)


def hide(delivery: Delivery, target: Target) -> None:
    """Make a repository private that this push, or one that was killed, made public."""
    api, url = delivery.line.api, delivery.line.url(target.kind, target.id)
    delivery.ask(
        target.kind,
        target.id,
        lambda: api.update_repo_settings(target.id, repo_type=target.kind, visibility="private"),
    )
    delivery.seen[:] = [each for each in delivery.seen if each != f"{url} is public"]
    delivery.journal.note("hidden", url)


def tag(delivery: Delivery, model: Target, commit: str) -> str:
    """Return the tag v1, v2, … that names a commit; the next free one is made where there is none."""
    api = delivery.line.api
    refs = delivery.ask("model", model.id, lambda: api.list_repo_refs(model.id))
    versions = {int(ref.name[1:]): ref.target_commit for ref in refs.tags if TAG.fullmatch(ref.name)}
    for number, tagged in versions.items():
        if tagged == commit:
            return f"v{number}"
    name = f"v{max(versions, default=0) + 1}"
    delivery.ask("model", model.id, lambda: api.create_tag(model.id, tag=name, revision=commit, exist_ok=True))
    delivery.journal.note("tagged", delivery.line.url("model", model.id), tag=name, commit=commit)
    return name


def collect(delivery: Delivery, parcel: Parcel) -> str | None:
    """Put the repositories into the collection that was asked for, and return its address."""
    wanted = delivery.ways.collection
    if wanted is None:
        return None
    collection = delivery.ask("collection", wanted, lambda: _collection(delivery, wanted, parcel.id.split("/")[0]))
    held = {(item.item_type, item.item_id) for item in collection.items}
    for target in parcel.targets():
        if (target.kind, target.id) not in held:
            _add(delivery, collection.slug, target.kind, target.id)
    return f"{delivery.line.endpoint}/collections/{collection.slug}"


def _collection(delivery: Delivery, wanted: str, owner: str) -> Collection:
    """Return the collection of this slug, or of this title: one is made where there is none."""
    api = delivery.line.api
    if SLUG.fullmatch(wanted):
        return api.get_collection(wanted)
    return api.create_collection(wanted, namespace=owner, private=delivery.ways.private, exists_ok=True)


def _add(delivery: Delivery, slug: str, kind: Kind, repo_id: str) -> None:
    api = delivery.line.api
    item: Literal["model", "space"] = kind
    delivery.ask("collection", slug, lambda: api.add_collection_item(slug, repo_id, item, exists_ok=True))
    delivery.journal.note("collected", delivery.line.url(kind, repo_id), collection=slug)
