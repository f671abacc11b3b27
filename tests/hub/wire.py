"""What a request is, what an answer is, and how a request is refused."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs

PIECE = 1 << 20


class Refused(Exception):
    """An answer that is an error: a status, the Hub's error code where it has one, and words.

    The Hub tells the client what went wrong in the headers X-Error-Code and X-Error-Message.
    """

    def __init__(self, status: int, message: str, code: str | None = None, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {}), **headers}
        self.body: dict[str, Any] = {"error": message}

    def answer(self) -> "Answer":
        return Answer(self.status, json.dumps(self.body).encode(), self.headers)


@dataclass(frozen=True)
class Answer:
    """What goes back. A path as content is streamed from disk, from `start`, `length` bytes."""

    status: int = 200
    content: bytes | Path = b""
    headers: dict[str, str] = field(default_factory=dict)
    start: int = 0
    length: int | None = None

    @classmethod
    def json(cls, value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> "Answer":
        return cls(status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    @property
    def size(self) -> int:
        if isinstance(self.content, bytes):
            return len(self.content)
        return self.content.stat().st_size if self.length is None else self.length

    def pieces(self) -> Iterator[bytes]:
        if isinstance(self.content, bytes):
            yield self.content
            return
        left = self.size
        with self.content.open("rb") as file:
            file.seek(self.start)
            while left and (piece := file.read(min(PIECE, left))):
                left -= len(piece)
                yield piece


class Stream(Protocol):
    """Where bytes of a request come from."""

    def read(self, most: int, /) -> bytes: ...

    def readline(self) -> bytes: ...


class Body:
    """A request's body, read in pieces: of stated length, or in chunks where the length was not known."""

    def __init__(self, stream: Stream, headers: Message) -> None:
        self._stream = stream
        self._chunked = "chunked" in (headers.get("Transfer-Encoding") or "").lower()
        self._left = 0 if self._chunked else int(headers.get("Content-Length") or 0)
        self._ended = not self._chunked and not self._left

    def read(self, most: int = PIECE) -> bytes:
        """Return up to `most` bytes, b"" at the end."""
        if self._chunked and not self._left and not self._ended:
            self._next_chunk()
        if self._ended:
            return b""
        piece = self._stream.read(min(most, self._left))
        if not piece:
            raise ConnectionError("the client went away in the middle of a body")
        self._left -= len(piece)
        if not self._left:
            self._end_of_part()
        return piece

    def _next_chunk(self) -> None:
        self._left = int(self._stream.readline().split(b";")[0], 16)
        if not self._left:
            self._stream.readline()
            self._ended = True

    def _end_of_part(self) -> None:
        if self._chunked:
            self._stream.readline()
        else:
            self._ended = True

    def pieces(self) -> Iterator[bytes]:
        while piece := self.read():
            yield piece

    def lines(self) -> Iterator[bytes]:
        """Yield the body line by line; only one line is held in memory."""
        held = bytearray()
        for piece in self.pieces():
            held += piece
            *whole, rest = held.split(b"\n")
            held = bytearray(rest)
            yield from (bytes(line) for line in whole if line)
        if held:
            yield bytes(held)

    def all(self) -> bytes:
        return b"".join(self.pieces())

    def json(self) -> dict[str, Any]:
        try:
            value = json.loads(self.all())
        except ValueError:
            raise Refused(400, "The body is not JSON.") from None
        if not isinstance(value, dict):
            raise Refused(400, "The body is not a JSON object.")
        return value

    def form(self) -> dict[str, list[str]]:
        return parse_qs(self.all().decode())


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Read `bytes=a-b`, `bytes=a-` or `bytes=-n` as (start, length); None where the whole is asked for."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", header or "")
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    start = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if start >= end:
        raise Refused(416, "The range lies outside the file.", **{"Content-Range": f"bytes */{size}"})
    return start, end - start


def served(path: Path, asked: str | None, headers: dict[str, str]) -> Answer:
    """Return a file, or the range of it that was asked for."""
    size = path.stat().st_size
    headers = {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream", **headers}
    part = byte_range(asked, size)
    if part is None:
        return Answer(200, path, headers, length=size)
    start, length = part
    headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{size}"
    return Answer(206, path, headers, start, length)
