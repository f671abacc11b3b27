"""Webhooks: after every request that may have changed something, what is watched is compared with what it was.

Each change is an event, as the Hub words it (version 3): `repo.content` where a branch, a tag or a pull request moved,
`repo.config` where settings changed, `discussion` where something was said. A webhook of that domain then posts it to
an address, or starts a Job that finds it in WEBHOOK_PAYLOAD.
"""

import json
import threading
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.hub.jobs import Jobs, told_spec
from tests.hub.repos import Call
from tests.hub.state import Account, Repo, Store
from tests.hub.wire import Answer, Refused

NOTHING = "0" * 40
DOMAINS = ("repo", "discussion")
KINDS = ("model", "dataset", "space")


@dataclass
class Webhook:
    """A webhook; secrets of its Job are held in memory alone."""

    id: str
    owner: str
    watched: list[dict[str, str]]
    domains: list[str]
    url: str | None = None
    job: dict[str, Any] | None = None
    job_owner: str = ""
    secret: str | None = None
    secrets: dict[str, str] = field(default_factory=dict)
    disabled: bool = False

    def told(self) -> dict[str, Any]:
        """Return what the Hub says of it."""
        job = {"job": told_spec(self.job, self.secrets)} if self.job else {"url": self.url}
        kept = {"id": self.id, "watched": self.watched, "domains": self.domains, "secret": self.secret}
        return kept | job | {"disabled": self.disabled}

    def watches(self, repo: Repo) -> bool:
        owner, kind = repo.id.split("/")[0], repo.kind.removesuffix("s")
        return any(
            item["name"] == (repo.id if item["type"] == kind else owner)
            for item in self.watched
            if item["type"] in (kind, "user", "org")
        )


@dataclass(frozen=True)
class Seen:
    """What a repository looked like: where its names point, its settings, and how much was said."""

    refs: dict[str, str]
    settings: tuple[bool, bool | str]
    said: int

    @classmethod
    def of(cls, repo: Repo) -> "Seen":
        """Look at a repository."""
        refs = {f"refs/heads/{name}": sha for name, sha in repo.branches.items()}
        refs |= {f"refs/tags/{name}": sha for name, sha in repo.tags.items()} | repo.pull_refs()
        return cls(refs, (repo.private, repo.gated), sum(len(talk["events"]) for talk in repo.talks))


class Webhooks:
    """All webhooks of a Hub, and what they have seen."""

    def __init__(self, store: Store, jobs: Jobs, url: str) -> None:
        self.store = store
        self.jobs = jobs
        self.url = url
        self.all: dict[str, Webhook] = {}
        self.sent: list[dict[str, Any]] = []
        self._seen: dict[tuple[str, str], Seen] = {}

    def remember(self) -> None:
        """Take everything as it is now for seen."""
        with self.store.lock:
            self._seen = {(repo.kind, repo.id): Seen.of(repo) for repo in self._repos()}

    def ring(self) -> None:
        """Look at what is watched, and send what has changed."""
        if not any(not hook.disabled for hook in self.all.values()):
            return
        with self.store.lock:
            for repo in self._repos():
                now, before = Seen.of(repo), self._seen.get((repo.kind, repo.id))
                self._seen[repo.kind, repo.id] = now
                for domain, event in events(before, now):
                    self._send(repo, domain, event)

    def _repos(self) -> Iterator[Repo]:
        for path in sorted((self.store.folder / "repos").glob("*/*/*/repo.json")):
            kind, *names = path.parent.relative_to(self.store.folder / "repos").parts
            if repo := self.store.repo(kind, "/".join(names)):
                yield repo

    def _send(self, repo: Repo, domain: str, event: dict[str, Any]) -> None:
        for hook in list(self.all.values()):
            if not hook.disabled and domain in hook.domains and hook.watches(repo):
                payload = event | {"repo": self._told(repo), "webhook": {"id": hook.id, "version": 3}}
                self.sent.append(payload)
                self._deliver(hook, repo, json.dumps(payload))

    def _deliver(self, hook: Webhook, repo: Repo, payload: str) -> None:
        if hook.job is None:
            threading.Thread(target=_post, args=(hook, payload), daemon=True).start()
            return
        more = {"WEBHOOK_PAYLOAD": payload, "WEBHOOK_REPO_ID": repo.id, "WEBHOOK_REPO_TYPE": repo.kind[:-1]}
        more |= {"WEBHOOK_SECRET": hook.secret} if hook.secret else {}
        self.jobs.start(hook.job_owner, hook.job, hook.secrets, {}, **more)

    def _told(self, repo: Repo) -> dict[str, Any]:
        kind = repo.kind.removesuffix("s")
        web = f"{self.url}/{'' if kind == 'model' else repo.kind + '/'}{repo.id}"
        return {
            "type": kind,
            "name": repo.id,
            "id": f"id-{repo.id}",
            "private": repo.private,
            "url": {"web": web, "api": f"{self.url}/api/{repo.kind}/{repo.id}"},
            "owner": {"id": f"id-{repo.id.split('/')[0]}"},
            "headSha": repo.branches.get("main"),
            "tags": [],
        }


def events(before: Seen | None, now: Seen) -> Iterator[tuple[str, dict[str, Any]]]:
    """Word what changed: the domain, and the event."""
    if before is None:
        yield "repo", {"event": {"action": "create", "scope": "repo"}}
        before = Seen({}, now.settings, 0)
    moved = [
        {"ref": ref, "oldSha": before.refs.get(ref, NOTHING), "newSha": now.refs.get(ref, NOTHING)}
        for ref in sorted(before.refs.keys() | now.refs.keys())
        if before.refs.get(ref) != now.refs.get(ref)
    ]
    if moved:
        yield "repo", {"event": {"action": "update", "scope": "repo.content"}, "updatedRefs": moved}
    if before.settings != now.settings:
        yield "repo", {"event": {"action": "update", "scope": "repo.config"}}
    if before.said != now.said:
        yield "discussion", {"event": {"action": "create", "scope": "discussion.comment"}}


def _post(hook: Webhook, payload: str) -> None:
    headers = {"Content-Type": "application/json"} | ({"X-Webhook-Secret": hook.secret} if hook.secret else {})
    with urllib.request.urlopen(urllib.request.Request(str(hook.url), payload.encode(), headers), timeout=10):
        pass


def listed(call: Call) -> Answer:
    who = _owner(call)
    return Answer.json([hook.told() for hook in call.webhooks.all.values() if hook.owner == who.name])


def get(call: Call) -> Answer:
    return _answer(_own(call))


def create(call: Call) -> Answer:
    """Make a webhook that posts to an address, or that starts Jobs like one that there is."""
    asked, who = call.body.json(), _owner(call)
    hook = Webhook(uuid.uuid4().hex[:24], who.name, [], [])
    if ("url" in asked) == ("jobSourceId" in asked):
        raise Refused(400, "Give an address or a Job.")
    _alter(call, hook, asked)
    call.webhooks.remember()
    call.webhooks.all[hook.id] = hook
    return _answer(hook)


def update(call: Call) -> Answer:
    hook = _own(call)
    _alter(call, hook, call.body.json())
    return _answer(hook)


def delete(call: Call) -> Answer:
    del call.webhooks.all[_own(call).id]
    return Answer.json({})


def switch(call: Call) -> Answer:
    """Enable or disable a webhook."""
    hook = _own(call)
    hook.disabled = call.params["state"] == "disable"
    call.webhooks.remember()
    return _answer(hook)


def _alter(call: Call, hook: Webhook, asked: dict[str, Any]) -> None:
    for item in asked.get("watched", []):
        if item["type"] not in (*KINDS, "user", "org"):
            raise Refused(400, f"A {item['type']} cannot be watched.")
    if not set(asked.get("domains", [])) <= set(DOMAINS):
        raise Refused(400, "A domain is repo or discussion.")
    if "jobSourceId" in asked:
        job = call.jobs.all.get(asked["jobSourceId"])
        if job is None or not (call.account and call.account.owns(f"{job.owner}/-")):
            raise Refused(404, "Job not found")
        hook.job, hook.job_owner, hook.url = job.spec, job.owner, None
    hook.url = asked.get("url", hook.url)
    hook.watched = asked.get("watched") or hook.watched
    hook.domains = asked.get("domains", hook.domains)
    hook.secret = asked.get("secret", hook.secret)
    # An empty text takes a secret away; one that is not named stays. Those of the source Job are never taken over.
    hook.secrets = {name: value for name, value in (hook.secrets | asked.get("secrets", {})).items() if value}


def _answer(hook: Webhook) -> Answer:
    return Answer.json({"webhook": hook.told()})


def _owner(call: Call) -> Account:
    who = call.account
    if who is None:
        raise Refused(401, "Invalid username or password.")
    if not who.writes(f"{who.name}/-"):
        raise Refused(403, "This token may not change settings.")
    return who


def _own(call: Call) -> Webhook:
    hook = call.webhooks.all.get(call.params["hook"])
    if hook is None or hook.owner != _owner(call).name:
        raise Refused(404, "Webhook not found")
    return hook
