"""Finds rows of tables, list items and front matter in a Markdown text from anywhere; whatever it is, nothing fails."""

import html
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import yaml
from facts import LONGEST, Values


class Row(NamedTuple):
    """One row of a table, one `name: value` line of a list, or one metric of a `model-index`.

    Attributes:
        heading: The headings that it stands under, below the title.
        label: Its first cell.
        values: Its other cells that say something.
    """

    heading: str
    label: str
    values: Values


def split(text: str) -> tuple[dict[str, Any], str]:
    """Return the front matter, empty where there is none that can be read, and the rest of a text."""
    found = re.match(r"\s*---\s*\n(.*?)\n---\s*(?:\n|$)(.*)", text, re.DOTALL)
    if found is None:
        return {}, text
    try:
        front = yaml.safe_load(found[1])
    except (yaml.YAMLError, RecursionError, ValueError):
        front = None
    return (front if isinstance(front, dict) else {}), found[2]


def rows_of(body: str) -> Iterator[Row]:
    """Find all rows of Markdown tables and all `name: value` list items, outside code blocks."""
    trail: dict[int, str] = {}
    header: list[str] | None = None
    for line in lines_of(body):
        heading = " / ".join(trail.values())
        cells = _cells(line) if "|" in line else None
        if cells and header and not all(re.fullmatch(r":?-+:?", cell) for cell in cells):
            yield Row(heading, cells[0], _stated(header[1:], cells[1:]))
        elif item := re.match(r"[-*•+]\s+(.+?):\s*(.+)", line):
            yield Row(heading, plain(item[1]).strip("*_ "), _stated([], [plain(item[2]).strip("*_ ")]))
        elif title := re.match(r"(#{2,6})\s(.+)", line):
            level = len(title[1])
            trail = {upper: text for upper, text in trail.items() if upper < level} | {level: plain(title[2])}
        header = (header or cells) if cells else None


def lines_of(body: str) -> Iterator[str]:
    """Return the lines outside code blocks, without the spaces around them."""
    fenced = False
    for line in map(str.strip, body.splitlines()):
        if line.startswith(("```", "~~~")):
            fenced = not fenced
        elif not fenced:
            yield line


def _cells(line: str) -> list[str]:
    inner = line.removeprefix("|")
    inner = inner[:-1] if inner.endswith("|") and not inner.endswith(r"\|") else inner
    return [plain(cell) for cell in re.split(r"(?<!\\)\|", inner)]


def _stated(names: Sequence[str], cells: Sequence[str]) -> Values:
    """Pair the cells that say something with their columns' names."""
    pairs = zip([*names, *([""] * len(cells))], cells, strict=False)
    split = (pair for name, cell in pairs for pair in _halves(name, cell))
    said = ((name, cell) for name, cell in split if cell not in ("", "–", "—", "-"))
    return tuple(("" if name.lower() == "value" else name[:LONGEST], cell[:LONGEST]) for name, cell in said)


def _halves(name: str, cell: str) -> Sequence[tuple[str, str]]:
    """Take apart a cell that holds what two columns name: `0.50 → 0.20`, `−0.31 (−0.39 to −0.22)`."""
    for pattern, mark in ((r"(.+?) → (.+)", " → "), (r"(.+?) \((.+)\)", " (")):
        if mark in name and (names := re.fullmatch(pattern, name)) and (cells := re.match(pattern, cell)):
            return (names[1], cells[1].strip("*")), (names[2][:1].upper() + names[2][1:], cells[2].strip("*"))
    return ((name, cell),)


def plain(markdown: str) -> str:
    """Take the commonest markup off one line of Markdown; what is left is text, not HTML."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    text = re.sub(r"(\*\*|__|`)(.+?)\1", r"\2", text)
    text = re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", text)
    return " ".join(html.unescape(text).split())
