"""Names: those of a release's own files, what the Hub takes for a name, and names of files that come from outside.

A name from a record, an index, a table or the Hub is joined to a folder, so it must stay inside, and be a name on every
system that may hold a copy.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator

RECORD = "release.json"
TABLE = "sparsity.csv"
MASK = "mask/pruned.safetensors"
EVAL_RESULTS = ".eval_results"
"""The folder in which the Hub looks for results on benchmarks: the one hidden name that is published."""
SIGNATURE = "model.sig"
"""Made last, over all the other files."""
GRID_MARK = "<!-- release: generated report of a grid; every push writes it anew -->"
"""Stands in the README of a data set that holds a grid's report, and says which tool wrote it."""
REPO_ID = re.compile(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+")
TAG = re.compile(r"v[1-9][0-9]*")
"""What a published version is called."""
LICENCE = re.compile(r"[a-z0-9][a-z0-9.+-]*")
LANGUAGE = re.compile(r"[a-z]{2,3}|multilingual|code")
LONGEST = 500
"""Characters of a whole name."""
LONGEST_PART = 200
"""Bytes of a part: file systems take 255, and a file that is being written has a longer name than when it is there."""
FORBIDDEN = frozenset('\\:*?"<>|')
"""What separates folders, drives and streams, or is a pattern, on one system or another."""
RESERVED = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³]) *(?:\..*)?", re.IGNORECASE)
"""Devices on Windows, whatever the ending."""
_RESULTS = re.compile(r"\.eval_results/[a-z0-9][a-z0-9_.-]{0,80}\.yaml")
LITTER = re.compile(
    r"\.DS_Store|Thumbs\.db|desktop\.ini|\._(?!.*\.(?:safetensors|bin|pt|pth|ckpt|gguf|py|so)$).*",
    re.IGNORECASE | re.DOTALL,
)
"""What file managers of macOS and Windows leave in a folder that was looked into; no name that a loader may match."""


def problem_of(name: str) -> str | None:
    """Say what keeps a name from being one of a file inside a folder, as the end of a sentence; None for nothing."""
    if is_eval_results(name):
        return None
    if not name or len(name) > LONGEST:
        return "is too long" if name else "is empty"
    return next((problem for part in name.split("/") if (problem := _problem_of_part(part))), None)


def _problem_of_part(part: str) -> str | None:
    if part in ("", ".", ".."):
        return "leads out of its folder"
    if part.startswith("."):
        return "has a part that is hidden"
    if any(unicodedata.category(character).startswith("C") for character in part):
        return "holds characters that are not printed"
    if FORBIDDEN & set(part) or part != part.rstrip(" .") or RESERVED.fullmatch(part):
        return "is no name of a file on every system"
    return "has a part that is too long" if len(part.encode()) > LONGEST_PART else None


def understood(name: str) -> str:
    """Return a name that can be joined to a folder.

    Raises:
        ValueError: It leads outside, is hidden, or is no name of a file.
    """
    if problem := problem_of(name):
        raise ValueError(f"the name {name[:80]!a} {problem}")
    return name


def is_eval_results(name: str) -> bool:
    """Whether a file is one of results on a benchmark, under the hidden folder that the Hub reads."""
    return _RESULTS.fullmatch(name) is not None


def is_litter(name: str) -> bool:
    """Whether a file manager left a file, in whichever folder; nobody put it there, and no loader reads it."""
    return LITTER.fullmatch(name.rpartition("/")[2]) is not None


def alike(names: Iterable[str]) -> tuple[str, str] | None:
    """Return two names that are one on macOS or Windows, where capitals and ways to write an accent are the same."""
    seen: dict[str, str] = {}
    for name in names:
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
        if seen.setdefault(folded, name) != name:
            return seen[folded], name
    return None


FileName = Annotated[str, AfterValidator(understood)]
"""Path of a file relative to its folder, with forward slashes."""
