"""Where a base model comes from: an alias, a Hub id, a folder, or the demo."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from release.checkpoint.files import Files, Folder
from release.checkpoint.folder import Checkpoint, model_folder, open_checkpoint
from release.contents import left_behind
from release.errors import BadOption, HubUnreachable, UnknownName
from release.progress import Console
from release.schema.record import Licence, Stated
from release.settings.base import Identity
from release.sources import demo
from release.sources.changes import History
from release.sources.identity import gguf_note, require_agreement
from release.sources.provenance import origin_of
from release.sources.stated import stated

if TYPE_CHECKING:
    from release.sources.hub import Snapshot

DEMO = "demo"
ALIASES: Mapping[str, str] = {
    "phi-3.5": "microsoft/Phi-3.5-mini-instruct",
    "mistral-7b": "mistralai/Mistral-7B-Instruct-v0.3",
    "gemma-2-9b": "google/gemma-2-9b-it",
    "smollm2-135m": "HuggingFaceTB/SmolLM2-135M-Instruct",
}
NOTHING = Identity()
"""Is said of most bases."""
HUB_PAGE = re.compile(
    r"https://(?:huggingface\.co|hf\.co)/(?P<id>[\w.-]+/[\w.-]+)(?:/(?:tree|commit)/(?P<revision>[\w./-]+))?/?"
)
"""The address of a model's page, as a browser shows it."""
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


@dataclass(frozen=True)
class BaseModel:
    """A dense model on this disk, and what is known of where it came from.

    Attributes:
        asked: The alias, Hub id or folder name that may be published as what was asked for.
        id: `org/name`, or a folder's name.
        revision: The Hub commit, where there is one.
        note: A sentence that readers must know, or None.
        stated: What the publisher stated of it, since the files did not say: of `id`, `licence` and `note`.
        left: Its files that a release does not carry; see `contents.left_behind`.
        released: Day on which its repository was made, ISO 8601; None for a folder, and where nobody was asked.
    """

    checkpoint: Checkpoint
    asked: str
    id: str
    on_hub: bool
    source: Literal["hub", "demo", "folder"]
    revision: str | None
    note: str | None
    licence: Licence
    languages: tuple[str, ...]
    stated: tuple[Stated, ...] = ()
    left: tuple[str, ...] = ()
    released: str | None = None

    @property
    def slug(self) -> str:
        """The base's part of a repository name: lower case, letters, digits, `.` and `-`."""
        return slug(self.id)


def slug(model_id: str) -> str:
    """Turn the last part of an id into a part of a repository name."""
    return re.sub(r"[-.]{2,}|[^a-z0-9.-]+", "-", model_id.rsplit("/", 1)[-1].lower()).strip("-.") or "model"


def resolve(model: str, console: Console, said: Identity = NOTHING) -> BaseModel:
    """Find a base model and bring it to this disk.

    Args:
        model: An alias, a Hub id `org/name[@revision]`, a folder, or `demo`.
        said: What its publisher states of a folder; of another base it may only say what that says itself.

    Raises:
        BadOption: What is stated contradicts the base.
        UnknownName: It is none of these.
        UnusableBase: It cannot be pruned here.
        HubUnreachable: It has to come from the Hub and nobody answers.
    """
    if model == DEMO:
        return _from_demo(console, said)
    if is_folder(model):
        return _from_folder(Path(model), console, said)
    return _from_hub(hub_id(model), model, console, said)


def is_folder(model: str) -> bool:
    """Whether a base or a release is asked for by its folder; an empty name is none, though to a path it is `.`."""
    return bool(model.strip()) and Path(model).is_dir()


def require_said(model: str, said: Identity, console: Console) -> None:
    """Refuse what contradicts a base, as `resolve` does, as far as that is known before its weights are here.

    Args:
        model: As in `resolve`; the demo has been fetched.

    Raises:
        BadOption: Names the option.
    """
    if said == NOTHING:
        return
    if model == DEMO:
        _require_of_demo(said)
    elif is_folder(model):
        _require_of_folder(said, Path(model), stated(Path(model), console)[0])
    else:
        repo_id = hub_id(model).partition("@")[0]
        require_agreement(said, Identity(id=repo_id), f"{repo_id} on the Hub")


def _require_of_demo(said: Identity) -> None:
    known = Identity(id=demo.HUB_ID, licence=demo.LICENCE.id or "", note=demo.NOTE)
    require_agreement(said, known, "the demo")


def _require_of_folder(said: Identity, folder: Path, licence: Licence) -> None:
    """What a README alone names may be another model's; whoever publishes the folder knows better."""
    known = origin_of(folder)
    require_agreement(said, Identity(licence=licence.id), "the folder's own card")
    require_agreement(said, Identity(id=None if known.note else known.id), "what fetched the folder")


def id_of_folder(folder: Path, said: Identity) -> str:
    """What a base that is a folder is called: the id that is stated or found, or the folder's name."""
    return said.id or origin_of(folder).id or folder.resolve().name


def hub_id(model: str) -> str:
    """Return the `org/name[@revision]` that an alias stands for, or the Hub id itself.

    Raises:
        BadOption: It looks like a path that does not exist.
        UnknownName: It is neither, with the nearest aliases.
    """
    if of_page := HUB_PAGE.fullmatch(model):
        model = of_page["id"] + (f"@{of_page['revision']}" if of_page["revision"] else "")
    name, at, revision = model.partition("@")
    if name in ALIASES:
        return ALIASES[name] + at + revision
    if model.startswith((".", "/", "~")) or model.count("/") > 1:
        raise BadOption(f"There is no folder {model}.", "Check the path.")
    if not HUB_ID.fullmatch(model):
        remedy = "A model is an alias, a Hub id like org/name, or a folder; `release models` lists the aliases."
        raise UnknownName.among("model", model, [DEMO, *ALIASES], remedy)
    return model


def _from_demo(console: Console, said: Identity) -> BaseModel:
    folder = demo.fetch(console)
    _require_of_demo(said)
    checkpoint = open_checkpoint(folder)
    return BaseModel(checkpoint, DEMO, demo.HUB_ID, True, "demo", None, demo.NOTE, demo.LICENCE, demo.LANGUAGES)


def _from_folder(folder: Path, console: Console, said: Identity) -> BaseModel:
    checkpoint = open_checkpoint(folder)
    licence, languages = stated(folder, console)
    _require_of_folder(said, folder, licence)
    known = origin_of(folder)
    on_hub, found = (said.id or known.id) is not None, said.id in (None, known.id)
    notes = (gguf_note(folder), known.note if found else None, said.note)
    own = (
        *(("id",) if said.id and said.id != known.id else ()),
        *(("licence",) if said.licence and licence.id is None else ()),
        *(("note",) if said.note else ()),
    )
    if "licence" in own:
        licence = licence.model_copy(update={"id": said.licence})
    return BaseModel(
        checkpoint,
        folder.resolve().name,
        id_of_folder(folder, said),
        on_hub,
        "folder",
        known.revision if on_hub and (found or known.id is None) else None,
        " ".join(filter(None, notes)) or None,
        licence,
        languages,
        own,
        tuple(left_behind(Folder(folder).sizes, [header.path.name for header in checkpoint.headers])),
    )


def _from_hub(full_id: str, asked: str, console: Console, said: Identity) -> BaseModel:
    repo_id, _, revision = full_id.partition("@")
    found = _hub_folder(repo_id, revision or None, console)
    folder = found.folder
    licence, languages = stated(folder, console)
    note = gguf_note(folder)
    require_agreement(said, Identity(id=repo_id, licence=licence.id or "", note=note or ""), f"{repo_id} on the Hub")
    base = BaseModel(open_checkpoint(folder), asked, repo_id, True, "hub", found.revision, note, licence, languages)
    return replace(base, left=found.left, released=found.released)


def _hub_folder(repo_id: str, revision: str | None, console: Console) -> "Snapshot":
    """Fetch a model, or take the copy fetched before where nobody answers."""
    from release.sources import hub

    try:
        return hub.fetch(repo_id, revision, console)
    except HubUnreachable as error:
        folder = hub.cached(repo_id, revision)
        if folder is None:
            raise
        console.say(f"{error.seen} The copy fetched before is used, commit {folder.name}.")
        return hub.Snapshot(folder, repo_id, folder.name)


def id_of(model: str) -> str | None:
    """Return the Hub id that a model is asked for by; None for a folder. See `resolve`."""
    if model == DEMO:
        return demo.HUB_ID
    return None if is_folder(model) else hub_id(model).partition("@")[0]


def pruned_folder(path_or_repo: str, console: Console) -> Path:
    """Find a release: a folder, or a repository on the Hub, of which all but the weights is brought to this disk.

    Raises:
        UnknownName: It is neither.
        HubUnreachable: It has to come from the Hub and nobody answers.
    """
    if is_folder(path_or_repo):
        return Path(path_or_repo)
    from release.sources import hub

    repo_id, _, revision = hub_id(path_or_repo).partition("@")
    return hub.fetch(repo_id, revision or None, console, "all but weights").folder


def pruned_files(path_or_repo: str, console: Console) -> Files:
    """Find the files of a release or of any pruned model: a folder's, or a repository's on the Hub as it is there now.

    Raises:
        UnknownName: It is neither.
        HubUnreachable: It has to come from the Hub and nobody answers.
    """
    if is_folder(path_or_repo):
        return Folder(model_folder(Path(path_or_repo)))
    from release.sources import remote

    if path_or_repo == DEMO:
        seen = "demo is a base model, and no release."
        raise UnknownName(seen, "Give a release's folder, or a Hub id like org/name.")
    repo_id, _, revision = hub_id(path_or_repo).partition("@")
    return remote.open_repo(repo_id, revision or None, console)


def changed_since(since: str, files: Files) -> History:
    """Ask what changed since a revision in the repository whose files are verified.

    Raises:
        BadOption: The files are a folder's, which has no history, or no revision is named.
        UnknownName: There is no such revision.
        HubFailed: The connection breaks.
    """
    if not since.strip():
        raise BadOption("--since names no revision.", "Give a commit, a tag such as v1, or a branch.")
    from release.sources.history import history
    from release.sources.remote import Repository

    if not isinstance(files, Repository):
        raise BadOption("--since needs a repository on the Hub: a folder has no history.", "Give org/name.")
    return history(files.id, since, files.revision)


def base_files(model: str, console: Console) -> Files:
    """Find the files of a base that is only read: a copy on this disk where there is one, else the Hub's.

    Args:
        model: As in `resolve`.

    Raises:
        UnknownName: It is none of these.
        HubUnreachable: It has to come from the Hub and nobody answers.
    """
    if model == DEMO:
        return Folder(demo.fetch(console))
    if is_folder(model):
        return Folder(Path(model))
    repo_id, _, revision = hub_id(model).partition("@")
    return _base_on_hub(repo_id, revision or None, console)


def _base_on_hub(repo_id: str, revision: str | None, console: Console) -> Files:
    from release.sources import hub, remote

    try:
        repository = remote.open_repo(repo_id, revision, console)
    except HubUnreachable as error:
        folder = hub.cached(repo_id, revision)
        if folder is None:
            raise
        console.say(f"{error.seen} The copy fetched before is used, commit {folder.name}.")
        return Folder(folder)
    folder = hub.cached(repository.id, repository.revision)
    return Folder(folder) if folder else repository


def cached(source: str, model_id: str, revision: str | None) -> Files | None:
    """Find a base that was fetched before, by what a record says of it; no network."""
    if source == "demo":
        folder = demo.cached()
    elif source == "hub":
        from release.sources import hub

        folder = hub.cached(model_id, revision)
    else:
        folder = None
    return Folder(folder) if folder else None
