"""`release report`: releases beside each other, each read again and held against what its card says."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from release.comparison.rows import ComparedRelease
from release.comparison.write import write_comparison
from release.errors import BadOption, ReleaseError
from release.progress import Console
from release.schema.record import Check
from release.sources.base import pruned_files
from release.verification.inspection import read_record
from release.verification.verify import verify

TITLE = "Releases beside each other"


def report_on(names: Sequence[str], out: Path, console: Console) -> list[ComparedRelease]:
    """Compare releases, and any other pruned models, in folders or on the Hub; write the report into a folder.

    Raises:
        BadOption: A release is named twice.
    """
    if len(set(names)) < len(names):
        raise BadOption("A release is named twice.", "Name each once.")
    releases = _told_apart(names, [_read(name, console) for name in names])
    write_comparison(releases, out, TITLE)
    return releases


def _read(name: str, console: Console) -> ComparedRelease:
    """Read one; of one that cannot be read, the report says why, and the others are read all the same."""
    console.say(f"{name}:")
    try:
        files = pruned_files(name, console)
        found, record = verify(files, None, console), read_record(files)
    except ReleaseError as error:
        return ComparedRelease(name, None, None, None, (Check(name="can be read", ok=False, detail=error.seen),))
    target = None if found.target_sparsity is None else float(found.target_sparsity)
    return ComparedRelease(record.name if record else name, record, found.actual_sparsity, target, found.checks)


def _told_apart(asked: Sequence[str], releases: Sequence[ComparedRelease]) -> list[ComparedRelease]:
    """Call releases of one name as they were asked for."""
    count = Counter(release.name for release in releases)
    return [
        release if count[release.name] == 1 else replace(release, name=name)
        for name, release in zip(asked, releases, strict=True)
    ]
