"""The gate against giving away what is nobody's business: local paths, names of user and machine, secrets, addresses.

Every file that is uploaded is searched for secrets: the tokens in use here, and what looks like anybody's. Of a weight
file that is its header; its tensors are the base's, which the audit compares. A licence that was a link to the file of
a token was once published, because nobody looked into licences.

What a release says in words (card, record, settings, tables, figures) is searched for the rest too. What a person wrote
around the generated part of a card is theirs. What a model answered to a sample question is the model's: an address or
path in it is nobody's here (a model makes up examples), but for secrets and the names of this machine.
"""

import getpass
import json
import os
import re
import socket
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

from pydantic import ValidationError

from release import children
from release.card.parts import parse
from release.checkpoint.files import is_hidden
from release.checkpoint.header import LENGTH_BYTES
from release.errors import LeakFound
from release.format import MAY_BREAK, markdown
from release.resources import resource
from release.schema.record import CARD, Record, Signed

SHOWN = 10
"""Findings that a message lists."""
FOUND = "a secret"
QUOTED = 60
"""Characters of a finding that are quoted; of a secret none."""
WORDS = {".md", ".json", ".csv", ".svg", ".txt", ".yaml"}
"""Endings of the files that are read."""
OF_THE_BASE = {"tokenizer.json", "vocab.json", "merges.txt", "added_tokens.json", "special_tokens_map.json"}
"""A vocabulary holds anything, and a licence its authors' addresses: both are the base's, published before."""
OF_OTHERS = ("LICENSE", "LICENCE", "NOTICE", "COPYING", "examples.json")

TOKENS: Mapping[tuple[str, ...], str] = {
    ("hf_", "api_org_"): r"[A-Za-z0-9]{20,}",
    ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "npm_"): r"[A-Za-z0-9]{30,}",
    ("github_pat_",): r"\w{20,}",
    ("glpat-", "xoxa-", "xoxb-", "xoxe-", "xoxp-", "xoxr-", "xoxs-"): r"[\w-]{20,}",
    ("sk-",): r"[\w-]{0,20}[A-Za-z0-9]{16,}",
    ("pypi-",): r"[\w-]{40,}",
    ("AKIA", "ASIA"): r"[0-9A-Z]{16}",
    ("AIza",): r"[\w-]{30,}",
}
"""How tokens of the Hub, GitHub, GitLab, model vendors, Slack, package registries and clouds begin → what follows."""
KNOWN = r"\b(?:" + "|".join(f"(?:{'|'.join(begins)}){rest}" for begins, rest in TOKENS.items()) + ")"
BEGIN = "-----BEGIN "
KEY = BEGIN + "[A-Z ]*PRIVATE KEY"
SECRET = re.compile(f"{KNOWN}|{KEY}")
IN_BYTES = re.compile(rf"{KNOWN}|{KEY}-----(?:\\n|\s)+[A-Za-z0-9+/=]{{20,}}".encode(), re.ASCII)
"""In files that are no prose: a vocabulary may hold how a key begins."""
BEGINNINGS = tuple(begin.encode() for begins in (*TOKENS, (BEGIN,)) for begin in begins)
SHORTEST = 12
"""Characters of a secret of this machine's: a shorter value of a variable stands anywhere by chance."""
READ = 4 << 20
OVERLAP = 4096
"""Bytes read at a time, and how many of them are looked at again with the next."""
PRIVATE: Mapping[str, re.Pattern[str]] = {
    "a local path": re.compile(
        r"(?<![\w.~:/-])/(?:home|Users|root|tmp|mnt|media|private/var|var/folders)/[^\s\"'`|)]*"
        r"|\b[A-Za-z]:\\+Users\\+[^\s\"'`|)]*|\bfile:///[^\s\"'`|)]*"
    ),
    "an e-mail address": re.compile(r"(?<![\w/])[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}\b"),
}
EVERYDAY = {"root", "user", "users", "admin", "ubuntu", "debian", "runner", "localhost", "home", "host"}
"""Names of users and machines that tell nothing."""
EVERYBODYS = {"/"} | {f"/{name}" for name in ("root", "home", "tmp")}
"""Folders of any machine; a path below one is found by its look."""


def refuse(folders: Iterable[Path], signer: Signed | None = None) -> None:
    """Let a release pass if it gives nothing away.

    Args:
        folders: What is to be uploaded.
        signer: Who signs it, and wants to be named.

    Raises:
        LeakFound: Names each file and line.
    """
    parts = list(folders)
    said = "".join(answered(folder) for folder in parts)
    named = signer.name if signer else ""
    found = [f"{folder.name}/{leak}" for folder in parts for leak in leaks(folder, named, said)]
    if found:
        more = f"\n  and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise LeakFound(
            "The release would give away what is not for the public:\n  " + "\n  ".join(found[:SHOWN]) + more,
            "Take it out where it comes from (the base's config.json, a file's name, your own words), and run the same "
            "command again; nothing was uploaded.",
        )


def leaks(folder: Path, named: str = "", said: str | None = None) -> Iterator[str]:
    """Find what a folder's words give away: `file, line n: what`.

    Args:
        named: Whom they are to name.
        said: What models answered, as `answered` returns it; by default by the record in this folder.
    """
    said = answered(folder) if said is None else said
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not is_hidden(name):
            yield from (f"{name}, {finding}" for finding in _in_file(path, named, said))


def answered(folder: Path) -> str:
    """Return all that models answered to sample questions, by the record of a folder, as files may hold it."""
    found = None
    with suppress(OSError, ValidationError):  # no record, or one that is found wanting elsewhere
        found = Record.read(folder).measurements.get("answers")
    texts = [side.text for each in found.asked for side in (each.dense, each.pruned)] if found else []
    return "\n".join(
        _bare(form) for text in texts for form in (text, markdown(text), json.dumps(text, ensure_ascii=False))
    )


def _bare(text: str) -> str:
    """Take out what JSON and Markdown put before a character, and where a card lets a long word break."""
    return text.replace("\\", "").replace(MAY_BREAK, "")


def _in_file(path: Path, named: str, said: str) -> Iterator[str]:
    seen = list(_in_words(path, named, said))
    yield from seen
    if not any(finding.endswith(FOUND) for finding in seen) and _holds_secret(path):
        yield FOUND


def _holds_secret(path: Path) -> bool:
    """Whether any bytes of a file are a secret, or any words that lie packed in it."""
    return any(_is_secret(data) for data in (*_packed_words(path), *_windows(path)))


def _is_secret(data: bytes) -> bool:
    # A vocabulary is ten megabytes of words: looked for by their beginnings, secrets take a quarter of the time.
    known = any(IN_BYTES.match(data, at) for begin in BEGINNINGS for at in _places(data, begin))
    return known or any(token.encode() in data for token in _tokens())


def _places(data: bytes, words: bytes) -> Iterator[int]:
    """Where some words stand."""
    at = data.find(words)
    while at >= 0:
        yield at
        at = data.find(words, at + 1)


def _windows(path: Path) -> Iterator[bytes]:
    """The bytes of a file, or of a weight file's header, some at a time; each begins with the end of the last."""
    with path.open("rb") as file:
        left = path.stat().st_size
        if path.suffix == ".safetensors":
            left = min(left, LENGTH_BYTES + int.from_bytes(file.read(LENGTH_BYTES), "little"))
            file.seek(0)
        before = b""
        while data := file.read(min(READ, left)):
            yield before + data
            left -= len(data)
            before = data[-OVERLAP:]


def _packed_words(path: Path) -> Iterator[bytes]:
    """The strings of a table, which lie in it compressed."""
    if path.suffix != ".parquet":
        return
    import pyarrow as pa
    from pyarrow import parquet

    with suppress(pa.ArrowException, OSError):
        table = parquet.ParquetFile(path)
        for batch in table.iter_batches():
            for column in batch.columns:
                if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
                    yield "\n".join(value for value in column.to_pylist() if value).encode()


def _in_words(path: Path, named: str, said: str) -> Iterator[str]:
    if path.suffix == ".png":
        yield from _in_lines(_png_words(path), frozenset(), named, said)
    elif path.suffix in WORDS and path.name not in OF_THE_BASE and not path.name.upper().startswith(OF_OTHERS):
        text = path.read_text(encoding="utf-8", errors="replace").replace(MAY_BREAK, "")  # it would part a secret
        yield from _in_lines(text.split("\n"), _theirs(path, text), named, said)


def _theirs(path: Path, text: str) -> frozenset[int]:
    """The lines, from 1, that a person wrote around a card."""
    card = parse(text) if path.name == CARD else None
    parts = (card.above, card.below) if card else ()
    return frozenset(part.first + index for part in parts for index in range(len(part.lines)))


def _in_lines(lines: Iterable[str], theirs: frozenset[int], named: str, said: str) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if any(SECRET.search(form) or any(token in form for token in _tokens()) for form in {line, _bare(line)}):
            yield f"line {number}: {FOUND}"
        elif number not in theirs and (what := _private(line.replace(named, "") if named else line, said)):
            yield f"line {number}: {what}"


def _private(line: str, said: str) -> str | None:
    """The first thing in a line that is private: what looks so, but for a model's own words, or is this machine's."""
    for what, pattern in PRIVATE.items():
        for match in pattern.finditer(line):
            if not said or _bare(match[0]).rstrip("…") not in said:
                return f"{what} ({match[0][:QUOTED]})"
    for what, pattern in _of_this_machine(Path.cwd()).items():
        if found := pattern.search(line):
            return f"{what} ({found[0][:QUOTED]})"
    return None


@cache
def _of_this_machine(here: Path) -> dict[str, re.Pattern[str]]:
    """Patterns for what is private here: folders, the user's name, the machine's."""
    folders = {str(each) for each in (Path.home(), here, tempfile.gettempdir())} - EVERYBODYS
    any_of = "|".join(map(re.escape, sorted(folders)))
    found = {"a folder of this machine": re.compile(rf"(?<![\w.])(?:{any_of})/")} if folders else {}
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
    """The secrets in use here, whatever they look like: the Hub's token, and what variables hold by their names."""
    from huggingface_hub import get_token

    named = [value for name, value in os.environ.items() if children.SECRET.search(name) and len(value) >= SHORTEST]
    return tuple(sorted({value for value in (get_token(), *named) if value}))


def _png_words(path: Path) -> list[str]:
    from PIL import Image

    with Image.open(path) as picture:
        return [f"{key}: {value}" for key, value in picture.info.items() if isinstance(value, str)]
