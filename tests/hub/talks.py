"""What people say about a repository: discussions beside the pull requests, numbered together."""

import uuid
from datetime import UTC, datetime
from typing import Any

from tests.hub import refs
from tests.hub.repos import Call, readable, repo_url
from tests.hub.state import Account, Pull, Repo
from tests.hub.wire import Answer, Refused

PAGE = 20
"""Discussions on one page."""
TITLES = range(3, 201)
"""How many characters a title may have."""


def listed(call: Call) -> Answer:
    """List discussions and pull requests, the newest first, a page at a time."""
    repo = readable(call)
    asked = {name: call.query.get(name, ["all"])[0] for name in ("status", "type", "author")}
    start = int(call.query.get("p", ["0"])[0]) * PAGE
    found = [*map(_of_pull, repo.pulls), *repo.talks]
    wanted = [each for each in sorted(found, key=lambda each: -each["num"]) if _matches(each, asked)]
    page = [_told(repo, each) for each in wanted[start : start + PAGE]]
    return Answer.json({"discussions": page, "count": len(wanted), "start": start})


def _matches(talk: dict[str, Any], asked: dict[str, str]) -> bool:
    kind = "pull_request" if talk["isPullRequest"] else "discussion"
    facts = {"status": talk["status"], "type": kind, "author": talk["author"]["name"]}
    return all(wanted in ("all", facts[name]) for name, wanted in asked.items())


def _of_pull(pull: Pull) -> dict[str, Any]:
    return {
        "num": pull.number,
        "title": pull.title,
        "status": pull.status,
        "author": {"name": pull.author},
        "createdAt": pull.created,
        "isPullRequest": True,
    }


def _told(repo: Repo, talk: dict[str, Any]) -> dict[str, Any]:
    of = {"name": repo.id, "type": repo.kind.removesuffix("s")}
    return {key: value for key, value in talk.items() if key != "events"} | {"repo": of}


def details(call: Call) -> Answer:
    """Tell a discussion with all that was said in it, or a pull request."""
    repo, number = readable(call), int(call.params["number"])
    for pull in repo.pulls:
        if pull.number == number:
            changes = {"base": "refs/heads/main"}
            return Answer.json(
                _told(repo, _of_pull(pull)) | {"events": [], "changes": changes, "filesWithConflicts": []}
            )
    talk = _talk(repo, number)
    return Answer.json(_told(repo, talk) | {"events": talk["events"]})


def create(call: Call) -> Answer:
    """Open a discussion; its description is the first comment."""
    asked = call.body.json()
    if asked.get("pullRequest"):
        raise Refused(400, "A pull request is opened with a commit here: ?create_pr=1.")
    if len(asked["title"].strip()) not in TITLES:
        raise Refused(400, "The title must have 3 to 200 characters.")
    with call.store.lock:
        repo = readable(call)
        who = _speaker(call, repo)
        talk = {
            "num": repo.next_number(),
            "title": asked["title"].strip(),
            "status": "open",
            "author": {"name": who.name},
            "createdAt": _now(),
            "isPullRequest": False,
            "events": [_comment(who, asked["description"])],
        }
        repo.talks.append(talk)
        repo.save()
    return Answer.json({"num": talk["num"], "url": f"{repo_url(call, repo)}/discussions/{talk['num']}"})


def comment(call: Call) -> Answer:
    asked = call.body.json()
    with call.store.lock:
        repo = readable(call)
        who = _speaker(call, repo)
        event = _comment(who, asked["comment"])
        _talk(repo, int(call.params["number"]))["events"].append(event)
        repo.save()
    return Answer.json({"newMessage": event})


def status(call: Call) -> Answer:
    """Close a discussion, or open it again, with a comment where one is given; or do so with a pull request."""
    number = int(call.params["number"])
    if any(pull.number == number for pull in readable(call).pulls):
        return refs.status(call)
    asked = call.body.json()
    with call.store.lock:
        repo = readable(call)
        who = _speaker(call, repo)
        talk = _talk(repo, number)
        if "comment" in asked:
            talk["events"].append(_comment(who, asked["comment"]))
        change = _event(who, "status-change", {"status": asked["status"]})
        talk["events"].append(change)
        talk["status"] = asked["status"]
        repo.save()
    return Answer.json({"newStatus": change})


def _talk(repo: Repo, number: int) -> dict[str, Any]:
    for talk in repo.talks:
        if talk["num"] == number:
            return talk
    raise Refused(404, "There is no such discussion.")


def _speaker(call: Call, repo: Repo) -> Account:
    """Return who speaks: anybody who may read the repository, with a token that may do more than read."""
    who = call.account
    if who is None:
        raise Refused(401, "Invalid username or password.")
    rights = who.scoped()
    granted = (*rights.get(repo.id, ()), *rights.get(repo.id.split("/")[0], ()))
    if not who.writes(repo.id) and "discussion.write" not in granted:
        raise Refused(403, "This token may not take part in discussions.")
    return who


def _comment(who: Account, text: str) -> dict[str, Any]:
    latest = {"raw": text, "author": {"name": who.name}, "updatedAt": _now()}
    return _event(who, "comment", {"edited": False, "hidden": False, "latest": latest})


def _event(who: Account, kind: str, data: dict[str, Any]) -> dict[str, Any]:
    name = {"name": who.name}
    return {"id": uuid.uuid4().hex[:24], "type": kind, "createdAt": _now(), "author": name, "data": data}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
