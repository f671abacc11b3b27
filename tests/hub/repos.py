"""Accounts, repositories and commits: who may do what, and what a commit changes."""

import base64
import binascii
import json
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from tests.hub import xet
from tests.hub.state import Account, Entry, Pull, Repo, Site, Store
from tests.hub.wire import Answer, Body, Refused

if TYPE_CHECKING:
    from tests.hub.jobs import Jobs
    from tests.hub.webhooks import Webhooks

LARGE = 10 << 20
LARGE_SUFFIXES = (".safetensors", ".bin", ".parquet", ".gguf", ".pt", ".npz", ".zip")
NAME = re.compile(r"\w(?:[\w.-]{0,94}\w)?", re.ASCII)
PAID_SDKS = ("gradio", "docker")
ZERO_GPU = "zero-a10g"
FREE_SPACES = 2


@dataclass
class Call:
    """One request: who asks, what the path says, and the server's addresses.

    `elsewhere` is the same server under another host name, as the Hub keeps large files on another host.
    """

    store: Store
    account: Account | None
    site: Site
    here: str
    elsewhere: str
    path: str
    params: dict[str, str]
    query: dict[str, list[str]]
    range: str | None
    body: Body
    jobs: "Jobs"
    webhooks: "Webhooks"

    @property
    def asker(self) -> str:
        return self.account.name if self.account else ""

    def asks(self, flag: str) -> bool:
        return self.query.get(flag, [""])[0].lower() in ("1", "true")


def repo_url(call: Call, repo: Repo) -> str:
    """Return the address of a repository's page."""
    return f"{call.here}/{'' if repo.kind == 'models' else repo.kind + '/'}{repo.id}"


def readable(call: Call) -> Repo:
    """Return the repository, or say that there is none: a private one does not exist for others."""
    repo = call.store.repo(call.params["kind"], call.params["id"])
    owner = call.account is not None and call.account.owns(call.params["id"])
    if repo is None or (repo.private and not owner):
        raise Refused(404 if call.account else 401, "Repository not found", "RepoNotFound")
    return repo


def opened(call: Call) -> Repo:
    """Return the repository where its files may be read: a gated one only to its owner."""
    repo = readable(call)
    if repo.gated and not (call.account and call.account.owns(repo.id)):
        raise Refused(403 if call.account else 401, f"Access to {repo.id} is restricted.", "GatedRepo")
    return repo


def writable(call: Call) -> Repo:
    repo = readable(call)
    allow(call, repo.id)
    return repo


def allow(call: Call, repo_id: str) -> Account:
    account = call.account
    if account is None:
        raise Refused(401, "Invalid username or password.")
    if not account.owns(repo_id) or not account.writes(repo_id):
        raise Refused(403, "You don't have the rights to do that.")
    return account


def whoami(call: Call) -> Answer:
    account = call.account
    if account is None:
        raise Refused(401, "Invalid username or password.")
    paid = not call.site.free
    orgs = [{"type": "org", "name": org, "roleInOrg": "write", "isEnterprise": paid} for org in account.orgs]
    token: dict[str, Any] = {"displayName": "test", "role": account.role}
    if account.role == "fineGrained":
        token["fineGrained"] = {"global": [], "scoped": [_scope(*each) for each in account.scoped().items()]}
    auth = {"type": "access_token", "accessToken": token}
    who = {"type": "user", "name": account.name, "fullname": account.name.title(), "isPro": paid}
    return Answer.json({**who, "orgs": orgs, "auth": auth})


def _scope(name: str, rights: tuple[str, ...]) -> dict[str, Any]:
    return {"entity": {"_id": name.encode().hex(), "type": "user", "name": name}, "permissions": list(rights)}


def create(call: Call) -> Answer:
    """Make a repository; a name in other case is taken, one that was given up for another is free."""
    asked = call.body.json()
    kind = f"{asked.get('type') or 'model'}s"
    owner = asked.get("organization") or call.asker
    repo_id = f"{owner}/{asked['name']}"
    allow(call, repo_id)
    if not NAME.fullmatch(asked["name"]) or "--" in asked["name"] or ".." in asked["name"]:
        raise Refused(400, f"Invalid repo name: {repo_id}")
    url = f"{call.here}/{'' if kind == 'models' else kind + '/'}{repo_id}"
    if call.site.resource_group not in (None, asked.get("resourceGroupId")):
        raise Refused(403, "You must choose a resource group in this organization.")
    hardware = asked.get("hardware", "cpu-basic")
    with call.store.lock:
        moved = call.store.moved()
        if f"{kind}/{repo_id}" not in moved and call.store.leads_to(kind, repo_id):
            refusal = Refused(409, f"You already created this {kind[:-1]} repo")
            refusal.body["url"] = url
            raise refusal
        if kind == "spaces" and call.site.free and asked.get("sdk") in PAID_SDKS:
            _allow_free(call, owner, hardware)
        call.store.create(kind, repo_id, asked.get("visibility") == "private", asked.get("sdk"), hardware)
        call.store.remember_moves({old: new for old, new in moved.items() if old != f"{kind}/{repo_id}"})
    return Answer.json({"url": url, "id": repo_id, "name": repo_id})


def _allow_free(call: Call, owner: str, hardware: str) -> None:
    """Let a free account make a Space on ZeroGPU, two in all."""
    if hardware != ZERO_GPU:
        raise Refused(402, "Creating Gradio and Docker Spaces on cpu-basic needs a PRO subscription.")
    if sum(space.hardware == ZERO_GPU for space in call.store.repos("spaces", owner)) >= FREE_SPACES:
        raise Refused(402, "Free accounts may have two Spaces on ZeroGPU.")


def delete(call: Call) -> Answer:
    """Remove a repository and all its commits."""
    asked = call.body.json()
    repo = _of_ones_own(call, asked.get("type"), f"{asked.get('organization') or call.asker}/{asked['name']}")
    with call.store.lock:
        shutil.rmtree(repo.folder)
    return Answer.json({})


def move(call: Call) -> Answer:
    """Give a repository another name or owner; the old one leads on to it."""
    asked = call.body.json()
    repo = _of_ones_own(call, asked["type"], asked["fromRepo"])
    allow(call, asked["toRepo"])
    with call.store.lock:
        if call.store.repo(repo.kind, asked["toRepo"]):
            raise Refused(409, f"{asked['toRepo']} exists already.")
        target = call.store.folder / "repos" / repo.kind / asked["toRepo"]
        target.parent.mkdir(parents=True, exist_ok=True)
        repo.folder.rename(target)
        call.store.remember_moves({**call.store.moved(), f"{repo.kind}/{repo.id}": asked["toRepo"]})
    return Answer.json({})


def _of_ones_own(call: Call, kind: str | None, repo_id: str) -> Repo:
    call.params |= {"kind": f"{kind or 'model'}s", "id": repo_id}
    return writable(call)


def auth_check(call: Call) -> Answer:
    """Say whether the asker may read the files, or write."""
    writable(call) if call.params.get("right") == "write" else opened(call)
    return Answer.json({})


def settings(call: Call) -> Answer:
    asked = call.body.json()
    with call.store.lock:
        repo = writable(call)
        repo.private = asked.get("visibility", "private" if repo.private else "public") == "private"
        repo.gated = asked.get("gated", repo.gated)
        repo.save()
    return Answer.json({"private": repo.private, "gated": repo.gated})


def preupload(call: Call) -> Answer:
    """Say for every file how it is to come, and what lies at its place now."""
    repo = writable(call)
    files = repo.resolve(call.params["rev"]).files

    def told(item: dict[str, Any]) -> dict[str, Any]:
        now = files.get(item["path"])
        oid = None if now is None else call.store.lying(now).sha256 if now.lfs else call.store.oid(now)
        return {"path": item["path"], "uploadMode": _mode(item), "shouldIgnore": False, "oid": oid}

    return Answer.json({"files": [told(item) for item in call.body.json()["files"]]})


def _mode(item: dict[str, Any]) -> str:
    binary = b"\0" in base64.b64decode(item["sample"])
    large = item["size"] >= LARGE or item["path"].endswith(LARGE_SUFFIXES)
    return "lfs" if binary or large else "regular"


def xet_token(call: Call) -> Answer:
    """Give a token for the repository's Xet storage: to read its files, or to add some."""
    writing = call.params["right"] == "write"
    repo = writable(call) if writing else opened(call)
    with call.store.lock:
        return xet.token(call.store.cas(repo).view(writing))


def commit(call: Call) -> Answer:
    """Apply lines of operations to the branch's head, all or nothing; or propose the outcome as a pull request.

    Whoever may read may propose. A pull request begins at the parent that is named, which need not be the head.
    """
    proposing = call.asks("create_pr")
    (readable if proposing else writable)(call)
    lines = [json.loads(line) for line in call.body.lines()]
    if not lines or lines[0].get("key") != "header":
        raise Refused(400, "A commit begins with its header.")
    header, branch = lines[0]["value"], call.params["rev"]
    with call.store.lock:
        repo = readable(call)  # as it is now that nobody else can change it
        parent = header.get("parentCommit")
        head = repo.resolve(parent if proposing and parent else branch)
        if parent not in (None, head.sha):
            raise Refused(412, "A commit has happened since. Please refresh and try again.")
        files = dict(head.files)
        for line in lines[1:]:
            _apply(call.store, repo, files, line["key"], line["value"])
        sha = repo.record(head.sha, header["summary"], header.get("description", ""), files, call.asker)
        pull = _proposed(repo, sha, header["summary"], call.asker) if proposing else None
        if not proposing:
            _point(repo, branch, sha)
    url = repo_url(call, repo)
    answer = {"success": True, "commitOid": sha, "commitUrl": f"{url}/commit/{sha}"}
    return Answer.json(answer | ({"pullRequestUrl": f"{url}/discussions/{pull}"} if pull else {}))


def _apply(store: Store, repo: Repo, files: dict[str, Entry], key: str, value: dict[str, Any]) -> None:
    path = value["path"]
    if not path or path.startswith("/") or ".." in PurePosixPath(path).parts:
        raise Refused(400, f"Invalid path: {path}")
    if key == "file":
        files[path] = store.keep([_decoded(value)])
    elif key == "lfsFile":
        files[path] = _pointed(store, repo, value)
    elif key == "deletedFile" and path in files:
        del files[path]
    elif key == "deletedFolder" and (inside := [name for name in files if name.startswith(path.rstrip("/") + "/")]):
        for name in inside:
            del files[name]
    elif key.startswith("deleted"):
        raise Refused(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")
    else:
        raise Refused(400, f"Unknown operation: {key}")


def _decoded(value: dict[str, Any]) -> bytes:
    try:
        return base64.b64decode(value["content"], validate=True)
    except binascii.Error:
        raise Refused(400, f"{value['path']} is not base64.") from None


def _pointed(store: Store, repo: Repo, value: dict[str, Any]) -> Entry:
    blob = store.arrived(repo, value["oid"])
    if blob is None or blob.stat().st_size != value.get("size", blob.stat().st_size):
        raise Refused(400, f"The pointer {value['path']} points to a file that never arrived.")
    return Entry(value["oid"], blob.stat().st_size, lfs=True)


def _point(repo: Repo, branch: str, sha: str) -> None:
    """Move a branch, or a pull request by its name, to a new commit; a Space is built anew."""
    numbers = {f"refs/pr/{pull.number}": pull for pull in repo.pulls}
    if branch in numbers:
        repo.pulls[repo.pulls.index(numbers[branch])] = replace(numbers[branch], commit=sha)
    elif branch in repo.branches:
        repo.branches[branch] = sha
        repo.woken = False
        repo.begin_anew()
    else:
        raise Refused(404, f"Invalid rev id: {branch}", "RevisionNotFound")
    repo.save()


def _proposed(repo: Repo, sha: str, title: str, author: str) -> int:
    number = repo.next_number()
    repo.pulls.append(Pull(number, sha, title, author, repo.resolve(sha).date))
    repo.save()
    return number
