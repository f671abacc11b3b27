"""What a visitor may send: no files, no long requests, and so many questions a minute.

Gradio's queue says how many questions may wait in all; that alone would let one visitor fill it. It also takes files
of any size from anybody, whether or not a page asks for one, and prints a traceback for every request it cannot read.
"""

import json
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from html import escape
from typing import Any

import gradio as gr
from gradio.route_utils import FnIndexInferError

LONGEST_BODY = 2 << 20
"""Bytes: two histories of the greatest length take less."""
LONGEST_READ = 64 << 20
"""Bytes of a refused request that are read and thrown away."""
BURST = 12
"""Questions that a visitor may send at once: fewer than may wait, so that others find room."""
PER_MINUTE = float(os.environ.get("COMPARE_QUESTIONS_PER_MINUTE", "30"))
MOST_VISITORS = 10_000
"""Addresses that are remembered; the one seen longest ago is forgotten first."""
TAKES_FILES = ("upload", "component_server")
ASKS = ("/queue/join", "/call/", "/run/", "/api/", "/mcp/")

UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, OSError, FnIndexInferError)
"""What Gradio raises of inputs that are not what a component sends; invalid paths are among the first."""
LOG = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Allowance:
    """Counts each visitor's questions: a bucket of `burst`, filled again by `per_minute`."""

    def __init__(self, burst: float = BURST, per_minute: float = PER_MINUTE) -> None:
        self._burst, self._rate = max(burst, per_minute / 10), per_minute / 60
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, visitor: str, now: float) -> float:
        """Take a question from a visitor's allowance; returns the seconds to wait where there is none, else 0."""
        left, then = self._left.pop(visitor, (self._burst, now))
        left = min(self._burst, left + (now - then) * self._rate)
        waits = max(0.0, (1 - left) / self._rate)
        self._left[visitor] = (left if waits else left - 1, now)
        if len(self._left) > MOST_VISITORS:
            self._left.popitem(last=False)
        return waits


class Limits:
    """Stands in front of the app and answers what it must not see."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._app = app
        self._allowance = Allowance()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, or refuse it in one line."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, send)
            return
        path = scope["path"].rstrip("/")
        body = await _body(receive)
        if any(part in TAKES_FILES for part in path.split("/")):
            await _refuse(send, 403, "This page takes no files.")
            return
        if body is None:
            await _refuse(send, 413, f"A request may have {LONGEST_BODY:,} bytes.")
        elif not _is_json_object(body):
            await _refuse(send, 400, "The request is no JSON object.")
        elif any(part in path + "/" for part in ASKS) and (seconds := self._allowance.wait(address(scope), _now())):
            words = f"That were many questions in a short time. Ask again in {seconds:.0f} s."
            await _refuse(send, 429, words, {"retry-after": f"{seconds:.0f}"})
        else:
            await self._answered(scope, _again(body, receive), send)

    async def _answered(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on; where Gradio makes nothing of it, say so in one line."""
        try:
            await self._app(scope, receive, send)
        except UNREADABLE as error:
            LOG.warning("A request was not answered: %s", type(error).__name__)
            LOG.debug("It was:", exc_info=error)
            await _refuse(send, 400, "The request cannot be understood.")


def _now() -> float:
    return time.monotonic()


def address(scope: Scope) -> str:
    """Return who asks: on the Hub the address that its own proxy added last, elsewhere that of the connection."""
    if os.environ.get("SPACE_ID"):
        for name, value in scope["headers"]:
            if name == b"x-forwarded-for":
                return str(value.decode("latin-1").rsplit(",", 1)[-1].strip())[:64]
    return str((scope.get("client") or ("",))[0])


async def _body(receive: Receive) -> bytes | None:
    """Read a whole request; None where it is too long.

    What is too long is read on and thrown away, up to a limit: an answer to a request that was not read to its end is
    lost, because closing such a connection resets it.
    """
    body, size, more = b"", 0, True
    while more and size <= LONGEST_READ:
        message = await receive()
        size += len(message.get("body", b""))
        body = body + message.get("body", b"") if size <= LONGEST_BODY else b""
        more = message.get("more_body", False)
    return body if size <= LONGEST_BODY else None


def _again(body: bytes, receive: Receive) -> Receive:
    """Return what gives a request that was read once more, and then whatever comes."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def give() -> Message:
        return waiting.pop() if waiting else await receive()

    return give


def _is_json_object(body: bytes) -> bool:
    """Whether a request is one, with a list of values if any, and without halves of characters."""
    try:
        content = json.loads(body or b"{}")
        json.dumps(content, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and isinstance(content.get("data", []), list)


async def _refuse(send: Send, status: int, words: str, more: dict[str, str] | None = None) -> None:
    headers = {"content-type": "application/json", "connection": "close", **(more or {})}
    listed = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": listed})
    await send({"type": "http.response.body", "body": json.dumps({"detail": words, "error": words}).encode()})


class Page(gr.Blocks):
    """A page that answers what it cannot make sense of in one line, and prints no traceback of it."""

    async def process_api(self, block_fn: Any, *arguments: Any, **more: Any) -> Any:
        """Run an event, as Gradio does."""
        if getattr(block_fn, "fn", block_fn) is None:
            raise _unreadable("only a browser can do this")
        try:
            return await super().process_api(block_fn, *arguments, **more)
        except gr.Error as error:
            raise _unreadable(str(error.message)) if error.print_exception else error from error
        except UNREADABLE as error:
            LOG.warning("An event was not answered: %s", type(error).__name__)
            LOG.debug("It was:", exc_info=error)
            raise _unreadable(type(error).__name__) from error


def _unreadable(reason: str) -> gr.Error:
    words = f"A value has a type or form that this page does not take ({escape(reason[:200])})."
    return gr.Error(words, duration=None, title="No answer", print_exception=False)
