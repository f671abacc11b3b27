"""The gate against giving away what is nobody's business: local paths, names of user and machine, secrets, addresses.

Looked at is what a release says in words: card, record, settings, tables, figures. What a person wrote around the
generated part of a card is theirs; there only secrets are looked for.
"""

import getpass
import re
import socket
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

from release.card_parts import parse
from release.checkpoint.files import is_hidden
from release.errors import LeakFound
from release.record import CARD
from release.resources import resource

SHOWN = 10
"""Findings that a message lists."""
QUOTED = 60
"""Characters of a finding that are quoted; of a secret none."""
WORDS = {".md", ".json", ".csv", ".svg", ".txt", ".yaml"}
"""Endings of the files that are read."""
OF_THE_BASE = {"tokenizer.json", "vocab.json", "merges.txt", "added_tokens.json", "special_tokens_map.json"}
"""A vocabulary holds anything, and a licence its authors' addresses: both are the base's, published before."""
OF_OTHERS = ("LICENSE", "LICENCE", "NOTICE", "COPYING", "examples.json")

SECRET = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{20,}|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{20,}|sk-[\w-]{20,}|AKIA[0-9A-Z]{16})"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
)
PRIVATE: Mapping[str, re.Pattern[str]] = {
    "a local path": re.compile(
        r"(?<![\w.~:/-])/(?:home|Users|root|tmp|mnt|media|private/var|var/folders)/[^\s\"'`|)]*"
        r"|\b[A-Za-z]:\\+Users\\+[^\s\"'`|)]*|\bfile:///[^\s\"'`|)]*"
    ),
    "an e-mail address": re.compile(r"(?<![\w/])[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}\b"),
}
EVERYDAY = {"root", "user", "users", "admin", "ubuntu", "debian", "runner", "localhost", "home", "host"}
"""Names of users and machines that tell nothing."""


def refuse(folders: Iterable[Path]) -> None:
    """Let a release pass if it gives nothing away.

    Args:
        folders: What is to be uploaded.

    Raises:
        LeakFound: Names each file and line.
    """
    found = [f"{folder.name}/{leak}" for folder in folders for leak in leaks(folder)]
    if found:
        more = f"\n  and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise LeakFound(
            "The release would give away what is not for the public:\n  " + "\n  ".join(found[:SHOWN]) + more,
            "Take it out where it comes from (the base's config.json, a file's name, your own words), and run the same "
            "command again; nothing was uploaded.",
        )


def leaks(folder: Path) -> Iterator[str]:
    """Find what a folder's words give away: `file, line n: what`."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not is_hidden(name):
            yield from (f"{name}, {finding}" for finding in _in_file(path))


def _in_file(path: Path) -> Iterator[str]:
    if path.suffix == ".png":
        yield from _in_lines(_png_words(path), frozenset())
    elif path.suffix in WORDS and path.name not in OF_THE_BASE and not path.name.upper().startswith(OF_OTHERS):
        text = path.read_text(encoding="utf-8", errors="replace")
        yield from _in_lines(text.split("\n"), _theirs(path, text))


def _theirs(path: Path, text: str) -> frozenset[int]:
    """The lines, from 1, that a person wrote around a card."""
    card = parse(text) if path.name == CARD else None
    parts = (card.above, card.below) if card else ()
    return frozenset(part.first + index for part in parts for index in range(len(part.lines)))


def _in_lines(lines: Iterable[str], theirs: frozenset[int]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if SECRET.search(line) or any(token in line for token in _tokens()):
            yield f"line {number}: a secret"
        elif number not in theirs and (what := _private(line)):
            yield f"line {number}: {what}"


def _private(line: str) -> str | None:
    """The first thing in a line that is private."""
    for what, pattern in (*PRIVATE.items(), *_of_this_machine(Path.cwd()).items()):
        if match := pattern.search(line):
            return f"{what} ({match[0][:QUOTED]})"
    return None


@cache
def _of_this_machine(here: Path) -> dict[str, re.Pattern[str]]:
    """Patterns for what is private here: folders, the user's name, the machine's."""
    folders = {str(Path.home()), str(here), tempfile.gettempdir()} - {"/"}
    found = {"a folder of this machine": re.compile("|".join(rf"(?<![\w.]){re.escape(each)}/" for each in folders))}
    user = ""
    with suppress(OSError, KeyError):
        user = getpass.getuser()
    for what, name in (("the user's name", user), ("this machine's name", socket.gethostname())):
        if _tells(name):
            found[what] = re.compile(rf"(?<![\w/.-]){re.escape(name)}(?![\w/-])")
    return found


def _tells(name: str) -> bool:
    """Whether a name gives anybody away: not one that stands in every card, or on every machine."""
    return len(name) > 3 and name.lower() not in EVERYDAY and name.lower() not in _printed_anyway()


@cache
def _printed_anyway() -> frozenset[str]:
    """All words of the templates, in lower case."""
    files = (path for path in resource("templates").rglob("*") if path.is_file())
    return frozenset(word.lower() for path in files for word in re.findall(r"[\w-]+", path.read_text(encoding="utf-8")))


@cache
def _tokens() -> tuple[str, ...]:
    """The token in use, whatever it looks like."""
    from huggingface_hub import get_token

    token = get_token()
    return (token,) if token else ()


def _png_words(path: Path) -> list[str]:
    from PIL import Image

    with Image.open(path) as picture:
        return [f"{key}: {value}" for key, value in picture.info.items() if isinstance(value, str)]
