"""How an input becomes another: bytes are cut, doubled, overwritten; a JSON document is changed in one place."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

NASTY_BYTES = (
    *(b"", b"\x00", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\r\n", b"\n---\n", b"\x1b[2J", b"\x1b]0;x\x07"),
    *(b"9" * 5000, b"1e999999", b"-1", b"-0.0", b"0x7f", b"NaN", b"Infinity", b"null", b"true", b"{}", b"[]", b'""'),
    *(
        b"[" * 2000,
        b"{" * 2000,
        b'{"a":' * 2000,
        b"- " * 500,
        b"*a",
        b"&a ",
        b"!!int ''",
        b"!!float abc",
        b"!!python/x y",
    ),
    *(
        b"2024-99-99",
        b"../../x",
        b"/dev/zero",
        b"a" * 5000,
        b"{{ 7 }}",
        b"{% raw %}",
        b"%s%n",
        b"<!-- release: ",
        b'"',
        b",",
    ),
)
NASTY_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, 10**30, 1e308, -0.0, 0.5, "", "x", "a" * 5000, "9" * 5000),
    *([], {}, [[]], [None], {"": None}, {"x": {}}, "1e999999", "NaN", "-1", "../x", "/etc/x", "a\x00b", "\x1b[2J"),
    *("\u2028", "\u202e", "\U0001f600", "{{ 7 }}", "F32", "BF16", "U8", "F4", "F8_E4M3", [0, 0], [2**62, 4], [0] * 100),
)
STEPS = 4
"""Changes that one input takes at most."""


def mutate(data: bytes, other: bytes, random: Random) -> bytes:
    """Change an input in a few places.

    Args:
        other: A further input, parts of which may go into this one.
    """
    for _ in range(random.randint(1, STEPS)):
        change = random.choice((_overwrite, _insert, _cut, _double, _splice, _document, _document, _document))
        data = change(data, other, random)
    return data


def _span(data: bytes, random: Random) -> tuple[int, int]:
    start = random.randint(0, len(data))
    return start, min(len(data), start + int(random.expovariate(1 / 12)) + 1)


def _overwrite(data: bytes, _: bytes, random: Random) -> bytes:
    start, end = _span(data, random)
    return data[:start] + random.randbytes(end - start) + data[end:]


def _insert(data: bytes, _: bytes, random: Random) -> bytes:
    start, end = _span(data, random)
    return data[:start] + random.choice(NASTY_BYTES) + data[random.choice((start, end)) :]


def _cut(data: bytes, _: bytes, random: Random) -> bytes:
    start, end = _span(data, random)
    return data[:start] if random.random() < 0.1 else data[:start] + data[end:]


def _double(data: bytes, _: bytes, random: Random) -> bytes:
    start, end = _span(data, random)
    return data[:end] + data[start:end] * random.choice((1, 2, 50)) + data[end:]


def _splice(data: bytes, other: bytes, random: Random) -> bytes:
    start, end = _span(other, random)
    at = random.randint(0, len(data))
    return data[:at] + other[start:end] + data[at:]


def _document(data: bytes, other: bytes, random: Random) -> bytes:
    """Change one place of the JSON document in an input; what stands before its brace stays."""
    begin = max(0, data.find(b"{"))
    try:
        document, length = json.JSONDecoder().raw_decode(data[begin:].decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError):
        return _overwrite(data, other, random)
    places = list(_places(document))
    if not places:
        return data
    _change(*random.choice(places), random)
    rest = data[begin:].decode("utf-8", "surrogateescape")[length:].encode("utf-8", "surrogateescape")
    try:
        return data[:begin] + json.dumps(document, ensure_ascii=random.random() < 0.5).encode("utf-8", "ignore") + rest
    except (ValueError, RecursionError):
        return data


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    """Every container and key below a document."""
    keys = list(document) if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ()
    for key in keys:
        yield document, key
        yield from _places(document[key])


def _change(container: Any, key: Any, random: Random) -> None:
    kind = random.random()
    if kind < 0.6:
        container[key] = random.choice(NASTY_VALUES)
    elif kind < 0.7:
        container[key] = [container[key]] * random.choice((1, 2, 3))
    elif kind < 0.85 and isinstance(container, dict):
        container[random.choice(("", "x", "__metadata__", "a\x00", "../x", str(key) + "2"))] = container[key]
    elif kind < 0.9:
        container[key] = _in_another_form(container[key])
    else:
        del container[key]


def _in_another_form(value: Any) -> Any:
    """An object as the list of its values, and anything else as the key of an object: serde takes both for a record."""
    return list(value.values()) if isinstance(value, dict) else {str(value): None}
