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


def furnish(delivery: PushContext, target: RepoFolder) -> None:
    """Ask for the hardware that was wished for, where an existing Space has other."""
    wanted = delivery.ways.space_hardware
    api, url = delivery.line.api, delivery.line.url("space", target.id)
    if (
        wanted is None
        or delivery.ask("space", target.id, lambda: requested_hardware(delivery.line, target.id)) == wanted
    ):
        return
    delivery.ask("space", target.id, lambda: api.request_space_hardware(target.id, SpaceHardware(wanted)))
    delivery.journal.note("furnished", url, hardware=wanted)


def requested_hardware(line: HubClient, repo_id: str) -> str | None:
    """Ask what a Space runs on, or will run on once it is built."""
    runtime = line.ask(lambda: line.api.get_space_runtime(repo_id))
    hardware = runtime.requested_hardware or runtime.hardware
    return None if hardware is None else str(hardware)


def rest(delivery: PushContext, target: RepoFolder, commit: str, settled: bool = False) -> StageWatch:
    """Wait until the Space has come to rest on a commit, or until the time is up, and return what was seen.

    Args:
        settled: Whether its answer for that commit is known, so that it need not be woken.

    Raises:
        HubFailed: The Hub does not tell its stage.
    """
    line, watch = delivery.line, StageWatch(commit, settled)
    limit = float(delivery.ways.space_timeout or line.built_within)
    began = line.clock()
    safe = "Ctrl-C is safe: the same command goes on"
    with delivery.console.waiting(f"Waiting for space {target.id}", limit, safe) as tell:
        while not _came_to_rest(delivery, target, watch):
            waited = line.clock() - began
            tell(watch.told(), waited)
            watch.late = waited >= limit
            if watch.late:
                break
            pause = min(max(line.poll, PAUSE_SHARE * waited), max(line.poll, LONGEST_PAUSE), limit - waited)
            _pause(line, pause, began, lambda seconds: tell(watch.told(), seconds))
        tell(watch.told(), line.clock() - began)
    return watch


def _came_to_rest(delivery: PushContext, target: RepoFolder, watch: StageWatch) -> bool:
    """Look at the Space once, and wake it where it sleeps."""
    line = delivery.line
    watch.see(delivery.ask("space", target.id, lambda: line.api.get_space_runtime(target.id)), line.clock())
    step = watch.step(line.clock())
    return step == "rest" or (step == "wake" and not _wake(delivery, target, watch))


def _pause(line: HubClient, seconds: float, began: float, tell: Callable[[float], None]) -> None:
    while seconds > 0:
        line.sleep(min(seconds, SLICE))
        seconds -= SLICE
        tell(line.clock() - began)


def _wake(delivery: PushContext, target: RepoFolder, watch: StageWatch) -> bool:
    """Restart the Space, and return whether the Hub does it.

    Where the Hub names no commit the Space is built anew, so that no earlier one can be meant.
    """
    line, anew = delivery.line, watch.names is None
    delivery.console.say(f"The Space {target.id} is {watch.told()}: it is restarted.")
    with delivery.explained("space", target.id):
        try:
            runtime = line.ask(lambda: line.api.restart_space(target.id, factory_reboot=anew))
        except CLIENT_ERRORS as error:
            if status_of(error) not in NOT_TO_BE_WOKEN:
                raise
            watch.refused = plain(str(error))
            return False
    delivery.journal.note("woken", line.url("space", target.id), stage=watch.stage)
    watch.wake(runtime, line.clock())
    return True


def require_running(delivery: PushContext, target: RepoFolder, watch: StageWatch) -> None:
    """Refuse a Space that does not run the new commit.

    Raises:
        SpaceFailed: It cannot be built or does not run; shows the end of its log.
        SpaceLate: It may still do so.
    """
    if watch.undecided:
        raise _late(delivery, target, watch)
    if watch.stage in BROKEN:
        log = _log(delivery, target, build=watch.stage == "BUILD_ERROR")
        seen = f"The Space {target.id} does not run: {watch.stage}. The end of its log:\n{log}\n  "
        raise failed(delivery, target, seen)
    if watch.stage != RUNNING:
        how = ", though it was restarted" if watch.woken else ""
        refused = f"The Hub does not restart it: {watch.refused}. " if watch.refused else ""
        raise failed(delivery, target, f"The Space {target.id} cannot be asked: it is {watch.told()}{how}. {refused}")


def _late(delivery: PushContext, target: RepoFolder, watch: StageWatch) -> SpaceLate:
    limit = float(delivery.ways.space_timeout or delivery.line.built_within)
    doubt = ", and the Hub does not say that this is the new commit" if watch.stage == RUNNING else ""
    return SpaceLate(
        f"The Space {target.id} is still {watch.told()} after {limit:,.0f} seconds{doubt}. {delivery.visible()}",
        f"Look at {delivery.line.url('space', target.id)}, and run the same command again to go on waiting; "
        "`--space-timeout` sets how long, and `--show-unasked` shows both without an answer.",
    )


def _log(delivery: PushContext, target: RepoFolder, build: bool) -> str:
    """Return the last lines of the Space's log, printable and without tokens."""

    def ask() -> list[str]:
        return [plain(text) for text in delivery.line.api.fetch_space_logs(target.id, build=build)]

    try:
        lines = [text for text in delivery.line.ask(ask) if text]
    except CLIENT_ERRORS:
        return "  (the Hub shows none)"
    return "\n".join(f"  {text}" for text in lines[-LAST_LINES:]) or "  (empty)"


def failed(delivery: PushContext, target: RepoFolder, seen: str, remedy: str = WAYS_ON) -> SpaceFailed:
    """Return the error for a Space that cannot be shown, with what others can see and the ways on."""
    return SpaceFailed(f"{seen}{delivery.visible()}", remedy.format(url=delivery.line.url("space", target.id)))
