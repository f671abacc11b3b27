"""A Space after its commit: is it built, does it run, and what does its log say?

It is waited for until it runs the new commit, and woken where it sleeps. What its stages mean stands in
`release.hub.stages`; how it is asked, in `release.hub.question`.
"""

from collections.abc import Callable

from huggingface_hub import SpaceHardware

from release.errors import SpaceFailed, SpaceLate
from release.hub.client import HubClient
from release.hub.context import PushContext
from release.hub.repos import RepoFolder
from release.hub.stages import BROKEN, RUNNING, StageWatch
from release.sources.contact import CLIENT_ERRORS, plain, status_of

LAST_LINES = 15
"""Lines of a log that a message shows."""
SLICE = 5.0
"""Seconds of a pause after which the wait is told again."""
LONGEST_PAUSE = 30.0
PAUSE_SHARE = 0.05
"""Pauses grow to this share of the wait so far: half an hour takes about a hundred looks."""
NOT_TO_BE_WOKEN = (400, 402, 403, 405, 409)
"""Statuses by which the Hub refuses a restart; another one says nothing of the Space."""
WAYS_ON = (
    "Look at {url}, correct it, and run the same command again. Two other ways: `--no-space` publishes the model "
    "alone, and `--show-unasked` shows both without an answer."
)


def furnish(context: PushContext, target: RepoFolder) -> None:
    """Ask for the hardware that was wished for, where an existing Space has other."""
    wanted = context.options.space_hardware
    api, url = context.client.api, context.client.url("space", target.id)
    if (
        wanted is None
        or context.ask("space", target.id, lambda: requested_hardware(context.client, target.id)) == wanted
    ):
        return
    context.ask("space", target.id, lambda: api.request_space_hardware(target.id, SpaceHardware(wanted)))
    context.journal.note("furnished", url, hardware=wanted)


def requested_hardware(client: HubClient, repo_id: str) -> str | None:
    """Ask what a Space runs on, or will run on once it is built."""
    runtime = client.ask(lambda: client.api.get_space_runtime(repo_id))
    hardware = runtime.requested_hardware or runtime.hardware
    return None if hardware is None else str(hardware)


def rest(context: PushContext, target: RepoFolder, commit: str, settled: bool = False) -> StageWatch:
    """Wait until the Space has come to rest on a commit, or until the time is up, and return what was seen.

    Args:
        settled: Whether its answer for that commit is known, so that it need not be woken.

    Raises:
        HubFailed: The Hub does not tell its stage.
    """
    client, watch = context.client, StageWatch(commit, settled)
    limit = float(context.options.space_timeout or client.built_within)
    began = client.clock()
    safe = "Ctrl-C is safe: the same command goes on"
    with context.console.waiting(f"Waiting for space {target.id}", limit, safe) as tell:
        while not _came_to_rest(context, target, watch):
            waited = client.clock() - began
            tell(watch.told(), waited)
            watch.late = waited >= limit
            if watch.late:
                break
            pause = min(max(client.poll, PAUSE_SHARE * waited), max(client.poll, LONGEST_PAUSE), limit - waited)
            _pause(client, pause, began, lambda seconds: tell(watch.told(), seconds))
        tell(watch.told(), client.clock() - began)
    return watch


def _came_to_rest(context: PushContext, target: RepoFolder, watch: StageWatch) -> bool:
    """Look at the Space once, and wake it where it sleeps."""
    client = context.client
    watch.see(context.ask("space", target.id, lambda: client.api.get_space_runtime(target.id)), client.clock())
    step = watch.step(client.clock())
    return step == "rest" or (step == "wake" and not _wake(context, target, watch))


def _pause(client: HubClient, seconds: float, began: float, tell: Callable[[float], None]) -> None:
    while seconds > 0:
        client.sleep(min(seconds, SLICE))
        seconds -= SLICE
        tell(client.clock() - began)


def _wake(context: PushContext, target: RepoFolder, watch: StageWatch) -> bool:
    """Restart the Space, and return whether the Hub does it.

    Where the Hub names no commit the Space is built anew, so that no earlier one can be meant.
    """
    client, anew = context.client, watch.names is None
    context.console.say(f"The Space {target.id} is {watch.told()}: it is restarted.")
    with context.explained("space", target.id):
        try:
            runtime = client.ask(lambda: client.api.restart_space(target.id, factory_reboot=anew))
        except CLIENT_ERRORS as error:
            if status_of(error) not in NOT_TO_BE_WOKEN:
                raise
            watch.refused = plain(str(error))
            return False
    context.journal.note("woken", client.url("space", target.id), stage=watch.stage)
    watch.wake(runtime, client.clock())
    return True


def require_running(context: PushContext, target: RepoFolder, watch: StageWatch) -> None:
    """Refuse a Space that does not run the new commit.

    Raises:
        SpaceFailed: It cannot be built or does not run; shows the end of its log.
        SpaceLate: It may still do so.
    """
    if watch.undecided:
        raise _late(context, target, watch)
    if watch.stage in BROKEN:
        log = _log(context, target, build=watch.stage == "BUILD_ERROR")
        seen = f"The Space {target.id} does not run: {watch.stage}. The end of its log:\n{log}\n  "
        raise failed(context, target, seen)
    if watch.stage != RUNNING:
        how = ", though it was restarted" if watch.woken else ""
        refused = f"The Hub does not restart it: {watch.refused}. " if watch.refused else ""
        raise failed(context, target, f"The Space {target.id} cannot be asked: it is {watch.told()}{how}. {refused}")


def _late(context: PushContext, target: RepoFolder, watch: StageWatch) -> SpaceLate:
    limit = float(context.options.space_timeout or context.client.built_within)
    doubt = ", and the Hub does not say that this is the new commit" if watch.stage == RUNNING else ""
    doubt = doubt if watch.is_known else ", a stage that this version does not know"
    return SpaceLate(
        f"The Space {target.id} is still {watch.told()} after {limit:,.0f} seconds{doubt}. {context.visible()}",
        f"Look at {context.client.url('space', target.id)}, and run the same command again to go on waiting; "
        "`--space-timeout` sets how long, and `--show-unasked` shows both without an answer.",
    )


def _log(context: PushContext, target: RepoFolder, build: bool) -> str:
    """Return the last lines of the Space's log, printable and without tokens."""

    def ask() -> list[str]:
        return [plain(text) for text in context.client.api.fetch_space_logs(target.id, build=build)]

    try:
        lines = [text for text in context.client.ask(ask) if text]
    except CLIENT_ERRORS:
        return "  (the Hub shows none)"
    return "\n".join(f"  {text}" for text in lines[-LAST_LINES:]) or "  (empty)"


def failed(context: PushContext, target: RepoFolder, seen: str, remedy: str = WAYS_ON) -> SpaceFailed:
    """Return the error for a Space that cannot be shown, with what others can see and the ways on."""
    return SpaceFailed(f"{seen}{context.visible()}", remedy.format(url=context.client.url("space", target.id)))
