"""`release cache`: what was fetched and measured before, kept so that it is not fetched and measured again."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from release import files
from release.errors import UnknownName
from release.frozen import Frozen
from release.sources.cache import cache_folder

WHAT: Mapping[str, str] = {
    "bbq": "questions of BBQ, out of a Python package",
    "classes": "what model classes said of bases",
    "demo": "the demo model, unpacked",
    "digests": "SHA-256 of bases, for as long as their files stay as they are",
    "limits": "how many requests this machine has made of the Hub",
    "readings.sqlite": "answers and losses of models that were read before",
    "reports": "reports of what nobody foresaw",
    "templates": "templates of cards, compiled",
    "wikipedia": "text for perplexity and calibration",
}
"""What is known of a part by its name."""


class CachePart(Frozen):
    """One part of the cache.

    Attributes:
        bytes: Of all its files.
        what: What it holds; empty where its name says it.
    """

    name: str
    bytes: int
    what: str = ""


def parts() -> list[CachePart]:
    """Return what the cache holds, by name."""
    return [
        CachePart(name=name, bytes=sum(map(_size, paths)), what=WHAT.get(name, ""))
        for name, paths in sorted(_paths().items())
    ]


def clear(names: Sequence[str]) -> list[CachePart]:
    """Remove parts of the cache; what is removed is fetched, or measured, anew when it is next needed.

    Args:
        names: The parts; none for all of them.

    Raises:
        UnknownName: There is no such part; nothing is removed.
    """
    there = {part.name: part for part in parts()}
    for name in names:
        if name not in there:
            raise UnknownName.among("part of the cache", name, there, "`release cache` lists them.")
    gone = [there[name] for name in names or there]
    for part in gone:
        for path in _paths().get(part.name, ()):
            files.remove(path)
    return gone


def _paths() -> dict[str, list[Path]]:
    """Part → its folder or files: a database has files beside it that are nothing without it."""
    found: dict[str, list[Path]] = {}
    folder = cache_folder()
    for path in folder.iterdir() if folder.is_dir() else ():
        found.setdefault(path.name.removesuffix("-wal").removesuffix("-shm"), []).append(path)
    return found


def _size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; what a run removes meanwhile counts as nothing."""
    if not path.is_dir():
        return path.lstat().st_size if path.exists() else 0
    found = (Path(at, name) for at, _, names in os.walk(path) for name in names)
    return sum(each.lstat().st_size for each in found if os.path.lexists(each))
