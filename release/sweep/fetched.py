"""What a Hub Job pushed, brought here: fetched, compared with what was asked for, and laid down whole."""

from pathlib import Path

from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError

from release import files
from release.digests import sha256_file
from release.hub.client import HubClient
from release.hub.faults import FAULTS
from release.pruning.recipe import Recipe
from release.schema.record import FILE_NAME, Record
from release.settings.words import nameless
from release.sources.bars import meter
from release.sources.contact import named
from release.sweep.grid import GridCell

NOT_TO_BE_FETCHED = (".cache", ".gitattributes")


class _Other(Exception):
    """What lies there is not what was asked for; its words continue a sentence."""


def fetch_release(client: HubClient, repo_id: str, cell: GridCell, target: Path) -> str | None:
    """Bring the release of a cell here, where its repository holds one; what lay here before makes way for it.

    Args:
        target: Its model folder.

    Returns:
        None where it lies here now; else what is wrong with the repository, as the end of a sentence.

    Raises:
        OutputConflict: Another run is at work there.
    """
    try:
        with files.locked(target.parent / "work"), files.replacing_folder(target) as folder:
            _fetch(client, repo_id, cell, folder)
    except _Other as why:
        return str(why)
    return None


def _fetch(client: HubClient, repo_id: str, cell: GridCell, folder: Path) -> None:
    """Fetch the record, and all else once that is the one that was asked for."""
    api, silent = client.api, meter(lambda _: None)
    try:
        client.ask(lambda: api.hf_hub_download(repo_id, FILE_NAME, local_dir=folder, tqdm_class=silent))
        record = _require_asked(folder, cell)
        client.ask(lambda: api.snapshot_download(repo_id, local_dir=folder, tqdm_class=silent))
    except (RepositoryNotFoundError, EntryNotFoundError):
        raise _Other("holds no release") from None
    except FAULTS as error:
        raise _Other(f"cannot be fetched ({named(error)})") from None
    for name in NOT_TO_BE_FETCHED:
        files.remove(folder / name)
    wrong = [file.name for file in record.audit.files if _sha256(folder / file.name) != file.sha256]
    if wrong:
        raise _Other(f"holds other weights than its record says ({', '.join(wrong)})")


def _require_asked(folder: Path, cell: GridCell) -> Record:
    record = files.recall(folder / FILE_NAME, Record.model_validate_json)
    if record is None:
        raise _Other("holds no record that can be read")
    if Recipe.recorded(record.pruning) != cell.plan.recipe:
        raise _Other("was made by another recipe")
    if record.plan.measuring != nameless(cell.plan.measuring):
        raise _Other("was measured otherwise than is asked for")
    return record


def _sha256(path: Path) -> str | None:
    return sha256_file(path) if path.is_file() else None
