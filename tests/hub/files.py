"""How a repository is listed and how its files are read."""

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote, urlencode

from tests.hub import apps
from tests.hub.repos import Call, opened, readable
from tests.hub.state import Commit, Entry, Repo, pointer
from tests.hub.wire import Answer, Refused, served

CREATED = "2024-10-31T12:00:00.000Z"
"""When every repository was made."""


def info(call: Call) -> Answer:
    repo = readable(call)
    commit = repo.resolve(call.params.get("rev") or "main")
    siblings = [_sibling(call, name, entry) for name, entry in commit.files.items()]
    facts: dict[str, Any] = {
        "id": repo.id,
        "author": repo.id.split("/")[0],
        "sha": commit.sha,
        "private": repo.private,
        "gated": repo.gated,
        "disabled": False,
        "tags": [],
        "downloads": 0,
        "likes": 0,
        "lastModified": commit.date,
        "createdAt": CREATED,
        "siblings": siblings,
    }
    if repo.kind == "spaces":
        facts |= {"sdk": repo.sdk, "host": apps.host(call, repo), "subdomain": repo.id.replace("/", "-")}
    return Answer.json(facts)


def _sibling(call: Call, name: str, entry: Entry) -> dict[str, Any]:
    if not call.asks("blobs"):
        return {"rfilename": name}
    oid, entry = call.store.oid(entry), call.store.lying(entry) if entry.lfs else entry
    facts = {"rfilename": name, "size": entry.size, "blobId": oid}
    return facts | ({"lfs": _lfs(entry)} if entry.lfs else {})


def _lfs(entry: Entry) -> dict[str, Any]:
    return {"oid": entry.sha256, "sha256": entry.sha256, "size": entry.size, "pointerSize": len(pointer(entry))}


def tree(call: Call) -> Answer:
    """List a folder, or everything below it."""
    repo = readable(call)
    commit = repo.resolve(call.params["rev"])
    root = PurePosixPath(call.params.get("path") or ".")
    below = [name for name in commit.files if root in PurePosixPath(name).parents]
    if not below and root != PurePosixPath():
        raise Refused(404, f"{root} does not exist on {call.params['rev']}", "EntryNotFound")
    paths = {*below, *(str(folder) for folder in _folders(below) if root in folder.parents)}
    if not call.asks("recursive"):
        paths = {path for path in paths if PurePosixPath(path).parent == root}
    return _paged(call, _listed(call, repo, commit, sorted(paths), call.asks("expand")))


def _paged(call: Call, items: list[dict[str, Any]]) -> Answer:
    """Answer one page, and in a Link header where the next one is."""
    start = int(call.query.get("cursor", ["0"])[0])
    end = start + call.site.page
    if end >= len(items):
        return Answer.json(items[start:])
    query = urlencode({**{key: values[0] for key, values in call.query.items()}, "cursor": str(end)})
    return Answer.json(items[start:end], headers={"Link": f'<{call.here}{quote(call.path)}?{query}>; rel="next"'})


def paths_info(call: Call) -> Answer:
    """List the paths that were asked for, leaving out those that do not exist."""
    repo, asked = readable(call), call.body.form()
    commit = repo.resolve(call.params["rev"])
    known = {*commit.files, *map(str, _folders(commit.files))}
    paths = [path for path in asked.get("paths", []) if path in known]
    return Answer.json(_listed(call, repo, commit, paths, asked.get("expand") == ["true"]))


def _folders(names: Iterable[str]) -> set[PurePosixPath]:
    return {folder for name in names for folder in PurePosixPath(name).parents} - {PurePosixPath()}


def _listed(call: Call, repo: Repo, commit: Commit, paths: list[str], expand: bool) -> list[dict[str, Any]]:
    hashes = call.store.cas(repo).hashes()
    last = {"lastCommit": {"id": commit.sha, "title": commit.title, "date": commit.date}} if expand else {}
    return [_item(call, commit, path, hashes) | last for path in paths]


def _item(call: Call, commit: Commit, path: str, hashes: dict[str, tuple[str, int]]) -> dict[str, Any]:
    if path not in commit.files:
        return {"type": "directory", "path": path, "size": 0, "oid": commit.sha}
    entry = call.store.lying(commit.files[path])
    item = {"type": "file", "path": path, "size": entry.size, "oid": call.store.oid(commit.files[path])}
    if entry.lfs:
        item["lfs"] = _lfs(entry)
        item |= {"xetHash": hashes[entry.sha256][0]} if entry.sha256 in hashes else {}
    return item


def resolve(call: Call) -> Answer:
    """Serve a file; a large one lies elsewhere, and the answer says what it will be."""
    repo = opened(call)
    commit = repo.resolve(call.params["rev"])
    entry, headers = commit.files.get(call.params["path"]), {"X-Repo-Commit": commit.sha}
    if entry is None:
        raise Refused(404, "Entry not found", "EntryNotFound", **headers)
    headers["ETag"] = f'"{call.store.oid(entry)}"'
    if not entry.lfs:
        return served(call.store.blob(entry.sha256), call.range, headers)
    return _pointed(call, repo, commit, entry, headers)


def _pointed(call: Call, repo: Repo, commit: Commit, entry: Entry, headers: dict[str, str]) -> Answer:
    headers |= {"X-Linked-ETag": f'"{entry.sha256}"', "X-Linked-Size": str(entry.size)}
    headers["Location"] = f"{call.elsewhere}/lfs/{entry.sha256}"
    if entry.sha256 in (hashes := call.store.cas(repo).hashes()):
        token = f"{call.here}/api/{repo.kind}/{repo.id}/xet-read-token/{commit.sha}"
        headers |= {"X-Xet-Hash": hashes[entry.sha256][0], "Link": f'<{token}>; rel="xet-auth"'}
    return Answer(302, b"", headers)


def large(call: Call) -> Answer:
    """Serve a large file's bytes; whoever knows the address may have them."""
    if call.account is not None:
        raise Refused(400, "Only one authorization is allowed; this address carries its own.")
    path = call.store.blob(call.params["oid"])
    if not path.is_file():
        raise Refused(404, "No such object.")
    return served(path, call.range, {"ETag": f'"{call.params["oid"]}"'})
