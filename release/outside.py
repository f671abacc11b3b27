"""Text from outside, read within limits of size, depth and digits: files, JSON and YAML.

Every reader of what others wrote goes through here, so that whatever is wrong with it is one kind of error, which the
reader turns into its own with a remedy.
"""

import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from release.errors import ReleaseError
from release.format import shown

MIB = 1 << 20
DEEPEST = 64
"""Levels of lists and mappings in one another."""
MOST_NODES = 100_000
"""Values of a YAML document, each counted as often as aliases repeat it."""
LONGEST_NUMBER = 300
"""Digits of a number in YAML, and of a whole number in JSON."""
QUOTED = 200
"""Characters of a library's message that are quoted."""
AT_ONCE: int = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""A pipe is not waited for; Windows has none among its files, and would take some bytes for ends of lines."""

_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "seq", "map", "timestamp")}
_DIGITS = re.compile(r"[-+0-9a-fA-FxXoO_:.]*")
_HALF = re.compile("[\ud800-\udfff]")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The one written in C is ten times as fast."""
YAML_ERRORS = (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, ArithmeticError, RecursionError)
"""What PyYAML raises on a bad document: its constructors pass on whatever int, float and date say."""


class Unfit(Exception):
    """What was read is not what it must be; its words continue a sentence that begins with a file's name."""


def bytes_of(path: Path, most: int) -> bytes:
    """Read a regular file; a pipe, a device or a folder is not waited for.

    Args:
        most: Bytes it may have.

    Raises:
        Unfit: It is missing, no regular file, too large, or cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | AT_ONCE)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise Unfit("is no regular file")
            data = file.read(most + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise Unfit(f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > most:
        raise Unfit(f"has more than {most:,} bytes, which is as much as is read of it")
    return data


def text_of(path: Path, most: int) -> str:
    """Read a UTF-8 text file; a byte order mark at its beginning is left out.

    Raises:
        Unfit: As `bytes_of`; or it is not UTF-8.
    """
    return utf8(bytes_of(path, most))


def utf8(data: bytes) -> str:
    """Decode UTF-8.

    Raises:
        Unfit: It is something else; says where.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unfit(f"is no UTF-8 text (byte {error.start})") from None


def json_of(data: bytes | str, digits: int = LONGEST_NUMBER) -> Any:
    """Read a JSON document whose size is bounded already.

    Args:
        digits: Of a whole number, at most.

    Raises:
        Unfit: It is no JSON, nested too deeply, holds a number of too many digits, or half a character.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Unfit(f"is not JSON ({_reason(error)})") from None
    for depth, value in _values(found):
        if depth > DEEPEST:
            raise Unfit(f"is nested deeper than {DEEPEST} levels")
        if isinstance(value, str) and not value.isascii() and _HALF.search(value):
            raise Unfit("holds half a character (a lone surrogate)")
        if type(value) is int and abs(value) >= 10**digits:
            raise Unfit(f"holds a number of more than {digits} digits")
    return found


def json_object(data: bytes | str, digits: int = LONGEST_NUMBER) -> dict[str, Any]:
    """Read a JSON object; see `json_of`.

    Raises:
        Unfit: It is something else.
    """
    found = json_of(data, digits)
    if not isinstance(found, dict):
        raise Unfit("is not a JSON object")
    return found


def yaml_mapping(text: str) -> dict[str, Any]:
    """Read a YAML mapping, the names in it as text.

    Dates, numbers and the like are made into what they are; other tags, and what refers to itself, are refused.

    Raises:
        Unfit: It is something else, too large, too deep, or cannot be read.
    """
    if len(text) > MIB:
        raise Unfit(f"has more than {MIB:,} characters, which is as much as is read of it")
    try:
        size = _Size()
        for event in yaml.parse(text, Loader=_LOADER):
            size.add(event)
        found = _named(yaml.load(text, Loader=_LOADER))  # noqa: S506 - a safe loader, of whichever make
    except YAML_ERRORS as error:
        raise Unfit(f"is no YAML that can be read ({_reason(error)})") from None
    if not isinstance(found, dict):
        raise Unfit("holds no fields")
    return found


@contextmanager
def foreign(what: str) -> Iterator[None]:
    """Turn whatever a library raises on what others wrote into one kind of error.

    Only a library's own call may stand inside: nothing can be known of what it raises. transformers has classes that
    are no ValueError, tokenizers raises a bare Exception, and its compiled part panics, which is no Exception at all.

    Args:
        what: Begins the sentence; the library's words go on.

    Raises:
        Unfit: With the library's words, on one line.
    """
    try:
        yield
    except (Unfit, ReleaseError, MemoryError):
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise Unfit(f"{what} ({_reason(error)})") from None


def _reason(error: BaseException) -> str:
    said = str(error)
    return shown(said if " " in said else f"{type(error).__name__} {said}".rstrip(), QUOTED)


def _values(found: Any) -> Iterator[tuple[int, Any]]:
    """Yield every value and every name of a JSON document, with its depth; no recursion, however deep it is."""
    waiting: list[tuple[int, Any]] = [(0, found)]
    while waiting:
        depth, value = waiting.pop()
        yield depth, value
        if depth > DEEPEST:
            continue
        if isinstance(value, dict):
            waiting += [(depth + 1, each) for pair in value.items() for each in pair]
        elif isinstance(value, list):
            waiting += [(depth + 1, each) for each in value]


@dataclass
class _Size:
    """How large a YAML document would become, counted while it is parsed.

    Attributes:
        nodes: Values so far.
        open: For each list or mapping that is open: its anchor, and `nodes` before it.
        anchors: Values that an alias stands for; None while its own list or mapping is open.
    """

    nodes: int = 0
    open: list[tuple[str | None, int]] = field(default_factory=list)
    anchors: dict[str, int | None] = field(default_factory=dict)

    def add(self, event: yaml.Event) -> None:
        """Count one event.

        Raises:
            Unfit: A limit is passed.
        """
        if isinstance(event, yaml.AliasEvent):
            size = self.anchors.get(str(event.anchor), 0)
            if size is None:
                raise Unfit("refers to itself")
            self.nodes += size
        elif isinstance(event, yaml.CollectionStartEvent):
            self._begin(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._end()
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        if self.nodes > MOST_NODES or len(self.open) > DEEPEST:
            raise Unfit(f"holds more than {MOST_NODES:,} values, or more than {DEEPEST} in one another")

    def _begin(self, event: Any) -> None:
        _require_plain(event.tag)
        self.open.append((event.anchor, self.nodes))
        self.nodes += 1
        if event.anchor:
            self.anchors[event.anchor] = None

    def _end(self) -> None:
        anchor, before = self.open.pop()
        if anchor:
            self.anchors[anchor] = self.nodes - before

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        _require_plain(event.tag)
        if (event.tag or not event.style) and len(event.value) > LONGEST_NUMBER and _DIGITS.fullmatch(event.value):
            raise Unfit(f"holds a number of more than {LONGEST_NUMBER} digits")
        self.nodes += 1
        if event.anchor:
            self.anchors[event.anchor] = 1


def _require_plain(tag: str | None) -> None:
    if tag not in (None, "!") and tag not in _TAGS:
        raise Unfit(f"uses the tag {shown(str(tag), QUOTED)}")


def _named(value: Any) -> Any:
    """Turn the names of mappings into text, as JSON has them; others than plain values are no names."""
    if isinstance(value, list):
        return [_named(each) for each in value]
    if not isinstance(value, dict):
        return value
    if any(isinstance(name, tuple) for name in value):
        raise Unfit("has a list for a name")
    return {str(name): _named(each) for name, each in value.items()}
