"""Counts the words of a card as a reader meets them: numbers count, code blocks and alternative texts do not."""

from html.parser import HTMLParser
from typing import NamedTuple

from markdown_it import MarkdownIt

UNSEEN = ("pre", "script", "style")


class Count(NamedTuple):
    """Words of a card.

    Attributes:
        open: Outside what is folded away, the summaries of that included.
        folded: Inside it.
    """

    open: int
    folded: int


class Reader(HTMLParser):
    """Reads a page's words, those in `<details>` apart."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.inside: list[str] = []
        self.open: list[str] = []
        self.folded: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, _: list[tuple[str, str | None]]) -> None:
        if tag in ("details", "summary", *UNSEEN):
            self.inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.inside:
            while self.inside.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if not set(UNSEEN) & set(self.inside):
            hidden = self.inside.count("details") > ("summary" in self.inside)
            (self.folded if hidden else self.open).append(data)


def page_of(card: str) -> str:
    """Return the HTML of a card's text, without its front matter."""
    body = card.split("\n---\n", 1)[1]
    page: str = MarkdownIt("commonmark", {"html": True}).enable("table").render(body)
    return page


def text_of(page: str) -> str:
    """Return all words of a page, folded or not, as its lines."""
    read = Reader(page)
    return "\n".join((*read.open, *read.folded))


def words_of(card: str) -> Count:
    """Count the words of a card."""
    read = Reader(page_of(card))
    return Count(*(len(" ".join(texts).replace("\u00a0", " ").split()) for texts in (read.open, read.folded)))
