"""What makes a whole release seen: the gate and visibility.

An answer is no proof: each is asked for, and then looked at.
"""

from collections.abc import Callable
from typing import Any

from release.errors import HubFailed
from release.hub.context import PushContext
from release.hub.faults import FAULTS
from release.hub.repos import Found, RepoFolder

LOOKS = 3
"""How often a setting is looked at before it is said to have no effect."""


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
