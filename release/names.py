"""Names of files that come from outside: from a record, an index, a table or the Hub.

A name is joined to a folder, so it must stay inside, and be a name on every system that may hold a copy.
"""

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator

LONGEST = 500
"""Characters of a whole name."""
LONGEST_PART = 200
"""Bytes of a part: file systems take 255, and a file that is being written has a longer name than when it is there."""
FORBIDDEN = frozenset('\\:*?"<>|')
"""What separates folders, drives and streams, or is a pattern, on one system or another."""
RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)
"""Devices on Windows, whatever the ending."""


def problem_of(name: str) -> str | None:
    """Say what keeps a name from being one of a file inside a folder, as the end of a sentence; None for nothing."""
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


FileName = Annotated[str, AfterValidator(understood)]
"""Path of a file relative to its folder, with forward slashes."""
