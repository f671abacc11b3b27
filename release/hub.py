"""The only module that writes to the Hub: who is logged in, and the upload of a release.

No half release: both repositories are made private, each is filled by one commit, the digests that the Hub lists
are compared with this disk, and only then does anything become visible. The token comes from the Hub client's
own store or from HF_TOKEN, goes to the Hub alone, and stands in no message or record.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants, get_token, hf_hub_url
from huggingface_hub.errors import HFValidationError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils.tqdm import are_progress_bars_disabled

from release import __version__
from release.errors import BadOption, ChecksumMismatch, HubFailed, NotLoggedIn, OutputConflict
from release.progress import Console
from release.record import FILE_NAME as RECORD
from release.record import Frozen
from release.sources.contact import CLIENT_ERRORS, explained, first_contact, patience, quietly, refusal

ATTRIBUTES = ".gitattributes"
OF_A_NEW_REPO = {ATTRIBUTES, "README.md", "LICENSE"}
PIECE = 1 << 20
WAYS_OUT = "Log in with `hf auth login` (or set HF_TOKEN), or build without uploading: `--local`."


class Account(Frozen):
    """Who is logged in.

    Attributes:
        orgs: Organisations this account may write to.
        can_write: Whether the token allows to write at all.
    """

    name: str
    orgs: tuple[str, ...]
    can_write: bool


class Pushed(Frozen):
    """What lies on the Hub after an upload.

    Attributes:
        changed: Whether this upload changed anything there.
        files: Number of files in both repositories that came from here.
        bytes: Their size.
    """

    model_url: str
    model_commit: str
    space_url: str | None
    space_commit: str | None
    changed: bool
    files: int
    bytes: int


@dataclass(frozen=True)
class _Repo:
    """One repository on its way: the folder it shall equal, and how it was found."""

    kind: Literal["model", "space"]
    id: str
    folder: Path
    head: str
    public: bool
    remote: Mapping[str, RepoFile]

    @property
    def url(self) -> str:
        return _url(self.kind, self.id)

    def files(self) -> dict[str, Path]:
        """What is uploaded: nothing hidden and nothing that running the app left, for none of it was audited."""
        found = (path.relative_to(self.folder) for path in sorted(self.folder.rglob("*")) if path.is_file())
        wanted = (path for path in found if not any(part.startswith((".", "__pycache__")) for part in path.parts))
        return {path.as_posix(): self.folder / path for path in wanted}

    def size(self) -> int:
        return sum(path.stat().st_size for path in self.files().values())


def login(needed_for: str | None = None) -> Account:
    """Ask the Hub whose token lies here.

    Args:
        needed_for: What the login is for, to say so in the message.

    Raises:
        NotLoggedIn: There is no token, or the Hub refuses it.
        HubUnreachable: Nobody answers within 15 seconds.
    """
    token = get_token()
    if token is None:
        raise NotLoggedIn(f"You are not logged in to the Hub{_purpose(needed_for)}.", WAYS_OUT)
    if not re.fullmatch(r"[!-~]+", token):
        raise NotLoggedIn("The token holds characters that no token has.", WAYS_OUT)
    with explained("your account"):
        facts = first_contact(HfApi().whoami)
    orgs = (org["name"] for org in facts.get("orgs", ()) if org.get("roleInOrg") != "read")
    return Account(name=str(facts["name"]), orgs=tuple(orgs), can_write=_may_write(facts))


def check_namespace(account: Account, namespace: str | None) -> str:
    """Return the namespace to upload to: the account's own by default.

    Raises:
        NotLoggedIn: The token may only read.
        BadOption: The namespace is somebody else's.
    """
    usable = (account.name, *account.orgs)
    if not account.can_write:
        raise NotLoggedIn(f"The token of {account.name} may only read.", f"Use one that may write. {WAYS_OUT}")
    if namespace is not None and namespace not in usable:
        raise BadOption(f"{account.name} may not write to {namespace!r}.", f"Use --to with {' or '.join(usable)}.")
    return namespace or account.name


def check_names(*repo_ids: str) -> None:
    """Check repository ids against the Hub's rules.

    Raises:
        BadOption: One breaks them.
    """
    for repo_id in repo_ids:
        try:
            hf_hub_url(repo_id, RECORD)
        except HFValidationError as error:
            raise BadOption(str(error), "Choose another name for the release.") from error
        if "/" not in repo_id:
            raise BadOption(f"{repo_id!r} lacks its namespace.", "Give owner/name.")


def push(
    model_folder: Path,
    space_folder: Path | None,
    model_id: str,
    space_id: str | None,
    console: Console,
    private: bool = False,
) -> Pushed:
    """Upload a release: make both repositories, fill each by one commit, compare, and only then show them.

    A rerun after success changes nothing; a rerun after a failure goes on where it stopped.

    Raises:
        HubFailed: The Hub refuses, or the connection breaks; says what can be seen by others.
        ChecksumMismatch: The Hub lists other digests than those of the files here.
        OutputConflict: The model repository holds something that is no release, or a repository is public that
            shall be private.
    """
    seen: list[str] = []
    patience()
    with quietly(console):
        repos = [_make("model", model_id, model_folder, seen)]
        if space_folder is not None and space_id is not None:
            repos.append(_make("space", space_id, space_folder, seen))
        _refuse_foreign(repos[0])
        if private:
            _refuse_public(repos)
        commits = [_fill(repo, console, seen) for repo in repos]
        shown = [repo for repo in repos if not private and _show(repo, seen)]
    changed = bool(shown) or commits != [repo.head for repo in repos]
    if not changed:
        console.say("The Hub holds exactly these files already; nothing was changed.")
    return _pushed(repos, commits, changed)


def _pushed(repos: list[_Repo], commits: list[str], changed: bool) -> Pushed:
    model, space = repos[0], repos[1] if len(repos) > 1 else None
    return Pushed(
        model_url=model.url,
        model_commit=commits[0],
        space_url=space.url if space else None,
        space_commit=commits[1] if space else None,
        changed=changed,
        files=sum(len(repo.files()) for repo in repos),
        bytes=sum(repo.size() for repo in repos),
    )


def _make(kind: Literal["model", "space"], repo_id: str, folder: Path, seen: list[str]) -> _Repo:
    """Create the repository, private, where there is none; an existing one keeps its visibility."""
    api = HfApi()
    with _at_work(kind, repo_id, seen):
        sdk = "gradio" if kind == "space" else None
        api.create_repo(repo_id, repo_type=kind, private=True, exist_ok=True, space_sdk=sdk)
        info = api.repo_info(repo_id, repo_type=kind)
    head, public = str(info.sha), not info.private
    return _Repo(kind, repo_id, folder, head, public, _listed(kind, repo_id, head, seen))


def _refuse_foreign(repo: _Repo) -> None:
    """Refuse to replace a model that is no release of this tool."""
    strangers = sorted(repo.remote.keys() - OF_A_NEW_REPO)
    if strangers and RECORD not in strangers:
        raise OutputConflict(
            f"{repo.url} holds a model that was not released with this tool ({strangers[0]}).",
            "Upload to another namespace with --to, or move that repository away.",
        )


def _refuse_public(repos: list[_Repo]) -> None:
    """Refuse to put into a public repository what was to stay private."""
    for repo in repos:
        if repo.public:
            remedy = "Make it private in its settings on the Hub, or leave out --private."
            raise OutputConflict(f"{repo.url} is public, and this upload is to be private.", remedy)


def _fill(repo: _Repo, console: Console, seen: list[str]) -> str:
    """Make the repository equal the folder, by one commit or by none, and return the commit it is at."""
    if not _differences(repo, repo.remote, console):
        return repo.head
    commit = _commit(repo, console, seen)
    if wrong := _differences(repo, _listed(repo.kind, repo.id, commit, seen), console):
        raise ChecksumMismatch(
            f"After the upload {repo.url} differs from {repo.folder.name}/: {'; '.join(wrong)}. {_visible(seen)}",
            "Run the same command again; it sends what is not right.",
        )
    return commit


def _commit(repo: _Repo, console: Console, seen: list[str]) -> str:
    files = repo.files()
    operations: list[Any] = [CommitOperationAdd(name, path) for name, path in files.items()]
    gone = sorted(repo.remote.keys() - files.keys() - {ATTRIBUTES})
    operations += [CommitOperationDelete(name, is_folder=False) for name in gone]
    message = f"Upload by release {__version__}"
    with _at_work(repo.kind, repo.id, seen), _uploading(repo, console):
        made = HfApi().create_commit(
            repo.id, operations, commit_message=message, repo_type=repo.kind, parent_commit=repo.head
        )
    if repo.public:
        seen.append(f"{repo.url}, which was public before, shows the new commit")
    return str(made.oid)


def _listed(kind: str, repo_id: str, commit: str, seen: list[str]) -> dict[str, RepoFile]:
    with _at_work(kind, repo_id, seen):
        tree = HfApi().list_repo_tree(repo_id, recursive=True, revision=commit, repo_type=kind)
        return {item.path: item for item in tree if isinstance(item, RepoFile)}


def _differences(repo: _Repo, remote: Mapping[str, RepoFile], console: Console) -> list[str]:
    """Say for each file that is not the same on both sides what is wrong with it; digests only where names agree."""
    files = repo.files()
    wrong = [f"{name} is missing there" for name in files.keys() - remote.keys()]
    wrong += [f"{name} is not here" for name in remote.keys() - files.keys() - {ATTRIBUTES}]
    if wrong:
        return sorted(wrong)
    with console.step(f"Comparing {repo.kind} {repo.id}", repo.size()) as advance:
        for name, path in files.items():
            if not _same(path, remote[name]):
                wrong.append(f"{name} has another digest")
            advance(path.stat().st_size)
    return wrong


def _same(path: Path, remote: RepoFile) -> bool:
    """Compare with the SHA-256 of a large file, and with git's SHA-1 of an ordinary one."""
    size = path.stat().st_size
    if size != remote.size:
        return False
    digest = hashlib.sha256() if remote.lfs else hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest() == (remote.lfs.sha256 if remote.lfs else remote.blob_id)


def _show(repo: _Repo, seen: list[str]) -> bool:
    """Make the repository public; False where it was."""
    if repo.public:
        return False
    with _at_work(repo.kind, repo.id, seen):
        HfApi().update_repo_settings(repo.id, repo_type=repo.kind, visibility="public")
    seen.append(f"{repo.url} is public")
    return True


@contextmanager
def _at_work(kind: str, repo_id: str, seen: list[str]) -> Iterator[None]:
    """Turn what goes wrong into `HubFailed`, which says what others can see by now."""
    try:
        yield
    except (*CLIENT_ERRORS, ValueError) as error:
        said, remedy = refusal(error, kind, repo_id, _url(kind, repo_id))
        raise HubFailed(f"{said} {_visible(seen)}", remedy) from error


@contextmanager
def _uploading(repo: _Repo, console: Console) -> Iterator[None]:
    """Show the upload: on a terminal the client's own bars, which alone know the bytes inside a file."""
    text = f"Uploading {repo.kind} {repo.id}, {len(repo.files())} files, {repo.size() / 1e6:,.1f} MB"
    if not are_progress_bars_disabled():
        console.say(text)
        yield
        return
    with console.step(text, 1) as advance:
        yield
        advance(1)


def _url(kind: str, repo_id: str) -> str:
    return f"{constants.ENDPOINT}/{'' if kind == 'model' else kind + 's/'}{repo_id}"


def _visible(seen: list[str]) -> str:
    return f"Visible to others by now: {'; '.join(seen)}." if seen else "Nothing new became visible to others."


def _purpose(needed_for: str | None) -> str:
    return f", which {needed_for} needs" if needed_for else ""


def _may_write(facts: Mapping[str, Any]) -> bool:
    """Read a token's role; a fine-grained one may write where any of its scopes says so."""
    token = facts.get("auth", {}).get("accessToken", {})
    if token.get("role") != "fineGrained":
        return bool(token.get("role") != "read")
    return '"repo.write"' in json.dumps(token.get("fineGrained", {}))
