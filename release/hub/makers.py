"""Who made what lies in a repository: this tool, the Hub alone, or somebody else.

A release's model is known by its record, its Space and a grid's report by the mark in their README. What bears neither
is somebody's work and is never changed unasked: a Space of a person's own, which happened to have the name of a
release, was once emptied and shown with another app in it.
"""

import re
from collections.abc import Callable
from pathlib import Path

from release.format import listed
from release.hub.client import HubClient
from release.hub.repos import ATTRIBUTES, Found, Kind, Maker, RepoFolder
from release.names import GRID_MARK, RECORD
from release.outside import Unfit, json_object, text_of
from release.schema.record import CARD
from release.sources.contact import plain
from release.space.mark import is_marked

KINDS: dict[Kind, str] = {"model": "model", "space": "Space", "dataset": "data set"}
MARKS: dict[Kind, str] = {
    "model": "record of a release",
    "space": "mark of a release's Space",
    "dataset": "mark of a grid's report",
}
OF_A_RECORD = {"schema_version", "base", "pruning"}
"""Fields of the record of every version; other tools have files of that name too."""
TITLE = "Upload by release"
"""How the titles of this tool's commits begin; a version follows."""
OF_OURS = re.compile(rf"{TITLE} \d+\.\d")
LARGEST = 64 << 20
"""Bytes that are read of a record or a README."""
MOST_NAMED = 5
"""Files that a message names; the plan of an adoption names all."""


def maker(client: HubClient, target: RepoFolder, found: Found) -> Maker:
    """Tell who made what a repository holds."""
    theirs = found.files.keys() - {ATTRIBUTES}
    if not theirs:
        return "nobody"
    if _is_ours(client, target, found):
        return "ours"
    titles = _titles(client, target, found)
    if titles and OF_OURS.match(titles[0]):  # bytes that rotted on their way bear no mark
        return "ours"
    if theirs != {CARD}:
        return "stranger"
    if target.kind == "model":
        return "person"
    # The Hub's own first commit gives a Space its README.
    return "nobody" if target.kind == "space" and len(titles) == 1 else "stranger"


def _is_ours(client: HubClient, target: RepoFolder, found: Found) -> bool:
    name = RECORD if target.kind == "model" else CARD
    text = read(client, target, found, name) if name in found.files else None
    return text is not None and BEARS_MARK[target.kind](text)


def _is_record(text: str) -> bool:
    try:
        return json_object(text).keys() >= OF_A_RECORD
    except Unfit:
        return False


BEARS_MARK: dict[Kind, Callable[[str], bool]] = {
    "model": _is_record,
    "space": is_marked,
    "dataset": lambda text: GRID_MARK in text,
}


def read(client: HubClient, target: RepoFolder, found: Found, name: str) -> str | None:
    """Read a text file of a repository; None where it is no text, or too large for one."""
    path = client.ask(lambda: client.api.hf_hub_download(target.id, name, repo_type=target.kind, revision=found.head))
    try:
        return text_of(Path(path), LARGEST)
    except Unfit:
        return None


def _titles(client: HubClient, target: RepoFolder, found: Found) -> list[str]:
    """Return the titles of all commits, the latest first."""
    commits = client.ask(lambda: client.api.list_repo_commits(target.id, repo_type=target.kind, revision=found.head))
    return [commit.title for commit in commits]


def strange(url: str, kind: Kind) -> str:
    """Say that what lies there is somebody else's."""
    return f"{url} is another {KINDS[kind]}, which this tool did not make"


def holding(found: Found, kind: Kind) -> str:
    """Say what shows that it is."""
    return f"it holds no {MARKS[kind]}, but {listed(names(found), MOST_NAMED)}"


def names(found: Found) -> list[str]:
    """The files that an adoption removes or replaces, printable."""
    return [plain(name) for name in sorted(found.files.keys() - {ATTRIBUTES})]


def adoption(url: str, found: Found, kind: Kind) -> str | None:
    """Say first what becomes of the work of somebody else; None where there is none."""
    if found.maker == "person":
        return f"{url} holds nothing but a card that somebody wrote: its text is kept, below the generated card."
    if found.maker == "stranger":
        gone = ", ".join(names(found))
        return f"{strange(url, kind)}. --adopt replaces what it holds, which its history keeps: {gone}."
    return None
