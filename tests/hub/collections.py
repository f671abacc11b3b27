"""Collections: named lists of repositories. One JSON file each, collections/<owner>/<slug>.json."""

import json
import re
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.hub.repos import Call, allow
from tests.hub.state import write_json
from tests.hub.wire import Answer, Refused

LONGEST_TITLE, LONGEST_DESCRIPTION, LONGEST_NOTE = 60, 150, 500


def _folder(call: Call) -> Path:
    return call.store.folder / "collections"


def _held(call: Call, slug: str) -> dict[str, Any]:
    path = _folder(call) / f"{slug}.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    owner = call.account is not None and call.account.owns(slug)
    if not found or (found["private"] and not owner):
        raise Refused(404 if call.account else 401, "Collection not found")
    return found


def listed(call: Call) -> Answer:
    """List collections, of one owner where that is asked for, with their first four items; the order is the place."""
    owner = call.query.get("owner", [""])[0]
    slugs = (path.relative_to(_folder(call)).with_suffix("") for path in sorted(_folder(call).glob("*/*.json")))
    found = [_held(call, str(slug)) for slug in slugs if not owner or slug.parts[0] == owner]
    brief = [each | {"items": each["items"][:4]} for each in found]
    return Answer.json([{name: value for name, value in each.items() if name != "position"} for each in brief])


def get(call: Call) -> Answer:
    return Answer.json(_held(call, call.params["slug"]))


def create(call: Call) -> Answer:
    """Make a collection; an owner's title stands for one only."""
    asked = call.body.json()
    title, owner = asked["title"], asked["namespace"]
    allow(call, f"{owner}/-")
    if not 0 < len(title) <= LONGEST_TITLE or len(asked.get("description", "")) > LONGEST_DESCRIPTION:
        raise Refused(400, "The title or the description is too long.")
    with call.store.lock:
        for path in _folder(call).glob(f"{owner}/*.json"):
            known = json.loads(path.read_text())
            if known["title"] == title:
                refusal = Refused(409, "This collection already exists.")
                refusal.body["slug"] = known["slug"]
                raise refusal
        made = _new(title, owner, bool(asked.get("private")), asked.get("description"))
        return _saved(call, made)


def _new(title: str, owner: str, private: bool, description: str | None) -> dict[str, Any]:
    words = "-".join(re.findall(r"[a-z0-9]+", title.lower()))
    return {
        "slug": f"{owner}/{words}-{uuid.uuid4().hex[:24]}",
        "title": title,
        "owner": {"name": owner},
        "items": [],
        "private": private,
        "description": description,
        "position": 0,
        "theme": "blue",
        "upvotes": 0,
    }


def add(call: Call) -> Answer:
    """Add an item, which has to exist and not to be there already."""
    asked = call.body.json()
    item = asked["item"]
    with call.store.lock:
        found = _held(call, call.params["slug"])
        allow(call, found["slug"])
        if call.store.repo(f"{item['type']}s", item["id"]) is None:
            raise Refused(404, f"There is no {item['type']} {item['id']}.")
        if any((held["type"], held["id"]) == (item["type"], item["id"]) for held in found["items"]):
            raise Refused(409, "This item is in the collection already.")
        place = {"_id": uuid.uuid4().hex[:24], "position": len(found["items"])}
        found["items"].append({**item, **place, **_noted(asked)})
        return _saved(call, found)


def _noted(asked: dict[str, Any]) -> dict[str, Any]:
    """Return a note as the Hub tells it; nothing where none was given."""
    if (note := asked.get("note")) is None:
        return {}
    if len(note) > LONGEST_NOTE:
        raise Refused(400, f"A note has at most {LONGEST_NOTE} characters.")
    return {"note": {"text": note, "html": note}}


def change_item(call: Call) -> Answer:
    with call.store.lock:
        found = _held(call, call.params["slug"])
        allow(call, found["slug"])
        item = next((each for each in found["items"] if each["_id"] == call.params["item"]), None)
        if item is None:
            raise Refused(404, "There is no such item.")
        item |= _noted(call.body.json())
        return _saved(call, found)


def change(call: Call) -> Answer:
    """Change who may see a collection."""
    with call.store.lock:
        found = _held(call, call.params["slug"])
        allow(call, found["slug"])
        found |= {name: value for name, value in call.body.json().items() if name in ("private", "description")}
        return Answer.json({"data": json.loads(bytes(_saved(call, found).content))})


def delete(call: Call) -> Answer:
    with call.store.lock:
        allow(call, _held(call, call.params["slug"])["slug"])
        (_folder(call) / f"{call.params['slug']}.json").unlink()
    return Answer.json({})


def _saved(call: Call, collection: dict[str, Any]) -> Answer:
    collection["lastUpdated"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    path = _folder(call) / f"{collection['slug']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, collection)
    return Answer.json(collection)
