"""Writes the Space of a release beside its model."""

from pathlib import Path

from release.evals.bbq.examples import examples
from release.progress import Console
from release.release_folder import ReleaseFolder
from release.schema.record import Record
from release.space import build as space


def write_space(
    record: Record,
    folder: ReleaseFolder,
    bbq_data: Path | None,
    console: Console,
    repo_id: str | None = None,
    space_id: str | None = None,
) -> None:
    """Write the Space of a release, for the repositories that the model and it go to where these are known."""
    dense_id = record.base.id if record.base.on_hub else None
    chosen = examples(folder.model, bbq_data, console)
    space.write_folder(record, folder.space, dense_id, repo_id or record.name, chosen, space_id or repo_id)
