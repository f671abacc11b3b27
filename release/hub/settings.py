"""What makes a whole release seen and named: the gate, visibility, a tag.

An answer is no proof: each is asked for, and then looked at.
"""

import re
from collections.abc import Callable
from typing import Any

from release.errors import HubFailed
from release.hub.context import PushContext
from release.hub.faults import FAULTS
from release.hub.repos import Found, RepoFolder

TAG = re.compile(r"v[1-9][0-9]*")
LOOKS = 3
"""How often a setting is looked at before it is said to have no effect, and a tag asked for that others take."""


def gate(context: PushContext, model: RepoFolder, found: Found) -> str | bool:
    """Set who has to ask for the model, where that was asked for and is not so; return what holds then.

    Raises:
        HubFailed: The Hub refuses, or says yes and does nothing.
    """
    wanted = context.options.gated
    if wanted is None or wanted == found.gated:
        return found.gated
    _set(context, model, f"gated ({wanted})", lambda info: bool(info.gated == wanted), gated=wanted)
    context.journal.note("gated", context.client.url("model", model.id), gated=wanted)
    return wanted


def show(context: PushContext, target: RepoFolder, found: Found) -> None:
    """Make a repository public that is not.

    Raises:
        HubFailed: The Hub refuses, or says yes and does nothing.
    """
    if found.public:
        return
    _set(context, target, "public", lambda info: info.private is False, visibility="public")
    url = context.client.url(target.kind, target.id)
    context.seen.append(f"{url} is public")
    context.journal.note("shown", url)


def hide(context: PushContext, target: RepoFolder) -> None:
    """Make a repository private that this push, or one that was killed, made public.

    Raises:
        HubFailed: The Hub refuses, or says yes and does nothing.
    """
    _set(context, target, "private", lambda info: info.private is True, visibility="private")
    url = context.client.url(target.kind, target.id)
    context.seen[:] = [each for each in context.seen if each != f"{url} is public"]
    context.journal.note("hidden", url)


def _set(context: PushContext, target: RepoFolder, what: str, holds: Callable[[Any], bool], **wanted: Any) -> None:
    """Set what is wanted, and look whether it holds, whatever was answered."""
    api, url = context.client.api, context.client.url(target.kind, target.id)
    fault: Exception | None = None
    with context.explained(target.kind, target.id):
        try:
            context.client.ask(lambda: api.update_repo_settings(target.id, repo_type=target.kind, **wanted))
        except FAULTS as error:
            fault = error
        with context.in_doubt(f"{url} is {what}"):
            carried_out = _look(context, target, holds, looks=1 if fault else LOOKS)
        if fault and not carried_out:
            raise fault
    if not carried_out:
        raise HubFailed(
            f"The Hub said yes, and {url} is not {what}. {context.visible()}",
            f"Look at {url}/settings, and at the rules of {target.id.split('/')[0]}; then run the same command again.",
        )


def _look(context: PushContext, target: RepoFolder, holds: Callable[[Any], bool], looks: int) -> bool:
    """Look whether a setting holds; it may take effect a moment after the answer."""
    api = context.client.api
    for wait in (*context.client.waits[: looks - 1], None):
        info = context.ask(target.kind, target.id, lambda: api.repo_info(target.id, repo_type=target.kind))
        if holds(info) or wait is None:
            return holds(info)
        context.client.sleep(wait)
    raise AssertionError("the last look returns")


def tag(context: PushContext, model: RepoFolder, commit: str) -> str:
    """Return the tag v1, v2, … that names a commit; the next free one is made where there is none.

    Raises:
        HubFailed: The Hub refuses, or others take each number first, or it says yes and does nothing.
    """
    url, asked = context.client.url("model", model.id), []
    for _ in range(LOOKS + 1):
        versions = _versions(context, model)
        if known := next((f"v{number}" for number, tagged in versions.items() if tagged == commit), None):
            if known in asked:
                context.journal.note("tagged", url, tag=known, commit=commit)
            return known
        asked.append(f"v{max(versions, default=0) + 1}")
        _make_tag(context, model, asked[-1], commit)
    raise HubFailed(
        f"No tag could be set at {url} for {commit[:8]}: the Hub was asked for {', '.join(dict.fromkeys(asked))}, and "
        f"lists none of them for this commit. {context.visible()}",
        "Run the same command again; all files are there without it.",
    )


def _versions(context: PushContext, model: RepoFolder) -> dict[int, str]:
    """Ask for the release's tags: number → the commit that it names."""
    refs = context.ask("model", model.id, lambda: context.client.api.list_repo_refs(model.id))
    return {int(ref.name[1:]): ref.target_commit for ref in refs.tags if TAG.fullmatch(ref.name)}


def _make_tag(context: PushContext, model: RepoFolder, name: str, commit: str) -> None:
    """Ask for a tag. One that somebody made meanwhile (409) is no fault: the next look tells whose commit it names."""
    api = context.client.api
    context.ask("model", model.id, lambda: api.create_tag(model.id, tag=name, revision=commit, exist_ok=True))
