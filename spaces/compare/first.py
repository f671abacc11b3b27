"""The first stored comparison in the page's own HTML, where it stands until Gradio has drawn the page.

Gradio draws everything in the browser, from some seventy files: that takes a second here, and more over a network.
"""

from collections.abc import Awaitable, Callable
from html import escape

from limits import Message, Receive, Scope, Send
from lineup import HERE, Lineup
from page import COLORS, headline, in_words, intro, marked, side
from reading import facts
from stored import StoredAnswer, stored

STYLE = (HERE / "first.css").read_text(encoding="utf-8")
SCRIPT = (HERE / "first.js").read_text(encoding="utf-8")


def first_screen(models: Lineup, live: bool) -> str:
    """Return what stands first in the body of the page; empty where no answers are stored.

    Args:
        live: Whether the models may be asked.
    """
    found = stored(models.pruned[0]).first
    if found is None:
        return ""
    drawn = f'<div id="first">{_drawn(models, found, live)}</div>'
    return f"<style>{COLORS}{STYLE}</style>{drawn}<script>{SCRIPT}</script>"


def _drawn(models: Lineup, found: StoredAnswer, live: bool) -> str:
    source, turn = models.pruned[0], found.step.turns[-1]
    sources = {"dense": models.dense, "pruned": source}
    answers = "".join(
        f'<div>{side(name, sources[name])}<div class="said">{marked(answer)}</div></div>'
        for name, answer in turn.answers.items()
        if sources[name] is not None
    )
    question = f"<p><b>{escape(turn.question)}</b></p>"
    parts = (intro(alone=models.dense is None), headline(facts(source), live), question, in_words(found.step))
    return f'<div>{"".join(parts)}<div class="both">{answers}</div><p>The rest of this page is being loaded.</p></div>'


class FirstPaint:
    """Puts a piece of HTML first into the body of the app's page.

    Args:
        html: What `first_screen` returned.
    """

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]], html: str) -> None:
        self._app = app
        self._html = html.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, and complete the answer where it is the page."""
        is_page = scope["type"] == "http" and scope["method"] == "GET" and scope["path"] in ("", "/")
        await self._app(scope, receive, _Completed(send, self._html) if is_page and self._html else send)


class _Completed:
    """Sends an answer on once it is whole, with more in it."""

    def __init__(self, send: Send, html: bytes) -> None:
        self._send, self._html = send, html
        self._start: Message = {}
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._body += message.get("body", b"")
        if message.get("more_body", False):
            return
        head, found, rest = self._body.partition(b"<body")
        tag, _, content = rest.partition(b">")
        body = b"".join((head, found, tag, b">", self._html, content)) if found else self._body
        headers = [(name, value) for name, value in self._start["headers"] if name != b"content-length"]
        await self._send({**self._start, "headers": [*headers, (b"content-length", str(len(body)).encode())]})
        await self._send({"type": "http.response.body", "body": body})
