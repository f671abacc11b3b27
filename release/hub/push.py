"""A release goes to the Hub, top to bottom.

    claim both repositories, private ─→ fill the model, prove it ─→ fill the Space, prove it
        ─→ wait until the Space runs that commit ─→ make sure that it can be asked ─→ gate
        ─→ ask it a question ─→ show the model and the Space ─→ tag ─→ collection

Nothing is shown before the Space has answered, but for one case: without a token of its own the Space reads its model
only once everyone may, so the model is shown for the question, and hidden again where no answer comes. Every step looks
first whether it is done already, so a rerun goes on where the last one stopped.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import SpaceHardware

from release.errors import HubFailed
from release.frozen import Frozen
from release.hub import collections, demonstration, settings, space, tags
from release.hub.admission import admitted, found_at
from release.hub.client import HubClient, limit_memory
from release.hub.commit import Filled, fill
from release.hub.context import PushContext
from release.hub.creation import create
from release.hub.history import require_unmoved
from release.hub.journal import opened
from release.hub.makers import adoption
from release.hub.plan import check_hardware
from release.hub.repos import MAIN, Found, RepoFolder, Sight, Upload
from release.hub.trial import Trial
from release.progress import Console
from release.settings.publication import PublishOptions
from release.sources.contact import patience, quietly


class Pushed(Frozen):
    """What lies on the Hub after an upload.

    Attributes:
        changed: Whether this upload changed anything there.
        files: Number of files in both repositories that came from here.
        bytes: Their size.
        pull_requests: Pages of the pull requests that propose the files, where they were only proposed.
        space_stage: How the Space came to rest; None without one, or where it was only proposed.
        answer: What the Space answered to one question; None where it was not asked in this push.
        tag: The tag that names the model's commit; None where nothing was shown.
        collection: Address of the collection that holds the release.
    """

    model_url: str
    model_commit: str
    space_url: str | None
    space_commit: str | None
    changed: bool
    files: int
    bytes: int
    pull_requests: tuple[str, ...] = ()
    space_stage: str | None = None
    answer: str | None = None
    tag: str | None = None
    collection: str | None = None


def push(upload: Upload, options: PublishOptions, console: Console, client: HubClient | None = None) -> Pushed:
    """Upload a release: make both repositories, fill each by one commit, compare, and only then show them.

    A rerun after success changes nothing; a rerun after a failure goes on where it stopped.

    Raises:
        HubFailed: The Hub refuses, or the connection breaks; says what can be seen by others.
        ChecksumMismatch: The Hub lists other digests than those of the files here.
        SpaceFailed: The Space does not run or does not answer.
        OutputConflict: See `admitted`; somebody committed since the card was read; or another push of this release is
            at work.
    """
    with at_work(upload.work, options, console, client) as context:
        found, pushed = _filled(context, upload)
        if not options.proposes:
            pushed = _finished(context, upload, found, pushed)
    if not context.journal.done:
        console.say("Already published, identical: the Hub holds exactly these files, and nothing was changed.")
    return pushed.model_copy(update={"changed": bool(context.journal.done)})


def stage(upload: Upload, options: PublishOptions, console: Console, client: HubClient | None = None) -> Pushed:
    """Fill the repositories and prove them, and leave them as visible as they are; `push` goes on from there.

    Raises:
        HubFailed: As for `push`, as are the others.
    """
    with at_work(upload.work, options, console, client) as context:
        _, pushed = _filled(context, upload)
    return pushed.model_copy(update={"changed": bool(context.journal.done)})


@contextmanager
def at_work(
    work: Path, options: PublishOptions, console: Console, client: HubClient | None = None
) -> Iterator[PushContext]:
    """Be the one push at work on a folder, with the journal that lies there.

    Raises:
        OutputConflict: Another push is at work there.
    """
    patience()
    limit_memory()
    with quietly(console), opened(work) as journal:
        yield PushContext(client or HubClient(), options, console, journal)


def _filled(context: PushContext, upload: Upload) -> tuple[list[Found], Pushed]:
    """Make the repositories where they are missing, and each equal to its folder."""
    targets = upload.targets(context.options.revision)
    found = _claimed(context, targets, upload.expects)
    filled = [fill(context, *pair) for pair in zip(targets, found, strict=True)]
    return found, _pushed(context, targets, filled)


def claim(
    upload: Upload, options: PublishOptions, client: HubClient | None = None, console: Console | None = None
) -> Sight:
    """Take both names, private and empty, so that whatever the Hub refuses is known before any work.

    Returns:
        What the repositories hold.

    Raises:
        HubFailed: The Hub refuses one of them.
        OutputConflict: As for `push`.
    """
    patience()
    console = console or Console(quiet=True)
    with quietly(console), opened(upload.work) as journal:
        context, targets = (
            PushContext(client or HubClient(), options, console, journal),
            upload.targets(options.revision),
        )
        found = _claimed(context, targets)
    for target, there in zip(targets, found, strict=True):
        if said := adoption(context.client.url(target.kind, target.id), there, target.kind):
            console.say(said)
    return {target.kind: there for target, there in zip(targets, found, strict=True)}


def _claimed(context: PushContext, targets: Sequence[RepoFolder], expects: Sight | None = None) -> list[Found]:
    """Create the repositories, private, where there are none; existing ones keep their visibility.

    Args:
        expects: What must be there still; None where nobody looked before.
    """
    check_hardware(context.options)
    client = context.client
    collections.check(client, context.options.collection, targets[0].id.split("/")[0])
    found = admitted(client, targets, context.options)
    sight = expects or {target.kind: there for target, there in zip(targets, found, strict=True)}
    require_unmoved(client, targets, found, sight)
    # The Space comes first: where the Hub refuses it, nothing was made yet.
    for target, there in sorted(zip(targets, found, strict=True), key=lambda pair: pair[0].kind != "space"):
        if there is None:
            _create(context, target)
        elif target.kind == "space":
            space.furnish(context, target)
    found = [there or found_at(client, target) for target, there in zip(targets, found, strict=True)]
    require_unmoved(client, targets, found, sight)
    return [_branched(context, target, there) for target, there in zip(targets, found, strict=True)]


def _create(context: PushContext, target: RepoFolder) -> None:
    api, is_space, hardware = context.client.api, target.kind == "space", context.options.space_hardware
    create(
        context,
        target,
        lambda: api.create_repo(
            target.id,
            repo_type=target.kind,
            private=True,
            exist_ok=True,
            resource_group_id=context.options.resource_group,
            space_sdk="gradio" if is_space else None,
            space_hardware=SpaceHardware(hardware) if is_space and hardware else None,
        ),
    )
    context.journal.note("created", context.client.url(target.kind, target.id))


def _branched(context: PushContext, target: RepoFolder, found: Found | None) -> Found:
    """Make the branch where it is missing."""
    if found is None:
        raise HubFailed(
            f"The {target.kind} {target.id} vanished as soon as it was made.", "Run the same command again."
        )
    if not found.has_branch:
        api = context.client.api
        context.ask(
            target.kind,
            target.id,
            lambda: api.create_branch(
                target.id, branch=target.revision, revision=MAIN, repo_type=target.kind, exist_ok=True
            ),
        )
        context.journal.note("branched", context.client.url(target.kind, target.id), branch=target.revision)
    return found


def _finished(context: PushContext, upload: Upload, found: Sequence[Found], pushed: Pushed) -> Pushed:
    """Bring the Space up and have it answer, then show and mark what is whole."""
    model, *spaces = upload.targets()
    trial, demo = Trial(context, model, found[0]), None
    trial.recover()
    if spaces:
        demo = demonstration.ready(context, spaces[0], found[1], str(pushed.space_commit), trial.found)
    settings.gate(context, model, found[0])
    answer = demonstration.answered(context, demo, trial) if demo else None
    if not context.options.private:
        for target, there in zip((model, *spaces), (trial.found, *found[1:]), strict=True):
            settings.show(context, target, there)
    tag = tags.tag(context, model, pushed.model_commit, upload.tag)
    collection = collections.collect(context, upload)
    stage = demo.stage if demo else None
    return pushed.model_copy(update={"space_stage": stage, "answer": answer, "tag": tag, "collection": collection})


def _pushed(context: PushContext, targets: Sequence[RepoFolder], filled: Sequence[Filled]) -> Pushed:
    urls = [context.client.url(target.kind, target.id) for target in targets]
    return Pushed(
        model_url=urls[0],
        model_commit=filled[0].commit,
        space_url=urls[1] if len(urls) > 1 else None,
        space_commit=filled[1].commit if len(urls) > 1 else None,
        changed=False,
        files=sum(len(target.files()) for target in targets),
        bytes=sum(target.size() for target in targets),
        pull_requests=tuple(each.pull_request for each in filled if each.pull_request),
    )
