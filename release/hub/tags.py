"""The tags v1, v2, … of a model repository: one for each commit that was published, and the card in it names its own.

A card is written before its commit is there. The tag that it will get is known all the same: it is the next free one,
and a commit that somebody made since the card was read stops the push. Where a tag was taken by hand in between, the
push fails and says so; the next one writes the card for the tag that is free then.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from huggingface_hub import GitRefInfo

from release.errors import HubFailed
from release.hub.admission import told
from release.hub.client import HubClient
from release.hub.context import PushContext
from release.hub.repos import Found, RepoFolder, Tag, Upload, compare, wrong
from release.names import TAG
from release.progress import Console
from release.settings.publication import PublishOptions

ATTEMPTS = 4
"""How often a tag is asked for that others take, or that is not there after a yes."""


def named(upload: Upload, options: PublishOptions, anew: bool = False, client: HubClient | None = None) -> Upload:
    """Settle which tag a model's card is to name: that of the commit that stands there, or the next free one.

    Nothing is tagged that is only proposed, so such a card names none.

    Args:
        upload: With what its repositories hold.
        anew: Whether there will be a new commit in any case.
    """
    if options.proposes:
        return replace(upload, tag=None)
    there = (upload.expects or {}).get("model")
    versions = _of(client or HubClient(), upload, there) if there else {}
    known = None if anew or there is None else _name_of(versions, there.head)
    return replace(upload, tag=Tag(known or _next(versions), known is not None))


def outdated(upload: Upload, console: Console) -> bool:
    """Whether the card names the tag of the commit that stands there, though what is uploaded needs another commit."""
    there = (upload.expects or {}).get("model")
    if upload.tag is None or not upload.tag.set or there is None:
        return False
    return bool(wrong(compare(upload.targets()[0], there.files, console)))


def tag(context: PushContext, model: RepoFolder, commit: str, wanted: Tag | None = None) -> str:
    """Return the tag v1, v2, … that names a commit; it is made where it is not there.

    Args:
        wanted: The one that the card names; by default the one that the commit has, or the next free one.

    Raises:
        HubFailed: The Hub refuses; the card's tag, or each number in turn, is taken; or it says yes and does nothing.
    """
    url, asked = context.client.url(model.kind, model.id), []
    for _ in range(ATTEMPTS):
        versions = _versions(context, model)
        known = _name_of(versions, commit, wanted)
        if known:
            if known in asked:
                context.journal.note("tagged", url, tag=known, commit=commit)
            return known
        asked.append(wanted.name if wanted else _next(versions))
        if wanted and wanted.number in versions:
            raise _taken(context, url, wanted, versions[wanted.number])
        _make(context, model, asked[-1], commit)
    raise HubFailed(
        f"No tag could be set at {url} for {commit[:8]}: the Hub was asked for {', '.join(dict.fromkeys(asked))}, and "
        f"lists none of them for this commit. {context.visible()}",
        "Run the same command again; all files are there without it.",
    )


def _taken(context: PushContext, url: str, wanted: Tag, commit: str) -> HubFailed:
    return HubFailed(
        f"The card at {url} says that it is {wanted.name}, but meanwhile somebody gave that tag to {commit[:8]}. "
        f"{context.visible()}",
        "Run the same command again: the card is then written for the next free tag.",
    )


def _next(versions: Mapping[int, str]) -> str:
    return f"v{max(versions, default=0) + 1}"


def _name_of(versions: Mapping[int, str], commit: str, wanted: Tag | None = None) -> str | None:
    """The tag that names a commit: the one that is wanted, or the first."""
    numbers = sorted(number for number, tagged in versions.items() if tagged == commit)
    if wanted:
        return wanted.name if wanted.number in numbers else None
    return f"v{numbers[0]}" if numbers else None


def _of(client: HubClient, upload: Upload, there: Found) -> dict[int, str]:
    with told(client, "model", upload.id):
        refs = client.ask(lambda: client.api.list_repo_refs(there.id))
    return _numbered(refs.tags)


def _versions(context: PushContext, model: RepoFolder) -> dict[int, str]:
    """Ask for the release's tags: number → the commit that it names."""
    refs = context.ask(model.kind, model.id, lambda: context.client.api.list_repo_refs(model.id, repo_type=model.kind))
    return _numbered(refs.tags)


def _numbered(tags: Iterable[GitRefInfo]) -> dict[int, str]:
    return {int(ref.name[1:]): ref.target_commit for ref in tags if TAG.fullmatch(ref.name)}


def _make(context: PushContext, model: RepoFolder, name: str, commit: str) -> None:
    """Ask for a tag. One that somebody made meanwhile (409) is no fault: the next look tells whose commit it names."""
    api = context.client.api
    context.ask(
        model.kind,
        model.id,
        lambda: api.create_tag(model.id, tag=name, revision=commit, repo_type=model.kind, exist_ok=True),
    )
