"""What changed in a repository since a revision: which files, by which commits, by whom, and what each file is."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

from release.checkpoint.folder import CONFIG, is_side_file
from release.checkpoint.loading import INDEX
from release.contents import is_of_the_way, is_own, is_theirs
from release.errors import ReleaseError
from release.format import shown
from release.frozen import Frozen
from release.names import MASK, RECORD, SIGNATURE, TABLE
from release.progress import Console
from release.schema.record import CARD

How = Literal["added", "changed", "removed"]

NAMED: Mapping[str, str] = {
    CARD: "card",
    RECORD: "record",
    MASK: "mask",
    TABLE: "table of tensors",
    SIGNATURE: "signature",
    CONFIG: "configuration",
    INDEX: "index of the weights",
}
WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".h5", ".msgpack", ".onnx")
"""Endings of what loaders take for weights; a release holds the first kind alone."""
MARKS: Mapping[How, str] = {"added": "+", "changed": "~", "removed": "-"}
SHORT = 8
"""Letters by which a commit is named on screen."""


class Change(Frozen):
    """One file that changed.

    Attributes:
        kind: What the file is to a release: its weights, card, record, and so on.
    """

    path: str
    how: How
    kind: str


class Commit(Frozen):
    """One commit, and what it changed.

    Attributes:
        authors: Names of accounts, as the Hub lists them.
        date: ISO 8601, UTC.
    """

    commit: str
    title: str
    authors: tuple[str, ...]
    date: str
    changes: tuple[Change, ...]


class History(Frozen):
    """What happened to a repository between two revisions.

    Attributes:
        since: The earlier commit.
        now: The later one, whose state is verified.
        follows: Whether the later one descends from the earlier; where not, the history was written anew.
        changes: What differs between the two, whatever happened in between.
        commits: Those in between, the newest first; none where the later does not descend from the earlier.
        not_read: How many older ones were not looked into, since there were too many.
    """

    since: str
    now: str
    follows: bool
    changes: tuple[Change, ...]
    commits: tuple[Commit, ...]
    not_read: int = 0

    def lines(self) -> Iterator[str]:
        """Say it for people, a fact a line; names and titles come from outside."""
        since, now = self.since[:SHORT], self.now[:SHORT]
        if self.since == self.now:
            yield f"Nothing changed since {since}."
            return
        yield f"Changed since {since}, now {now}:"
        yield from map(_line, self.changes)
        if not self.follows:
            yield f"{now} does not descend from {since}: the history was written anew."
        for commit in self.commits:
            yield shown(f"{commit.commit[:SHORT]}  {commit.date[:19]}  {', '.join(commit.authors)}: {commit.title}")
            yield from map(_line, commit.changes)
        if self.not_read:
            yield f"{self.not_read} older commits in between were not looked into."


@contextmanager
def told_where_it_fails(history: History | None, console: Console) -> Iterator[None]:
    """Say what changed before an error that ends the verification, which then has no answer to say it in."""
    try:
        yield
    except ReleaseError:
        for line in history.lines() if history else ():
            console.say(line)
        raise


def _line(change: Change) -> str:
    return f"  {MARKS[change.how]} {shown(change.path)}  ({change.kind})"


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[Change, ...]:
    """Compare two listings, path → digest; the most telling kinds come first, in name order within."""
    paths = sorted(before.keys() | after.keys())
    differing = (path for path in paths if before.get(path) != after.get(path))
    return _ordered(Change(path=path, how=_how(path, before, after), kind=kind_of(path)) for path in differing)


def _ordered(changes: Iterable[Change]) -> tuple[Change, ...]:
    first = {"weights": 0, "mask": 1, "record": 2, "card": 3}
    return tuple(sorted(changes, key=lambda change: (first.get(change.kind, len(first)), change.path)))


def _how(path: str, before: Mapping[str, str], after: Mapping[str, str]) -> How:
    return "added" if path not in before else "removed" if path not in after else "changed"


def kind_of(path: str) -> str:
    """Say what a file of this name is to a release."""
    rules = (
        (path in NAMED, NAMED.get(path, "")),
        (path.lower().endswith(WEIGHTS), "weights"),
        (is_own(path) and path.startswith("evaluation/"), "measured answers"),
        (is_own(path), "figure"),
        (is_side_file(path), "the base's file"),
        (is_theirs(path), "added by a person"),
        (is_of_the_way(path), "the Hub's own"),
    )
    return next((kind for applies, kind in rules if applies), "no file of a release")
