"""What happened to a repository since somebody looked: whether anybody committed, and who."""

from collections.abc import Sequence

from huggingface_hub import GitCommitInfo

from release.errors import OutputConflict
from release.hub.admission import told
from release.hub.client import HubClient
from release.hub.repos import Found, RepoFolder, Sight, Upload
from release.schema.record import CARD
from release.settings.publication import PublishOptions
from release.sources.contact import plain

MOST_NAMED = 3
"""Commits of others that a message names."""


def later(client: HubClient, target: RepoFolder, head: str | None) -> list[GitCommitInfo]:
    """Ask for the commits after `head`, the newest first; where it is not among them, for all."""
    commits = client.ask(
        lambda: client.api.list_repo_commits(target.id, repo_type=target.kind, revision=target.revision)
    )
    ids = [commit.commit_id for commit in commits]
    return commits[: ids.index(head)] if head in ids else commits


def worded(commits: Sequence[GitCommitInfo]) -> str:
    """Name the first commits of some, each by its id, its title and its author."""
    named = [
        f"{commit.commit_id[:8]} {plain(commit.title)!r} by {plain(', '.join(commit.authors)) or 'somebody'}"
        for commit in commits[:MOST_NAMED]
    ]
    more = f" and {len(commits) - MOST_NAMED} more" if len(commits) > MOST_NAMED else ""
    return f"{'; '.join(named)}{more}"


def require_unmoved(
    client: HubClient, targets: Sequence[RepoFolder], found: Sequence[Found | None], expects: Sight
) -> None:
    """Refuse to go on where anybody committed since the card was read: they may have written in it.

    Args:
        found: What is there now; an empty repository counts as none.
        expects: What was there then.

    Raises:
        OutputConflict: Somebody did; names the commits.
    """
    for target, there in zip(targets, found, strict=True):
        before = expects[target.kind]
        was, now = (None if each is None else each.head for each in (before, there))
        appeared = before is None and there is not None and there.maker != "nobody"
        if appeared or (before is not None and was != now):
            raise _overtaken(client, target, before, there)


def require_no_release(
    upload: Upload, claimed: Upload, options: PublishOptions, client: HubClient | None = None
) -> None:
    """Refuse to replace what was uploaded while a release was built; words around a card are kept, and refuse nothing.

    Args:
        upload: With what is there now.
        claimed: With what was there before the work.

    Raises:
        OutputConflict: Files other than the model's card differ; names the commits.
    """
    before, now = claimed.expects or {}, upload.expects or {}
    for target in upload.targets(options.revision):
        was, there = before.get(target.kind), now.get(target.kind)
        if _contents(target, was) != _contents(target, there):
            raise _overtaken(client or HubClient(), target, was, there)


def _contents(target: RepoFolder, found: Found | None) -> dict[str, str]:
    """Path → git's digest of each file, but for a model's card."""
    files = found.files if found else {}
    return {path: file.blob_id for path, file in files.items() if (target.kind, path) != ("model", CARD)}


def _overtaken(client: HubClient, target: RepoFolder, before: Found | None, there: Found | None) -> OutputConflict:
    url = client.url(target.kind, target.id)
    if there is None:
        seen = f"{url} was removed or renamed while this push was prepared."
        return OutputConflict(seen, "Run the same command again to make it anew.")
    with told(client, target.kind, target.id):
        commits = worded(later(client, target, before.head if before else None))
    return OutputConflict(
        f"Somebody committed to {url} while this push was prepared: {commits}. Nothing was changed.",
        f"Look at {url}/commits/{target.revision}. Run the same command again to replace it (what they wrote around "
        "the card is kept), or with `--pr` to propose yours.",
    )
