"""Making a repository while the Hub is at work on another of the same account.

The Hub makes one repository of an account at a time, and answers 409 meanwhile. Its client then repeats the request
without a pause and without an end (huggingface_hub 2.4, `create_repo`: some sixty requests a second, for as long as the
operation is stuck). Here that answer becomes an error before the client reads it, and is waited for with patience.
"""

from collections.abc import Callable, Iterator
from typing import TypeVar

from release.errors import HubFailed
from release.hub.context import PushContext
from release.hub.repos import RepoFolder
from release.sources.answers import Busy

T = TypeVar("T")

GIVEN_UP_AFTER = 60.0
"""Seconds that such an operation is waited for."""
LONGEST_PAUSE = 8.0


def create(context: PushContext, target: RepoFolder, call: Callable[[], T]) -> T:
    """Return what `call`, which creates a repository, returns; at most one request a second is sent.

    Raises:
        HubFailed: The Hub refuses, or is at work on another repository for longer than a minute.
    """
    try:
        return context.ask(target.kind, target.id, call)
    except Busy:
        pass
    with context.console.waiting(f"Waiting to make {target.kind} {target.id}", GIVEN_UP_AFTER) as tell:
        for waited, pause in _pauses():
            tell("the Hub is at work on another repository of this account", waited)
            context.client.sleep(pause)
            try:
                return context.ask(target.kind, target.id, call)
            except Busy:
                continue
    raise HubFailed(
        f"The Hub does not make {target.kind} {target.id}: for {GIVEN_UP_AFTER:.0f} seconds it has said that another "
        f"operation on a repository of this account is in progress. {context.visible()}",
        "Wait until no other push, upload or duplication of this account is at work, and run the same command again.",
    )


def _pauses() -> Iterator[tuple[float, float]]:
    """Yield seconds waited so far and the next pause, until the time is up."""
    waited, pause = 0.0, 1.0
    while waited < GIVEN_UP_AFTER:
        pause = min(pause, GIVEN_UP_AFTER - waited)
        yield waited, max(pause, 1.0)
        waited, pause = waited + pause, min(2 * pause, LONGEST_PAUSE)
