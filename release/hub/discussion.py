"""The one discussion of a repository in which every check is reported.

It is open while the present state fails and closed while it passes. A commit with the result would be a push of its
own: it would start the next check, and the release would hold a file that its record does not know.
"""

import re

from huggingface_hub import Discussion, DiscussionComment

from release.errors import HubFailed
from release.frozen import Frozen
from release.hub.client import HubClient
from release.hub.faults import FAULTS, refusal
from release.sources.contact import without_tokens

TITLE = "Verified at every push, by `release watch`"
ABOUT = re.compile(r"\*\*[^*\n]+\*\* Commit `([0-9a-f]{40})`")
"""How a report begins; see `release.verification.standing`."""


class Reports(Frozen):
    """What was reported so far.

    Attributes:
        number: The discussion's; None where there is none yet.
        open: Whether it is open.
        commits: Those that were reported, the oldest first.
    """

    number: int | None = None
    open: bool = False
    commits: tuple[str, ...] = ()


def reports(client: HubClient, repo_id: str, author: str) -> Reports:
    """Read what this account reported; nobody else's words count, whoever may write there.

    Raises:
        HubFailed: The Hub refuses, or the connection breaks.
    """
    try:
        return client.ask(lambda: _read(client, repo_id, author))
    except FAULTS as error:
        raise _failed(client, repo_id, error) from without_tokens(error)


def _read(client: HubClient, repo_id: str, author: str) -> Reports:
    api = client.api
    talks = api.get_repo_discussions(repo_id, author=author, discussion_type="discussion")
    ours = [talk for talk in talks if _is_ours(talk, author)]
    if not ours:
        return Reports()
    talk = min(ours, key=lambda each: each.num)
    events = api.get_discussion_details(repo_id, talk.num).events
    texts = [event.content for event in events if isinstance(event, DiscussionComment) and event.author == author]
    commits = tuple(match[1] for text in texts if (match := ABOUT.match(text)))
    return Reports(number=talk.num, open=talk.status == "open", commits=commits)


def _is_ours(talk: Discussion, author: str) -> bool:
    return not talk.is_pull_request and (talk.title, talk.author) == (TITLE, author)


def report(client: HubClient, repo_id: str, author: str, commit: str, text: str, ok: bool | None) -> str:
    """Say what a check found, once for each commit, and return the discussion's page.

    Args:
        ok: Whether the present state passes; None where this commit is no longer the present state.

    Raises:
        HubFailed: The Hub refuses, or the connection breaks.
    """
    before = reports(client, repo_id, author)

    def arrived() -> Reports | None:
        now = _read(client, repo_id, author)
        return now if commit in now.commits else None

    try:
        now = client.made(lambda: _said(client, repo_id, before, text, ok), arrived)
        _settle(client, repo_id, now, ok)
    except FAULTS as error:
        raise _failed(client, repo_id, error) from without_tokens(error)
    return f"{client.url('model', repo_id)}/discussions/{now.number}"


def _said(client: HubClient, repo_id: str, before: Reports, text: str, ok: bool | None) -> Reports:
    api = client.api
    if before.number is None:
        number = api.create_discussion(repo_id, TITLE, description=text).num
        return Reports(number=number, open=True)
    if ok is not None and before.open == ok:
        api.change_discussion_status(repo_id, before.number, "closed" if ok else "open", comment=text)
        return before.model_copy(update={"open": not ok})
    api.comment_discussion(repo_id, before.number, text)
    return before


def _settle(client: HubClient, repo_id: str, now: Reports, ok: bool | None) -> None:
    """Close a discussion that was only just opened, or whose change of state did not arrive with its words."""
    if ok is None or now.number is None or now.open != ok:
        return
    number = now.number
    client.ask(lambda: client.api.change_discussion_status(repo_id, number, "closed" if ok else "open"))


def _failed(client: HubClient, repo_id: str, error: Exception) -> HubFailed:
    said, remedy = refusal(error, "discussions of", repo_id, f"{client.url('model', repo_id)}/discussions")
    return HubFailed(f"{said} The result could not be reported there.", remedy)
