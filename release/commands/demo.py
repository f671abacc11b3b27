"""`release demo`: the Space of a release on this machine."""

from pathlib import Path

from release import local_space
from release.checkpoint.folder import model_folder
from release.progress import Console
from release.schema.record import Record
from release.sources.base import resolve
from release.verification.verify import required_record


def run_space(releases: list[Path], base: str | None, console: Console) -> None:
    """Run the Space of one or more releases of the same base on this machine, until interrupted."""
    records = [required_record(model_folder(release)) for release in releases]
    dense = resolve(base or _base_of(records[0]), console).checkpoint.folder
    local_space.run(releases, dense, console)


def _base_of(record: Record) -> str:
    if record.base.source == "demo":
        return "demo"
    return f"{record.base.id}@{record.base.revision}" if record.base.revision else record.base.id
