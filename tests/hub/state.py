"""Repositories on disk: a manifest per commit, a blob per content.

blobs/<sha256>                              every file's bytes, once
repos/models/<owner>/<name>/repo.json       who may see it, and where the branches and tags point
repos/models/<owner>/<name>/<commit>.json   one commit: its parent, its words, and path -> entry
"""

import functools
import hashlib
import json
import shutil
import threading
import uuid
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.hub.wire import PIECE, Refused
from tests.hub.xet import Cas

if TYPE_CHECKING:
    from tests.hub.spaces import End

ATTRIBUTES = "*.safetensors filter=lfs diff=lfs merge=lfs -text\n*.parquet filter=lfs diff=lfs merge=lfs -text\n"


@dataclass(frozen=True)
class Account:
    """Somebody with a token.

    `role` is the token's: write, read, or fineGrained, which has its `scopes` for the account itself, and `grants` for
    organisations and single repositories by their names.
    """

    name: str
    token: str
    orgs: tuple[str, ...] = ()
    role: str = "write"
    scopes: tuple[str, ...] = ()
    grants: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def scoped(self) -> dict[str, tuple[str, ...]]:
        """Whom and what a fine-grained token has rights for, and which."""
        return {name: rights for name, rights in ((self.name, self.scopes), *self.grants) if rights}

    def writes(self, repo_id: str) -> bool:
        rights = self.scoped()
        granted = (*rights.get(repo_id, ()), *rights.get(repo_id.split("/")[0], ()))
        return self.role == "write" or "repo.write" in granted

    def owns(self, repo_id: str) -> bool:
        return repo_id.split("/")[0] in (self.name, *self.orgs)


@dataclass(frozen=True)
class Entry:
    """One file of a commit: which blob it is, and whether git holds only a pointer to it."""

    sha256: str
    size: int
    lfs: bool


@dataclass(frozen=True)
class Commit:
    """A manifest; `sha` is the SHA-1 of the rest."""

    sha: str
    parent: str | None
    title: str
    message: str
    date: str
    files: dict[str, Entry]
    author: str = "system"


@dataclass(frozen=True)
class Pull:
    """A pull request: the commit it proposes, and whether it is open, closed or merged."""

    number: int
    commit: str
    title: str
    author: str
    created: str
    status: str = "open"

    def become(self, status: str) -> "Pull":
        return replace(self, status=status)


@dataclass
class Repo:
    """A repository: `kind` is models, datasets or spaces. Branches, tags and pull requests are names of commits.

    `talks` are its discussions, as they are told.

    What follows them is a Space's: what it runs on, how often and since when it was looked at after the last commit or
    restart, its variables, the names of its secrets, the seconds after which it sleeps, whether it was restarted after
    that commit, and whether it is paused.
    """

    folder: Path
    kind: str
    id: str
    private: bool = False
    gated: bool | str = False
    sdk: str | None = None
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    pulls: list[Pull] = field(default_factory=list)
    talks: list[dict[str, Any]] = field(default_factory=list)
    hardware: str = "cpu-basic"
    looks: int = 0
    began: float | None = None
    variables: dict[str, str] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)
    sleep_time: int = 172800
    woken: bool = False
    paused: bool = False

    def __post_init__(self) -> None:
        self.pulls = [Pull(**pull) if isinstance(pull, dict) else pull for pull in self.pulls]

    def next_number(self) -> int:
        """Return the number of the next discussion or pull request."""
        return len(self.pulls) + len(self.talks) + 1

    def begin_anew(self) -> None:
        """Have a Space built once more."""
        self.looks, self.began = 0, None

    def pull_refs(self) -> dict[str, str]:
        """Return the commit of every pull request, by its name."""
        return {f"refs/pr/{pull.number}": pull.commit for pull in self.pulls}

    def save(self) -> None:
        facts = {key: value for key, value in asdict(self).items() if key not in ("folder", "kind", "id")}
        write_json(self.folder / "repo.json", facts)

    def resolve(self, revision: str) -> Commit:
        """Return the commit that a branch, a tag, a pull request or a full SHA-1 names."""
        names = {**self.branches, **self.tags, **self.pull_refs()}
        path = self.folder / f"{names.get(revision, revision).replace('/', '_')}.json"
        if not path.is_file() or path.stem == "repo":
            raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        raw = json.loads(path.read_text())
        files = {name: Entry(**entry) for name, entry in raw.pop("files").items()}
        return Commit(sha=path.stem, files=files, **raw)

    def record(
        self, parent: str | None, title: str, message: str, files: dict[str, Entry], author: str = "system"
    ) -> str:
        """Write a manifest and return its name; no branch points to it yet."""
        facts = {
            "parent": parent,
            "title": title,
            "message": message,
            "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "author": author,
            "files": {name: asdict(entry) for name, entry in sorted(files.items())},
        }
        sha = hashlib.sha1(json.dumps(facts).encode()).hexdigest()
        write_json(self.folder / f"{sha}.json", facts)
        return sha


@dataclass
class Site:
    """What a test may set about the Hub as a whole.

    Attributes:
        free: Whether accounts are free ones, which may make Gradio Spaces on ZeroGPU only.
        part: Bytes above which a large file comes in parts, of that size.
        page: Entries on one page of a listing.
        resource_group: The one that every new repository must be in; None where that is not demanded.
        ends: Space → how its build ends, where its files do not say.
        hosts: Space → address of an app that really runs; None where the Hub names no address.
        looks: How long a build takes, as a phase counts.
        clock: Seconds by which Spaces live; without one, a second passes at every look.
        images: Image of a Job → folder with the programs that it has.
        limits: Kind of request, see `limits` → how many there may be, in how many seconds.
    """

    free: bool = False
    part: int = 5 << 30
    page: int = 1000
    resource_group: str | None = None
    ends: "dict[str, End]" = field(default_factory=dict)
    hosts: dict[str, str | None] = field(default_factory=dict)
    looks: float = 1
    clock: Callable[[], float] | None = None
    images: dict[str, Path] = field(default_factory=dict)
    limits: dict[str, tuple[int, float]] = field(default_factory=dict)


class Store:
    """All repositories and blobs under one folder; safe for the server's threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.RLock()
        (folder / "blobs").mkdir(parents=True, exist_ok=True)

    def repo(self, kind: str, repo_id: str) -> Repo | None:
        folder = self.folder / "repos" / kind / repo_id
        if not (folder / "repo.json").is_file():
            return None
        return Repo(folder, kind, repo_id, **json.loads((folder / "repo.json").read_text()))

    def leads_to(self, kind: str, repo_id: str) -> str | None:
        """Return the name that an old name, or one in other case, leads on to; None where it leads nowhere."""
        moved = self.moved()
        while f"{kind}/{repo_id}" in moved:
            repo_id = moved[f"{kind}/{repo_id}"]
        if self.repo(kind, repo_id):
            return repo_id
        known = (path.parent for path in (self.folder / "repos" / kind).glob("*/*/repo.json"))
        names = (f"{folder.parent.name}/{folder.name}" for folder in known)
        return next((name for name in names if name.lower() == repo_id.lower()), None)

    def moved(self) -> dict[str, str]:
        """Return the old names of repositories that were renamed or moved, kind/owner/name, and their new ones."""
        path = self.folder / "moved.json"
        found: dict[str, str] = json.loads(path.read_text()) if path.is_file() else {}
        return found

    def remember_moves(self, moved: dict[str, str]) -> None:
        write_json(self.folder / "moved.json", moved)

    def repos(self, kind: str, owner: str) -> list[Repo]:
        """Return all repositories of one owner."""
        names = sorted(path.parent.name for path in (self.folder / "repos" / kind / owner).glob("*/repo.json"))
        return [repo for name in names if (repo := self.repo(kind, f"{owner}/{name}"))]

    def create(self, kind: str, repo_id: str, private: bool, sdk: str | None, hardware: str = "cpu-basic") -> Repo:
        """Make a repository with the Hub's own first commit."""
        folder = self.folder / "repos" / kind / repo_id
        folder.mkdir(parents=True)
        repo = Repo(folder, kind, repo_id, private, sdk=sdk, hardware=hardware)
        files = {".gitattributes": self.keep([ATTRIBUTES.encode()])}
        if sdk is not None:
            files["README.md"] = self.keep([f"---\ntitle: {folder.name}\nsdk: {sdk}\n---\n".encode()])
        repo.branches["main"] = repo.record(None, "initial commit", "", files)
        repo.save()
        return repo

    def blob(self, sha256: str) -> Path:
        return self.folder / "blobs" / sha256

    def keep(self, pieces: Iterable[bytes], lfs: bool = False) -> Entry:
        """Write a content, piece by piece, under the name of its digest."""
        digest, size = hashlib.sha256(), 0
        path = self.folder / f"arriving-{uuid.uuid4().hex}"
        with path.open("wb") as file:
            for piece in pieces:
                file.write(piece)
                digest.update(piece)
                size += len(piece)
        path.replace(self.blob(digest.hexdigest()))
        return Entry(digest.hexdigest(), size, lfs)

    def cas(self, repo: Repo) -> Cas:
        """Return the repository's Xet storage."""
        return Cas(self.folder / "xet" / repo.kind / repo.id)

    def arrived(self, repo: Repo, sha256: str) -> Path | None:
        """Return the blob, built from what came by Xet where it did not come by LFS; None where it never came."""
        path = self.blob(sha256)
        if not path.is_file():
            built = self.cas(repo).rebuild(sha256, self.folder / f"arriving-{uuid.uuid4().hex}")
            if built is None or digests(built)[0] != sha256:
                return None
            shutil.move(built, path)
        return path

    def lying(self, entry: Entry) -> Entry:
        """Return the entry as the bytes on disk are, which a test may have altered since the commit."""
        path = self.blob(entry.sha256)
        return replace(entry, sha256=digests(path)[0], size=path.stat().st_size)

    def oid(self, entry: Entry) -> str:
        """Return the SHA-1 that git gives the file, or the pointer that stands for it."""
        if entry.lfs:
            return git_sha1(pointer(self.lying(entry)))
        return digests(self.blob(entry.sha256))[1]


def digests(path: Path) -> tuple[str, str]:
    """Return SHA-256 and git's SHA-1 of a file's bytes as they are now."""
    stat = path.stat()
    return _digests(path, stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=4096)
def _digests(path: Path, mtime_ns: int, size: int) -> tuple[str, str]:
    sha256, git = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % size)
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            sha256.update(piece)
            git.update(piece)
    return sha256.hexdigest(), git.hexdigest()


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def pointer(entry: Entry) -> bytes:
    """Return the text that git holds in place of a large file."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{entry.sha256}\nsize {entry.size}\n".encode()


def write_json(path: Path, value: dict[str, Any]) -> None:
    new = path.with_suffix(".new")
    new.write_text(json.dumps(value, indent=1))
    new.replace(path)
