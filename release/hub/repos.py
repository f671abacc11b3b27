"""A repository and the folder that it shall equal: what lies where, compared by digest."""

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.hf_api import RepoFile

from release.checkpoint.files import Folder, is_hidden
from release.frozen import Frozen
from release.hub.client import HubClient
from release.hub.identity import require_still
from release.progress import BYTES, Console
from release.sources.contact import status_of

Kind = Literal["model", "space", "dataset"]
State = Literal["there", "new", "changed", "gone"]
Maker = Literal["ours", "nobody", "person", "stranger"]
"""Of what a repository holds: a release of this tool; nothing, or what the Hub put there; a card alone that a person
wrote; anything else."""

MAIN = "main"
ATTRIBUTES = ".gitattributes"
PIECE = 1 << 20


@dataclass(frozen=True)
class RepoFolder:
    """One folder and where it goes.

    Attributes:
        kind: Of the repository.
        id: owner/name.
        revision: The branch.
    """

    kind: Kind
    id: str
    folder: Path
    revision: str = MAIN

    def files(self) -> dict[str, Path]:
        """What is uploaded: nothing hidden and nothing that running the app left, for none of it was audited."""
        return {name: self.folder / name for name in sorted(Folder(self.folder).sizes) if not is_hidden(name)}

    def size(self) -> int:
        """Bytes of these files."""
        return sum(path.stat().st_size for path in self.files().values())


@dataclass(frozen=True)
class Found:
    """What the Hub holds of a repository.

    Attributes:
        id: As the Hub names it, which need not be as it was asked for.
        head: Commit at the revision; where the branch is missing, the one it begins at.
        files: Path → what is listed there at `head`.
        has_branch: Whether the branch is there.
        maker: Who made what lies there.
    """

    id: str
    head: str
    public: bool
    gated: str | bool
    files: Mapping[str, RepoFile] = field(default_factory=dict)
    has_branch: bool = True
    maker: Maker = "nobody"


class Tag(NamedTuple):
    """The tag that a model's card names.

    Attributes:
        name: v1, v2, …
        set: Whether it names the commit that stood there when the card was written; else it was free.
    """

    name: str
    set: bool

    @property
    def number(self) -> int:
        """Its number, from 1."""
        return int(self.name[1:])


Sight = Mapping[Kind, Found | None]
"""What was there when somebody looked: None for no repository."""


@dataclass(frozen=True)
class Upload:
    """A release to be published: its folders, and where they go; or a data set, which has no Space.

    Attributes:
        model: The folder of the model, or of the data set.
        work: Folder of the journal; never uploaded.
        expects: What the repositories held when card and Space were written for them; None where nobody looked.
        space_id: Where the Space goes, if not under the model's id.
        tag: The tag that the card names; None where it names none.
    """

    model: Path
    space: Path | None
    id: str
    work: Path
    expects: Sight | None = None
    space_id: str | None = None
    tag: Tag | None = None
    kind: Kind = "model"

    def targets(self, revision: str = MAIN) -> tuple[RepoFolder, ...]:
        """The model's (or the data set's) and, where one goes along, the Space's."""
        model = RepoFolder(self.kind, self.id, self.model, revision)
        if self.space is None or revision != MAIN:
            return (model,)
        return (model, RepoFolder("space", self.space_id or self.id, self.space))


class Compared(Frozen):
    """One file, here and there.

    Attributes:
        state: "there" with equal digests, "new", "changed", or "gone" from here.
        bytes: Its size here; there, for one that is gone.
    """

    path: str
    state: State
    bytes: int


def look(client: HubClient, kind: Kind, repo_id: str, revision: str = MAIN) -> Found | None:
    """Ask what the Hub holds; None where there is no such repository."""
    try:
        info = client.ask(lambda: client.api.repo_info(repo_id, repo_type=kind))
    except RepositoryNotFoundError as error:
        if status_of(error) == 404:
            return None
        raise
    branches = {} if revision == MAIN else _branches(client, kind, repo_id)
    head = branches.get(revision, str(info.sha))
    files = listed(client, kind, repo_id, head)
    has_branch = revision == MAIN or revision in branches
    return Found(str(info.id), head, not info.private, info.gated or False, files, has_branch)


def _branches(client: HubClient, kind: Kind, repo_id: str) -> dict[str, str]:
    refs = client.ask(lambda: client.api.list_repo_refs(repo_id, repo_type=kind))
    return {branch.name: branch.target_commit for branch in refs.branches}


def head_of(client: HubClient, target: RepoFolder) -> str:
    """Ask where the branch stands now."""
    info = client.ask(lambda: client.api.repo_info(target.id, repo_type=target.kind, revision=target.revision))
    require_still(client, target.kind, target.id, str(info.id))
    return str(info.sha)


def listed(client: HubClient, kind: Kind, repo_id: str, revision: str) -> dict[str, RepoFile]:
    """Ask for all files of a revision, with their digests."""

    def ask() -> dict[str, RepoFile]:
        tree = client.api.list_repo_tree(repo_id, recursive=True, revision=revision, repo_type=kind)
        return {item.path: item for item in tree if isinstance(item, RepoFile)}

    return client.ask(ask)


def compare(target: RepoFolder, remote: Mapping[str, RepoFile], console: Console) -> tuple[Compared, ...]:
    """Hold every file against what is listed; a digest is taken only where the sizes agree."""
    files = target.files()
    sizes = {name: path.stat().st_size for name, path in files.items()}
    alike = [name for name, size in sizes.items() if name in remote and remote[name].size == size]
    same: set[str] = set()
    with console.step(
        f"Comparing {target.kind} {target.id}", sum(sizes[name] for name in alike) or 1, BYTES
    ) as advance:
        for name in alike:
            if _same(files[name], remote[name]):
                same.add(name)
            advance(sizes[name])
    here = [Compared(path=name, state=_state(name, same, remote), bytes=size) for name, size in sizes.items()]
    gone = sorted(remote.keys() - files.keys() - {ATTRIBUTES})
    return (*here, *(Compared(path=name, state="gone", bytes=remote[name].size) for name in gone))


def _state(name: str, same: set[str], remote: Mapping[str, RepoFile]) -> State:
    return "there" if name in same else "changed" if name in remote else "new"


def wrong(compared: tuple[Compared, ...]) -> list[str]:
    """Say for each file that differs after an upload what is wrong with it."""
    words = {"new": "is missing there", "changed": "has another digest", "gone": "is not here"}
    return [f"{file.path} {words[file.state]}" for file in compared if file.state != "there"]


def _same(path: Path, remote: RepoFile) -> bool:
    """Compare with the SHA-256 of a large file, and with git's SHA-1 of an ordinary one."""
    stat = path.stat()
    stamp = stat.st_size, stat.st_mtime_ns
    if remote.lfs:
        return _digest(path, "sha256", stamp) == remote.lfs.sha256
    return _digest(path, "git", stamp) == remote.blob_id


@functools.lru_cache(maxsize=4096)
def _digest(path: Path, kind: Literal["sha256", "git"], stamp: tuple[int, int]) -> str:
    """Read a file once for as long as its stamp, bytes and time of change, stays the same."""
    digest = hashlib.sha256() if kind == "sha256" else hashlib.sha1(b"blob %d\0" % stamp[0], usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()
