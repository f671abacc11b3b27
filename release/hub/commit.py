"""One commit that makes a repository equal its folder, and the proof that it does.

The bytes of large files go first; sending them twice does no harm. The commit itself is sent once. Whatever goes wrong
with it, the branch is looked at before anything is said: a gateway that gave up waiting, an answer that makes no sense
and one that is lost all leave open whether the Hub carried the commit out. Only where the branch does not hold these
files is the commit sent again, and of all commits with one parent the Hub lets a single one in.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, GitCommitInfo
from huggingface_hub.utils.tqdm import are_progress_bars_disabled

from release import __version__
from release.errors import ChecksumMismatch, HubFailed
from release.hub.context import PushContext
from release.hub.faults import FAULTS, may_be_sent_again
from release.hub.history import later, worded
from release.hub.makers import TITLE
from release.hub.repos import Compared, Found, RepoFolder, compare, head_of, listed, wrong
from release.sources import refusals
from release.sources.contact import without_tokens

Operation = Any
"""The client's CommitOperationAdd and CommitOperationDelete, whose common type it does not export."""


@dataclass(frozen=True)
class Filled:
    """A repository that equals its folder.

    Attributes:
        commit: Where the files stand.
        pull_request: Page of the pull request that proposes them, where it was asked for.
    """

    commit: str
    pull_request: str | None = None


def fill(context: PushContext, target: RepoFolder, found: Found) -> Filled:
    """Make the repository equal the folder, by one commit or by none.

    Raises:
        HubFailed: The Hub refuses, the connection breaks, or somebody else committed in between.
        ChecksumMismatch: The Hub lists other digests than those of the files here.
    """
    compared = compare(target, found.files, context.console)
    if not wrong(compared):
        return Filled(found.head)
    if context.options.pull_request and (known := _proposed(context, target)):
        return known
    filled = _committed(context, target, found, _operations(target, compared))
    if words := _shown_by(context, target, found):
        context.seen.append(words)
    _prove(context, target, filled.commit)
    context.journal.note(
        "committed", context.client.url(target.kind, target.id), commit=filled.commit, pull_request=filled.pull_request
    )
    return filled


def _shown_by(context: PushContext, target: RepoFolder, found: Found) -> str | None:
    """Say what others see once the commit has arrived; None where that is nothing."""
    if not found.public or context.options.proposes:
        return None
    return f"{context.client.url(target.kind, target.id)}, which was public before, shows the new commit"


def _operations(target: RepoFolder, compared: tuple[Compared, ...]) -> list[Operation]:
    files = target.files()
    gone = [CommitOperationDelete(file.path, is_folder=False) for file in compared if file.state == "gone"]
    wanted = [file.path for file in compared if file.state in ("new", "changed")]
    return [*(CommitOperationAdd(name, files[name]) for name in wanted), *gone]


def _committed(context: PushContext, target: RepoFolder, found: Found, operations: list[Operation]) -> Filled:
    additions = [operation for operation in operations if isinstance(operation, CommitOperationAdd)]
    with _uploading(context, target, additions), context.explained(target.kind, target.id):
        return _sent_once(context, target, found, operations)


def _sent_once(context: PushContext, target: RepoFolder, found: Found, operations: list[Operation]) -> Filled:
    """Send the commit; send it again only where the branch shows that it did not arrive."""
    for wait in (*context.client.waits, None):
        try:
            return context.client.once(lambda: _send(context, target, found, operations))
        except FAULTS as error:
            with context.in_doubt(_shown_by(context, target, found)):
                arrived, since = _looked(context, target, found)
            if since:
                raise _overtaken(context, target, found, arrived, since) from without_tokens(error)
            if arrived:
                return arrived
            if wait is None or not may_be_sent_again(error):
                raise
            context.client.rest(error, wait)
    raise AssertionError("the last try returns or raises")


def _send(context: PushContext, target: RepoFolder, found: Found, operations: list[Operation]) -> Filled:
    """Send the bytes that the Hub lacks, then the commit; what has arrived is not sent again by a second try."""
    made = context.client.api.create_commit(
        target.id,
        operations,
        commit_message=f"{TITLE} {__version__}",
        repo_type=target.kind,
        revision=target.revision,
        parent_commit=found.head,
        create_pr=context.options.pull_request,
    )
    return Filled(str(made.oid), made.pr_url)


def _looked(context: PushContext, target: RepoFolder, found: Found) -> tuple[Filled | None, list[GitCommitInfo]]:
    """Look where exactly these files stand by now, and which commits of others came, the newest first."""
    if context.options.pull_request:
        return _proposed(context, target), []
    head = context.ask(target.kind, target.id, lambda: head_of(context.client, target))
    if head == found.head:
        return None, []
    if _holds(context, target, head):
        return Filled(head), []
    with context.explained(target.kind, target.id):
        since = later(context.client, target, found.head)
    ours = next((commit.commit_id for commit in since[1:] if _holds(context, target, commit.commit_id)), None)
    return Filled(ours) if ours else None, [commit for commit in since if commit.commit_id != ours]


def _proposed(context: PushContext, target: RepoFolder) -> Filled | None:
    """Return the open pull request that proposes exactly these files, the newest first."""
    api = context.client.api

    def ask() -> dict[str, int]:
        open_ones = api.get_repo_discussions(
            target.id, repo_type=target.kind, discussion_type="pull_request", discussion_status="open"
        )
        numbers = {f"refs/pr/{pull.num}": pull.num for pull in open_ones}
        refs = api.list_repo_refs(target.id, repo_type=target.kind, include_pull_requests=True)
        return {ref.target_commit: numbers[ref.ref] for ref in refs.pull_requests or () if ref.ref in numbers}

    pulls = context.ask(target.kind, target.id, ask)
    for commit, number in sorted(pulls.items(), key=lambda item: -item[1]):
        if _holds(context, target, commit):
            return Filled(commit, f"{context.client.url(target.kind, target.id)}/discussions/{number}")
    return None


def _holds(context: PushContext, target: RepoFolder, commit: str) -> bool:
    files = context.ask(target.kind, target.id, lambda: listed(context.client, target.kind, target.id, commit))
    return not wrong(compare(target, files, context.console))


def _overtaken(
    context: PushContext, target: RepoFolder, found: Found, arrived: Filled | None, others: list[GitCommitInfo]
) -> HubFailed:
    """Say whose commits came in between, or after this one."""
    page = context.client.url(target.kind, target.id)
    said, remedy = refusals.meaning(412, "", "", target.kind, target.id, page)
    if arrived:
        said = f"This release arrived at {page} as {arrived.commit[:8]}, and somebody else committed after it."
        context.seen.extend(filter(None, [_shown_by(context, target, found)]))
    return HubFailed(f"{said} There is now: {worded(others)}. {context.visible()}", remedy)


def _prove(context: PushContext, target: RepoFolder, commit: str) -> None:
    """Compare all digests that the Hub lists with those of the files here."""
    files = context.ask(target.kind, target.id, lambda: listed(context.client, target.kind, target.id, commit))
    if differing := wrong(compare(target, files, context.console)):
        raise ChecksumMismatch(
            f"After the upload {context.client.url(target.kind, target.id)} differs from {target.folder.name}/: "
            f"{'; '.join(differing)}. {context.visible()}",
            "Run the same command again; it sends what is not right.",
        )


@contextmanager
def _uploading(context: PushContext, target: RepoFolder, additions: list[CommitOperationAdd]) -> Iterator[None]:
    """Show the upload: on a terminal the client's own bars, which alone know the bytes inside a file."""
    size = sum(addition.upload_info.size for addition in additions)
    text = f"Uploading {target.kind} {target.id}, {len(additions)} files, {size / 1e6:,.1f} MB"
    if not are_progress_bars_disabled():
        context.console.say(text)
        yield
        return
    with context.console.step(text, 1) as advance:
        yield
        advance(1)
