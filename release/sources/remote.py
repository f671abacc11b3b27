"""A repository on the Hub whose files are read without being kept: nothing of it comes to this disk.

`open_repo` pins it to one commit and gives its `Files`. A file is one request, read as fast as it is used; where the
connection breaks, the rest is asked for by range. Public repositories need no login.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

import httpx2
from huggingface_hub import HfApi, constants, get_session, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

from release.checkpoint.disk import room_for
from release.checkpoint.files import FileReader
from release.checkpoint.header import LARGEST_HEADER, LENGTH_BYTES, Header, Raw, read_header
from release.errors import HubFailed
from release.progress import Console
from release.sources import hub
from release.sources.contact import FIRST_WAIT, PASSING, WORK_WAIT, explained, first_contact, named, status_of

WAITS = (0.0, 1.0, 2.0, 4.0)
"""Seconds to wait after a connection broke, by how often it did so without a single further byte."""
LOST = (httpx2.TransportError, EOFError, HfHubHTTPError)
"""What a connection shows itself as that ends too early, or does not come about."""
PATIENCE = httpx2.Timeout(WORK_WAIT, connect=FIRST_WAIT)


@dataclass(frozen=True)
class Repository:
    """The files of a model on the Hub, at one commit.

    Attributes:
        id: `org/name`.
        revision: The commit's SHA-1.
        sizes: Path with forward slashes → bytes, of every file but the Hub's own.
    """

    id: str
    revision: str
    sizes: Mapping[str, int]
    console: Console

    @property
    def name(self) -> str:
        """The repository's id."""
        return self.id

    @property
    def others(self) -> Mapping[str, str]:
        """Nothing: a repository holds files alone."""
        return {}

    def open(self, name: str) -> FileReader:
        """Open a file; every piece has memory of its own, so all of them stay as they were read."""
        return self._stream(name, self.sizes[name])

    def header(self, name: str) -> Header:
        """Read and check the header of a safetensors file: its bytes alone come over the network."""
        size = self.sizes[name]
        head = self._part(name, 0, min(LENGTH_BYTES, size))
        length = min(int.from_bytes(head, "little"), size - len(head), LARGEST_HEADER)
        return _checked(name, head + self._part(name, len(head), length), size)

    def folder(self) -> Path:
        """Bring it to this disk, into the Hub's own cache."""
        return hub.fetch(self.id, self.revision, self.console, "all").folder

    def _part(self, name: str, start: int, nbytes: int) -> bytes:
        stream = self._stream(name, start + nbytes)
        try:
            return stream.read(start, nbytes).tobytes()
        finally:
            stream.close()

    def _stream(self, name: str, end: int) -> "Stream":
        return Stream(hf_hub_url(self.id, name, revision=self.revision), self.id, self.sizes[name], end)


def open_repo(repo_id: str, revision: str | None, console: Console) -> Repository:
    """Ask the Hub which commit `revision` is (default: main), and which files it has.

    Raises:
        HubUnreachable: Nobody answers within 15 seconds, or HF_HUB_OFFLINE is set.
        UnknownName: The model or the revision is missing, or not yours to see.
    """
    with explained(repo_id, revision):
        ask = partial(HfApi().model_info, repo_id, revision=revision, files_metadata=True, timeout=FIRST_WAIT)
        info = first_contact(ask)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or () if file.rfilename not in hub.NOT_OURS}
    return Repository(info.id, str(info.sha), MappingProxyType(sizes), console)


def _checked(name: str, head: bytes, size: int) -> Header:
    """Have the library check a header, on a file that has the real one's length and no block of its data."""
    with TemporaryDirectory() as scratch:
        path = Path(scratch, Path(name).name)
        with path.open("wb") as file:
            file.write(head)
            file.truncate(size)
        return replace(read_header(path), path=Path(name), stamp=None)


class Stream:
    """One file of `size` bytes on the Hub, from some byte up to `end`, over a connection opened anew where it breaks.

    Asking for pieces in order takes one request; a piece out of order takes a new one.
    """

    def __init__(self, url: str, repo_id: str, size: int, end: int) -> None:
        self._url = url
        self._repo_id = repo_id
        self._size = size
        self._end = end
        self._position = 0
        self._arrived = 0
        self._held = memoryview(b"")
        self._chunks: Iterator[bytes] | None = None
        self._connection = ExitStack()

    def read(self, start: int, nbytes: int) -> Raw:
        """Read a piece.

        Raises:
            HubFailed: The connection broke, and again without a further byte, until patience ended.
        """
        if start != self._position:
            self.close()
            self._position = self._arrived = start
            self._held = memoryview(b"")
        room, done = room_for(nbytes), 0
        while done < nbytes:
            if not self._held:
                self._held = self._next()
            part = self._held[: nbytes - done]
            room.data[done : done + len(part)] = part
            self._held = self._held[len(part) :]
            done += len(part)
        self._position += nbytes
        if self._position == self._end:
            self.close()
        return room

    def close(self) -> None:
        """Hang up."""
        self._connection.close()
        self._chunks = None

    def _next(self) -> memoryview:
        with explained(self._repo_id, None, _broken):
            for wait in WAITS:
                try:
                    return self._chunk()
                except LOST as error:
                    if status_of(error) not in (None, *PASSING):
                        raise
                    self.close()
                    seen = error
                    time.sleep(wait)
            raise _broken(named(seen)) from seen

    def _chunk(self) -> memoryview:
        if self._chunks is None:
            self._chunks = self._connect()
        chunk = next(self._chunks, b"")
        if not chunk:
            raise EOFError
        self._arrived += len(chunk)
        return memoryview(chunk)

    def _connect(self) -> Iterator[bytes]:
        # What is compressed on the way has no byte ranges.
        wanted = {"Accept-Encoding": "identity", "Range": f"bytes={self._arrived}-{self._end - 1}"}
        asked = get_session().stream(
            "GET", self._url, headers=build_hf_headers() | wanted, follow_redirects=True, timeout=PATIENCE
        )
        response = self._connection.enter_context(asked)
        hf_raise_for_status(response)
        if not self._is_wanted(response):
            raise EOFError
        return response.iter_raw()

    def _is_wanted(self, response: httpx2.Response) -> bool:
        """Whether this is what was asked for: a part, or the whole of a small file; a proxy may answer for itself."""
        if response.status_code == HTTPStatus.PARTIAL_CONTENT:
            part = f"bytes {self._arrived}-{self._end - 1}/{self._size}"
            return bool(response.headers.get("Content-Range") == part)
        return not self._arrived and response.headers.get("Content-Length") == str(self._size)


def _broken(why: str) -> HubFailed:
    seen = f"Reading from {constants.ENDPOINT} broke off ({why})."
    return HubFailed(seen, "Run the same command again; nothing was kept of what arrived.")
