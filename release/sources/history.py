"""What became of a repository on the Hub since a revision: its commits and its listings, read one by one."""

from collections.abc import Sequence

from huggingface_hub import GitCommitInfo, HfApi
from huggingface_hub.hf_api import RepoFile

from release.errors import UnknownName
from release.sources.changes import Commit, History, differences
from release.sources.contact import broken_off, explained, patience, plain

MOST_COMMITS = 100
"""Commits that are looked into one by one; each costs one request."""

Listing = dict[str, str]
"""Path → digest: SHA-256 of a large file, git's SHA-1 of any other."""


def history(repo_id: str, since: str, now: str) -> History:
    """Ask what changed between two revisions.

    Args:
        since: A commit, tag or branch.
        now: The later commit's full SHA-1.

    Raises:
        UnknownName: There is no such revision.
        HubFailed: The connection breaks.
    """
    patience()
    api = HfApi()
    with explained(repo_id, since, broken_off):
        first = _commit_of(api, repo_id, since)
        listing = {first: _listing(api, repo_id, first), now: _listing(api, repo_id, now)}
        commits = api.list_repo_commits(repo_id, revision=now)
        between = _between(commits, first)
        told = _told(api, repo_id, between[:MOST_COMMITS], commits, listing)
    return History(
        since=first,
        now=now,
        follows=first in {commit.commit_id for commit in commits},
        changes=differences(listing[first], listing[now]),
        commits=told,
        not_read=len(between) - len(told),
    )


def _commit_of(api: HfApi, repo_id: str, since: str) -> str:
    try:
        return str(api.model_info(repo_id, revision=since).sha)
    except ValueError as error:  # the client refuses some names by itself
        raise UnknownName(f"{repo_id} has no revision {since!r}.", "Give a commit, a tag or a branch.") from error


def _between(commits: Sequence[GitCommitInfo], first: str) -> list[GitCommitInfo]:
    """Those after `first`, the newest first; none where it is not among them."""
    names = [commit.commit_id for commit in commits]
    return list(commits[: names.index(first)]) if first in names else []


def _told(
    api: HfApi,
    repo_id: str,
    between: Sequence[GitCommitInfo],
    commits: Sequence[GitCommitInfo],
    known: dict[str, Listing],
) -> tuple[Commit, ...]:
    """Tell what each commit changed against the one before it; a listing that two need is asked for once."""
    listings = dict(known)

    def listing(commit: str) -> Listing:
        if commit not in listings:
            listings[commit] = _listing(api, repo_id, commit)
        return listings[commit]

    return tuple(
        Commit(
            commit=commit.commit_id,
            title=plain(commit.title),
            authors=tuple(map(plain, commit.authors)),
            date=commit.created_at.isoformat(timespec="seconds"),
            changes=differences(listing(before.commit_id), listing(commit.commit_id)),
        )
        for commit, before in zip(between, commits[1:], strict=False)
    )


def _listing(api: HfApi, repo_id: str, commit: str) -> Listing:
    tree = api.list_repo_tree(repo_id, recursive=True, revision=commit)
    return {item.path: item.lfs.sha256 if item.lfs else item.blob_id for item in tree if isinstance(item, RepoFile)}
