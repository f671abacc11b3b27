"""The documents' pages: their blocks of code, and the command lines in them.

A line of a `bash` block whose comment begins with a reason in brackets is not run by the tests, for that reason; all
others are (tests/test_pages.py).
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parent.parent
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), ROOT / "tests/hub/README.md")
}
"""Path → text of every page that people read."""
MARK = re.compile(r"\[(?P<reason>[^\]]+)\]")
OURS = ("release", "prunecard")


@dataclass(frozen=True)
class Block:
    """A block of code of a page; `language` is empty where nobody said."""

    page: str
    line: int
    language: str
    text: str

    @property
    def name(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Line:
    """A command line of a page.

    Attributes:
        name: Page and line.
        text: The line without its comment.
        reason: Why the tests do not run it, or None.
    """

    name: str
    text: str
    reason: str | None

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text)

    @property
    def of_ours(self) -> list[str]:
        """The command and its words, where the line runs `release`, by whatever name; else nothing."""
        words = self.words
        if words[:1] == ["uvx"]:
            words = words[1:]
        if words[:2] == ["hf", "release"]:
            words = words[1:]
        return words[1:] if words[:1] and words[0] in OURS else []


def blocks() -> Iterator[Block]:
    """Yield every block of code, those inside lists too."""
    for page, text in PAGES.items():
        for token in MarkdownIt("commonmark").parse(text):
            if token.type in ("fence", "code_block"):
                first = (token.map or [0])[0] + 1
                yield Block(page, first, token.info.split(" ")[0], token.content)


def lines() -> Iterator[Line]:
    """Yield every command line of every `bash` block."""
    for block in blocks():
        if block.language == "bash":
            for number, whole in enumerate(block.text.splitlines(), start=block.line + 1):
                if text := uncommented(whole):
                    mark = MARK.match(whole[len(text) :].lstrip(" #"))
                    yield Line(f"{block.page}:{number}", text.strip(), mark and mark["reason"])


def uncommented(line: str) -> str:
    """Return a line up to its comment; a `#` inside quotes or a word begins none."""
    found = re.match(r"""(?:'[^']*'|"[^"]*"|[^'"#]|(?<=\S)#)*""", line)
    return found[0].rstrip() if found else line
