"""Whether the repository that the Hub answers with is the one that was asked for.

The Hub leads on from the old name of a repository that was renamed or moved, and from a name in other case. A client
follows without a word: a release for `lab/tiny` once went into the repository that its owner had renamed to
`lab/archive`, over what lay there. So the id in the answer decides, not the one in the request.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from release.errors import OutputConflict
from release.hub.client import HubClient

if TYPE_CHECKING:
    from release.hub.repos import Found, Kind, RepoFolder


def require_same(client: HubClient, targets: "Sequence[RepoFolder]", found: "Sequence[Found | None]") -> None:
    """Refuse to take a repository of another name for the one that was asked for.

    Raises:
        OutputConflict: Names where each name leads, and the ways on.
    """
    asked = {target.kind: target.id for target in targets}
    there = {target.kind: each.id for target, each in zip(targets, found, strict=True) if each}
    led = {kind: id_ for kind, id_ in there.items() if id_ != asked[kind]}
    if led:
        said = " ".join(_said(client, kind, asked[kind], id_) for kind, id_ in led.items())
        raise OutputConflict(f"{said} Nothing was changed.", _ways_on(asked, there, led))


def require_still(client: HubClient, kind: "Kind", asked: str, answered: str) -> None:
    """Refuse a repository that was renamed while a push was at work.

    Raises:
        OutputConflict: Names where its name leads by now.
    """
    if asked != answered:
        seen = f"{_said(client, kind, asked, answered)} That happened while this push was at work."
        raise OutputConflict(seen, _ways_on({kind: asked}, {kind: answered}, {kind: answered}))


def _said(client: HubClient, kind: "Kind", asked: str, answered: str) -> str:
    if asked.lower() == answered.lower():
        return (
            f"There is no {kind} {asked}, but {client.url(kind, answered)}: the Hub takes names that differ in case "
            "alone for the same."
        )
    return (
        f"The {kind} {asked} was renamed or moved by its owner: the Hub leads on from that name to "
        f"{client.url(kind, answered)}."
    )


def _ways_on(asked: "Mapping[Kind, str]", there: "Mapping[Kind, str]", led: "Mapping[Kind, str]") -> str:
    """Say which options mean the repositories where they are, and how to choose others."""
    others = sorted({id_.split("/")[0] for id_ in led.values()} - {id_.split("/")[0] for id_ in asked.values()})
    where = f", where you may write to {' and '.join(others)}" if others else ""
    owner = next(iter(asked.values())).split("/")[0]
    return (
        f"If you mean what is there{where}: `{' '.join(_into(asked, there))}`. Otherwise choose another name, "
        f"`--into {owner}/NAME`, or another namespace, `--to`."
    )


def _into(asked: "Mapping[Kind, str]", there: "Mapping[Kind, str]") -> list[str]:
    """Return the options that name each repository as the Hub does; a Space is looked for under its model's id."""
    model = there.get("model", asked.get("model"))
    space = there.get("space", model)
    words = [f"--into {model}"] if model and model != asked["model"] else []
    return [*words, f"--into spaces/{space}"] if space and space != model else words
