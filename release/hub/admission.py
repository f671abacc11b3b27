"""What stands where a release is to go, and whether it may go there.

Everything that looks before a push looks here: the survey, the dry run, the claim of the names, the reading of the
card, and the push itself. So all of them refuse the same, in the same words.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from release.errors import HubFailed, OutputConflict
from release.hub.client import HubClient
from release.hub.faults import FAULTS, refusal
from release.hub.identity import require_same
from release.hub.makers import holding, maker, names, strange
from release.hub.repos import Found, RepoFolder, look
from release.settings.publication import PublishOptions
from release.sources.contact import without_tokens


def admitted(client: HubClient, targets: Sequence[RepoFolder], options: PublishOptions) -> list[Found | None]:
    """Look at every target, and refuse what a push may not change; changes nothing.

    Returns:
        What is there of each; None for no repository.

    Raises:
        OutputConflict: A name leads elsewhere, somebody else made what is there, or it is public and shall be private.
        HubFailed: The Hub does not say what it holds.
    """
    found = [found_at(client, target) for target in targets]
    require_same(client, targets, found)
    for target, there in zip(targets, found, strict=True):
        if there is not None:
            _require_ours(client, target, there, options)
            _require_hidden(client, target, there, options)
    return found


def found_at(client: HubClient, target: RepoFolder) -> Found | None:
    """Ask what the Hub holds at a target, and who made it.

    Raises:
        HubFailed: It does not say.
    """
    with told(client, target.kind, target.id):
        found = look(client, target.kind, target.id, target.revision)
        if found is None or found.id != target.id:
            return found
        return replace(found, maker=maker(client, target, found))


@contextmanager
def told(client: HubClient, kind: str, repo_id: str) -> Iterator[None]:
    """Turn what goes wrong while looking into `HubFailed`."""
    try:
        yield
    except FAULTS as error:
        said, remedy = refusal(error, kind, repo_id, client.url(kind, repo_id))
        raise HubFailed(f"{said} Nothing was changed.", remedy) from without_tokens(error)


def _require_ours(client: HubClient, target: RepoFolder, found: Found, options: PublishOptions) -> None:
    if found.maker != "stranger" or options.adopt:
        return
    owner = target.id.split("/")[0]
    said = strange(client.url(target.kind, target.id), target.kind)
    option = f"--into {'spaces/' if target.kind == 'space' else ''}{owner}/NAME"
    raise OutputConflict(
        f"{said}: {holding(found, target.kind)}. Nothing was changed.",
        f"Choose another name, `{option}`, or another namespace, `--to`. `--adopt` replaces what is there: "
        f"{len(names(found))} files go, and stay in its history alone; `--dry-run --adopt` lists them.",
    )


def _require_hidden(client: HubClient, target: RepoFolder, found: Found, options: PublishOptions) -> None:
    if options.private and found.public:
        raise OutputConflict(
            f"{client.url(target.kind, target.id)} is public, and this upload is to be private.",
            "Make it private in its settings on the Hub, or leave out --private.",
        )
