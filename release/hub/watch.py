"""A check that stands: at every push to a repository the Hub starts a Job that verifies it and says what it found.

    look for the webhook of this repository ─→ run the Job once ─→ make a webhook that starts it again at every push

The Hub makes such a webhook from a Job that was run, so the repository is verified at once. The webhook watches what is
pushed and not what is said, so that the report, which is a discussion, starts nothing.
"""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from huggingface_hub import JobInfo, WebhookInfo

from release.errors import BadOption, HubFailed, UnknownName
from release.frozen import Frozen
from release.hub.account import Account, check_names, login
from release.hub.admission import told
from release.hub.client import HubClient
from release.hub.faults import FAULTS, refusal
from release.hub.job import SECRET, WATCHES, HubJob, job_for
from release.hub.repos import Found, look
from release.sources.contact import CLIENT_ERRORS, patience, status_of, without_tokens

DOMAINS: list[Literal["repo", "discussion"]] = ["repo"]
LABEL = "release-watch"
REFUSALS = {
    401: ("The Hub no longer accepts the token.", "Log in again with `hf auth login`, and run the same command again."),
    402: (
        "The Hub asks for money: Jobs need credits or a paid plan.",
        "See the billing page of your account, or run `release watch --once ID` from a machine or a CI of your own.",
    ),
    403: (
        "The token may not start Jobs or change webhooks.",
        "Log in with one that may write, or with a fine-grained one that has the rights for Jobs and webhooks.",
    ),
}
"""What a status means for a Job or a webhook, and the way out."""

State = Literal["new", "stands", "other", "off", "double"]
WORDS: dict[State, str] = {
    "new": "is not watched yet",
    "stands": "is watched already",
    "other": "is watched by another command",
    "off": "is watched by a webhook that is switched off",
    "double": "is watched by several webhooks",
}


class Watched(Frozen):
    """One repository and the check that stands, or would stand.

    Attributes:
        state: How it was found: only one that `stands` is left as it is.
        webhooks: Those that watch it by now.
        job: What runs at every push.
        first: The page of the Job that ran at once; None where none was started.
    """

    id: str
    url: str
    state: State
    webhooks: tuple[str, ...]
    job: HubJob
    first: str | None = None

    def lines(self) -> Iterator[str]:
        """Say it for people, a fact a line."""
        yield f"{self.url} {WORDS[self.state]}"
        if self.webhooks:
            yield f"  webhook   {', '.join(self.webhooks)}"
        yield "  at        every push to it, and once at once"
        yield f"  runs      {' '.join(self.job.command)}"
        yield f"  in        {self.job.image} on {self.job.flavor}, {self.job.hours} hours at most"
        yield f"  secrets   {', '.join(self.job.secrets)}, which the Hub shows to nobody"
        yield f"  says so   in a discussion of {self.id}"
        if self.first:
            yield f"  first     {self.first}"


def survey(repo_ids: Sequence[str], package: str, flavor: str, client: HubClient | None = None) -> list[Watched]:
    """Say what watches these repositories, and what would; nothing is made.

    Raises:
        BadOption: An id breaks the Hub's rules.
        UnknownName: There is no such repository.
        NotLoggedIn: There is no token.
        HubFailed: The Hub does not say.
    """
    client = client or HubClient()
    check_names(*repo_ids)
    _account(client)
    return _surveyed(client, repo_ids, package, flavor)


def watch(
    repo_ids: Sequence[str], package: str, flavor: str, token: str, anew: bool = False, client: HubClient | None = None
) -> list[Watched]:
    """Have these repositories verified at every push; what stands already is left as it is.

    Args:
        token: What the Job gets as a secret; it goes to the Hub alone.
        anew: Give the token to webhooks that stand already, too.

    Raises:
        HubFailed: The Hub refuses, or the connection breaks; says what stands by then.
    """
    client = client or HubClient()
    check_names(*repo_ids)
    account = _account(client)
    found = _surveyed(client, repo_ids, package, flavor)
    return [each if each.state == "stands" and not anew else _set_up(client, each, account, token) for each in found]


def stop(repo_ids: Sequence[str], client: HubClient | None = None) -> dict[str, tuple[str, ...]]:
    """Take away what watches these repositories; return the webhooks that each had.

    Raises:
        HubFailed: The Hub refuses, or the connection breaks.
    """
    client = client or HubClient()
    check_names(*repo_ids)
    _account(client)
    hooks = _webhooks(client)
    found = {repo_id: tuple(hook.id for hook in hooks if _watches(hook, repo_id)) for repo_id in repo_ids}
    for repo_id, ids in found.items():
        for webhook in ids:
            _delete(client, repo_id, webhook)
    return found


def _account(client: HubClient) -> Account:
    account = login("watching a repository", client)
    patience()
    return account


def _surveyed(client: HubClient, repo_ids: Sequence[str], package: str, flavor: str) -> list[Watched]:
    hooks = _webhooks(client)
    return [_found(client, repo_id, job_for(repo_id, package, flavor), hooks) for repo_id in dict.fromkeys(repo_ids)]


def _found(client: HubClient, repo_id: str, job: HubJob, hooks: Sequence[WebhookInfo]) -> Watched:
    require_named(client, repo_id)
    ours = [hook for hook in hooks if _watches(hook, repo_id)]
    ids = tuple(hook.id for hook in ours)
    return Watched(id=repo_id, url=client.url("model", repo_id), state=_state(ours, job), webhooks=ids, job=job)


def require_named(client: HubClient, repo_id: str) -> Found:
    """Return what lies under exactly this name.

    Raises:
        UnknownName: There is no such model.
        BadOption: The name leads on to another.
        HubFailed: The Hub does not say.
    """
    with told(client, "model", repo_id):
        found = look(client, "model", repo_id)
    if found is None:
        raise UnknownName(f"{repo_id} is missing on the Hub, or not yours to see.", "Check the spelling.")
    if found.id != repo_id:
        raise BadOption(f"{repo_id} leads on to {found.id} on the Hub.", f"Give {found.id}, if that is meant.")
    return found


def _webhooks(client: HubClient) -> list[WebhookInfo]:
    with _explained(client, "Nothing was changed."):
        return client.ask(client.api.list_webhooks)


def _watches(hook: WebhookInfo, repo_id: str) -> bool:
    return hook.job is not None and (hook.job.environment or {}).get(WATCHES) == repo_id


def _state(hooks: Sequence[WebhookInfo], job: HubJob) -> State:
    if len(hooks) != 1:
        return "double" if hooks else "new"
    [hook] = hooks
    runs = hook.job
    same = runs is not None and (runs.docker_image, tuple(runs.command or ()), runs.flavor or job.flavor) == (
        job.image,
        job.command,
        job.flavor,
    )
    watches = {(item.type, item.name) for item in hook.watched} == {("model", job.variables[WATCHES])}
    if not (same and watches and list(hook.domains) == DOMAINS):
        return "other"
    return "off" if hook.disabled else "stands"


def _set_up(client: HubClient, found: Watched, account: Account, token: str) -> Watched:
    """Run the Job, have a webhook start it, and take others of this repository away."""
    with _explained(client, f"{found.id} {WORDS[found.state]}."):
        job = _run(client, found, account, token)
    with _explained(client, f"The Job {job.url} ran once, and {found.id} {WORDS[found.state]}."):
        kept, *others = found.webhooks or (None,)
        webhook = _created(client, found, job, token) if kept is None else _altered(client, kept, found, job, token)
    for each in others:
        _delete(client, found.id, str(each))
    return found.model_copy(update={"webhooks": (webhook,), "first": job.url})


def _run(client: HubClient, found: Watched, account: Account, token: str) -> JobInfo:
    job, mark = found.job, uuid.uuid4().hex
    api = client.api

    def make() -> JobInfo:
        return api.run_job(
            image=job.image,
            command=list(job.command),
            env=dict(job.variables),
            secrets={SECRET: token},
            flavor=job.flavor,
            timeout=f"{job.hours}h",
            name=f"{LABEL}-{mark[:8]}",
            labels={LABEL: mark},
            namespace=account.name,
        )

    def arrived() -> JobInfo | None:
        return next(iter(api.list_jobs(labels={LABEL: mark}, namespace=account.name)), None)

    return client.made(make, arrived)


def _created(client: HubClient, found: Watched, job: JobInfo, token: str) -> str:
    def make() -> str:
        hook = client.api.create_webhook(
            job_id=job.id, watched=[{"type": "model", "name": found.id}], domains=DOMAINS, secrets={SECRET: token}
        )
        return hook.id

    def arrived() -> str | None:
        return next((hook.id for hook in client.api.list_webhooks() if _watches(hook, found.id)), None)

    return client.made(make, arrived)


def _altered(client: HubClient, webhook: str, found: Watched, job: JobInfo, token: str) -> str:
    """Give a webhook this Job and this token, and switch it on; doing so twice does no harm."""
    api, watched = client.api, [{"type": "model", "name": found.id}]
    client.ask(
        lambda: api.update_webhook(
            webhook, job_id=job.id, watched=list(watched), domains=DOMAINS, secrets={SECRET: token}
        )
    )
    client.ask(lambda: api.enable_webhook(webhook))
    return webhook


def _delete(client: HubClient, repo_id: str, webhook: str) -> None:
    with _explained(client, f"The webhook {webhook} of {repo_id} may still be there."):
        try:
            client.ask(lambda: client.api.delete_webhook(webhook))
        except CLIENT_ERRORS as error:
            if status_of(error) != 404:  # a first try may have arrived whose answer did not
                raise


@contextmanager
def _explained(client: HubClient, stands: str) -> Iterator[None]:
    """Turn what goes wrong into `HubFailed`, which says what stands."""
    try:
        yield
    except FAULTS as error:
        status = status_of(error)
        page = f"{client.endpoint}/settings/webhooks"
        said, remedy = REFUSALS.get(status or 0) or refusal(error, "webhook of", "this account", page)
        raise HubFailed(f"{said} {stands}", remedy) from without_tokens(error)
