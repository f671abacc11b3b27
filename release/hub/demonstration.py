"""The Space shows that the release works: it runs the new commit, can read its model, and answers a question.

Whatever keeps it from that is found before anything is shown, as far as it can be found without asking. With
`--show-unasked` it is said, and the release is shown all the same.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

from release.errors import SpaceFailed, SpaceLate
from release.hub import question, space
from release.hub.context import PushContext
from release.hub.repos import Found, RepoFolder
from release.hub.stages import BROKEN, RUNNING
from release.hub.trial import Trial

GIVE_IT_A_TOKEN = f"Give it a token that may, as the secret {question.READS_MODELS} in {{url}}/settings"
UNREADABLE = "The Space {id} cannot be asked: it cannot read a private or gated model. "
UNREADABLE_REMEDY = (
    f"{GIVE_IT_A_TOKEN}, and run the same command again. Two other ways: `--show-unasked` shows both without an "
    "answer, and `--no-space` publishes the model alone."
)


@dataclass(frozen=True)
class Demo:
    """A Space at rest.

    Attributes:
        commit: Where its files stand.
        stage: How it came to rest.
        host: Address of its app; None where it is not to be asked.
        reads_now: Whether it reads its model as things stand; otherwise once the model is shown.
    """

    target: RepoFolder
    commit: str
    stage: str
    host: str | None = None
    reads_now: bool = False


def ready(context: PushContext, target: RepoFolder, there: Found, commit: str, model: Found) -> Demo:
    """Wait until the Space runs a commit, and make sure that it can be asked, where it need be.

    Args:
        there: What the Hub held of the Space before this push.
        model: What it holds of the model, which is not shown yet.

    Raises:
        SpaceFailed: It cannot be asked.
        SpaceLate: It does not run yet.
        HubFailed: The Hub does not say.
    """
    known = _is_known(context, target, there, commit)
    watch = space.rest(context, target, commit, settled=known)
    demo = Demo(target, commit, watch.stage)
    if known and watch.stage != RUNNING and watch.stage not in BROKEN:
        context.console.say(f"The Space {target.id} answered before and is now {watch.told()}.")
        return demo
    with _excused(context):
        space.require_running(context, target, watch)
        return demo if known else _reachable(context, demo, model)
    return demo


def _is_known(context: PushContext, target: RepoFolder, there: Found, commit: str) -> bool:
    """Whether this commit of the Space answered before, or is public already and was not committed from here."""
    url, journal = context.client.url(target.kind, target.id), context.journal
    shown_elsewhere = there.public and there.head == commit and not journal.knows("committed", url, commit=commit)
    return shown_elsewhere or journal.knows("answered", url, commit=commit)


def _reachable(context: PushContext, demo: Demo, model: Found) -> Demo:
    target = demo.target
    host, reach = question.host_of(context, target), question.reach(context, target, model)
    if reach != "never":
        return Demo(target, demo.commit, demo.stage, host, reach == "now")
    if not context.options.private:
        raise space.failed(context, target, UNREADABLE.format(id=target.id), UNREADABLE_REMEDY)
    url = context.client.url("space", target.id)
    context.console.say(f"{UNREADABLE.format(id=target.id)}{GIVE_IT_A_TOKEN.format(url=url)}.")
    return demo


def answered(context: PushContext, demo: Demo, trial: Trial) -> str | None:
    """Ask the Space, and return its answer; None where it was not to be asked, or need not answer.

    Raises:
        SpaceFailed: It does not answer; what was not public before is not public now.
    """
    if demo.host is None:
        return None
    with _excused(context):
        try:
            with nullcontext() if demo.reads_now else trial:
                answer = question.ask(context, demo.target, demo.host)
        except question.NoAnswer as error:
            seen = f"The Space {demo.target.id} runs but does not answer: {error} {trial.told}"
            raise space.failed(context, demo.target, seen) from error
        url = context.client.url("space", demo.target.id)
        context.journal.note("answered", url, commit=demo.commit, answer=answer)
        return answer
    return None


@contextmanager
def _excused(context: PushContext) -> Iterator[None]:
    """With --show-unasked, say what is wrong with the Space, and go on."""
    try:
        yield
    except (SpaceFailed, SpaceLate) as wrong:
        if not context.options.show_unasked:
            raise
        context.console.say(f"{wrong.seen} It is shown without an answer, as --show-unasked says.")
