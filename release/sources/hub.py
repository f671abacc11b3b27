"""A base model on the Hub: which commit it is, which files count, and fetching just those.

Nothing here writes to the Hub. `inspect` asks, `headers` reads the tensors' names and shapes without the weights,
`fetch` downloads, `cached` looks at what was downloaded before and never at the network.
"""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from huggingface_hub import HfApi, constants, get_cached_repo_tree, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    CachedRepoTreeNotFoundError,
    HFValidationError,
    LocalEntryNotFoundError,
    SafetensorsParsingError,
)
from huggingface_hub.file_download import repo_folder_name

from release.checkpoint.folder import CONFIG, is_side_file, settings_of
from release.checkpoint.forms import refuse_embeddings, refuse_other_form, refuse_packed
from release.checkpoint.loading import INDEX, SINGLE, weight_names
from release.contents import left_behind
from release.errors import UnusableBase
from release.files import SNAPSHOTS
from release.names import RECORD
from release.progress import BYTES, Console
from release.schema.record import CARD
from release.sources.bars import meter
from release.sources.contact import FIRST_WAIT, broken_off, explained, first_contact, quietly

NOT_OURS = {".gitattributes"}
"""What the Hub itself puts into every repository."""

Parts = Literal["model", "all", "all but weights"]

SNAPSHOT_BAR = "huggingface_hub.snapshot_download"
"""The client's bar of bytes on disk; it has others for files and for bytes from the network."""

WORKERS = 8


@dataclass(frozen=True)
class HubInfo:
    """What the Hub says about a model, pinned to one commit.

    Attributes:
        id: `org/name`, as the Hub spells it today.
        revision: The commit's SHA-1, 40 hexadecimal digits.
        weights: The safetensors files that make up the model, in order of name.
        files: Bytes of every file that would be fetched, the weights among them.
        left: Files of the model that a release does not carry; see `contents.left_behind`.
        released: Day on which the repository was made, ISO 8601; None where the Hub does not say.
    """

    id: str
    revision: str
    weights: tuple[str, ...]
    files: Mapping[str, int]
    left: tuple[str, ...] = ()
    released: str | None = None

    @property
    def bytes(self) -> int:
        """Return the size of everything that would be fetched, in bytes."""
        return sum(self.files.values())


@dataclass(frozen=True)
class Snapshot:
    """A model as it lies in the local cache: the folder, the commit it is, and what of the repository is not there.

    Attributes:
        released: As in `HubInfo`.
    """

    folder: Path
    id: str
    revision: str
    left: tuple[str, ...] = ()
    released: str | None = None


@dataclass(frozen=True)
class Headers:
    """The tensors of a model whose weights were not fetched.

    Attributes:
        folder: Holds config.json.
        tensors: Name -> (stored type such as "BF16", shape).
    """

    folder: Path
    info: HubInfo
    tensors: Mapping[str, tuple[str, tuple[int, ...]]]


def inspect(repo_id: str, revision: str | None, parts: Parts = "model") -> HubInfo:
    """Ask the Hub which commit `revision` is (default: main) and which of its files make up the model.

    Args:
        parts: Of a release made by this tool, what to count: the model alone, every file, or all but the weights.

    Raises:
        HubUnreachable: Nobody answers within 15 seconds, or HF_HUB_OFFLINE is set.
        UnknownName: The model or the revision is missing, or not yours to see.
        UnusableBase: It is gated, or has no safetensors weights.
    """
    with explained(repo_id, revision):
        info = first_contact(
            lambda: HfApi().model_info(repo_id, revision=revision, files_metadata=True, timeout=FIRST_WAIT)
        )
        sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
        if CONFIG not in sizes:
            if not {SINGLE, INDEX} & sizes.keys():
                refuse_other_form(info.id, sizes)
            raise UnusableBase(f"{info.id} has no {CONFIG}.", "Name a model of the transformers library.")
        if parts == "model":
            refuse_embeddings(info.id, sizes)
        # By its name, so that the cache remembers which commit the name meant; a gate shows here first.
        config = _small(info.id, CONFIG, revision)
        index = _small(info.id, INDEX, info.sha) if INDEX in sizes else None
    bare = parts != "model" and RECORD in sizes and not {SINGLE, INDEX} & sizes.keys()
    weights = () if bare else _weights(info.id, sizes, config, index)
    wanted = {*_kept(sizes), *weights} if parts == "model" or RECORD not in sizes else sizes.keys() - NOT_OURS
    if parts == "all but weights":
        wanted = wanted - set(weights)
    files = {name: sizes[name] for name in sorted(wanted)}
    released = info.created_at.date().isoformat() if info.created_at else None
    left = tuple(left_behind(sizes, weights))
    return HubInfo(info.id, str(info.sha), weights, MappingProxyType(files), left, released)


def fetch(repo_id: str, revision: str | None, console: Console, parts: Parts = "model") -> Snapshot:
    """Download the files that make up the model into the Hub's own cache.

    Args:
        parts: As in `inspect`.

    Raises:
        HubFailed: The download broke off; a rerun goes on where it stopped.
        DiskFull: The cache's disk has no room for it.
        ReleaseError: As `inspect`.
    """
    info = inspect(repo_id, revision, parts)
    step = console.step(f"Fetching {info.id}", info.bytes, BYTES)
    with explained(info.id, revision, broken_off), quietly(console), step as advance:
        folder = snapshot_download(
            info.id,
            revision=info.revision,
            allow_patterns=list(info.files),
            tqdm_class=meter(advance, lambda bar: bar == SNAPSHOT_BAR),
            max_workers=WORKERS,
        )
    return Snapshot(Path(folder), info.id, info.revision, info.left, info.released)


def lay(folder: Path, repo_id: str, revision: str, console: Console) -> None:
    """Let a folder that holds a model as it is at a commit, such as a mounted volume, stand for its download.

    `fetch` then fetches nothing of this commit. Where the folder holds no model this is said, and `fetch` does as ever.

    Args:
        revision: The commit's SHA-1.
    """
    snapshots = Path(constants.HF_HUB_CACHE, repo_folder_name(repo_id=repo_id, repo_type="model"), SNAPSHOTS)
    if not (folder / CONFIG).is_file():
        console.say(f"{repo_id} is not mounted here; it is fetched.")
    elif not (snapshots / revision).exists():
        snapshots.mkdir(parents=True, exist_ok=True)
        (snapshots / revision).symlink_to(folder, target_is_directory=True)


def headers(repo_id: str, revision: str | None) -> Headers:
    """Read config.json and the tensors' names, types and shapes by range requests, without the weights.

    Raises:
        ReleaseError: As `inspect`.
        UnusableBase: A weight file is no safetensors file, or holds packed weights.
    """
    info = inspect(repo_id, revision)

    def tensors_of(name: str) -> dict[str, tuple[str, tuple[int, ...]]]:
        found = HfApi().parse_safetensors_file_metadata(info.id, name, revision=info.revision)
        return {tensor: (it.dtype, tuple(it.shape)) for tensor, it in found.tensors.items()}

    try:
        with explained(info.id, revision), ThreadPoolExecutor(WORKERS) as pool:
            folder = _small(info.id, CONFIG, info.revision).parent
            found = dict(item for part in pool.map(tensors_of, info.weights) for item in part.items())
    except SafetensorsParsingError as error:
        raise UnusableBase(f"{info.id}: {error}", "Name a model whose weights are whole.") from error
    refuse_packed(found)
    return Headers(folder, info, MappingProxyType(found))


def digests(repo_id: str, revision: str | None) -> Mapping[str, str]:
    """Ask the Hub for the SHA-256 that it states of a model's large files, by name.

    Raises:
        HubUnreachable: Nobody answers within 15 seconds, or HF_HUB_OFFLINE is set.
        UnknownName: The model or the revision is missing, or not yours to see.
    """
    with explained(repo_id, revision):
        info = first_contact(
            lambda: HfApi().model_info(repo_id, revision=revision, files_metadata=True, timeout=FIRST_WAIT)
        )
    return {file.rfilename: file.lfs.sha256 for file in info.siblings or () if file.lfs}


def cached(repo_id: str, revision: str | None) -> Path | None:
    """Return the folder of an earlier download where it is whole; None otherwise. Asks nobody."""
    try:
        names = [file.path for file in get_cached_repo_tree(repo_id, revision=revision)]
        kept = sorted(_kept(names))
        folder = Path(snapshot_download(repo_id, revision=revision, allow_patterns=kept, local_files_only=True))
        weights = _weights(repo_id, names, folder / CONFIG, folder / INDEX if INDEX in names else None)
    except (CachedRepoTreeNotFoundError, LocalEntryNotFoundError, HFValidationError, UnusableBase, OSError):
        return None
    return folder if all((folder / name).is_file() for name in {*kept, *weights} - {CARD}) else None


def _small(repo_id: str, name: str, revision: str | None) -> Path:
    return Path(hf_hub_download(repo_id, name, revision=revision, tqdm_class=meter(lambda _: None)))


def _kept(names: Iterable[str]) -> set[str]:
    """What is fetched beside the weights."""
    return {name for name in names if name in (CONFIG, INDEX, CARD) or is_side_file(name)}


def _weights(repo_id: str, names: Iterable[str], config: Path, index: Path | None) -> tuple[str, ...]:
    settings = settings_of(CONFIG, config.read_bytes())
    return tuple(weight_names(repo_id, set(names), settings, index.read_bytes() if index else None))
