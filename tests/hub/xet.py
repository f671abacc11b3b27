"""Large files by Xet: a folder that stands for the storage service.

hf-xet takes `local:///folder` for the address of its storage and then chunks, deduplicates and writes there
what it would send. It locks the folder's look-up table for as long as its process lives, so every token gets a
view of its own: the shared chunks by link, the table as a copy; a commit takes the writer's table over.

    store/shards, store/xorbs, store/global_dedup_lookup.redb      what has been committed
    views/<n>/xet/xorbs/{shards, xorbs, global_dedup_lookup.redb}  what one token sees
"""

import shutil
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import hf_xet

from tests.hub.wire import Answer

TABLE = "global_dedup_lookup.redb"
ENTRY = 48
LONG_SEGMENTS, HAS_SHA256 = 0x80000000, 0x40000000


class Cas:
    """One repository's Xet storage."""

    def __init__(self, folder: Path) -> None:
        self.store = folder / "store"
        self.views = folder / "views"
        for part in ("shards", "xorbs"):
            (self.store / part).mkdir(parents=True, exist_ok=True)

    def view(self, writing: bool) -> Path:
        """Make a folder that one client may lock; the latest writer's is remembered."""
        name = f"{time.time_ns()}-{'write' if writing else 'read'}"
        inner = self.views / name / "xet" / "xorbs"
        inner.mkdir(parents=True)
        for part in ("shards", "xorbs"):
            (inner / part).symlink_to((self.store / part).resolve())
        if (self.store / TABLE).is_file():
            shutil.copy(self.store / TABLE, inner / TABLE)
        return inner.parent.parent

    def settle(self) -> None:
        """Take over the table of the latest writer, whose files are about to be committed."""
        for writer in sorted(self.views.glob("*-write"))[-1:]:
            table = writer / "xet" / "xorbs" / TABLE
            if table.is_file():
                shutil.copy(table, self.store / TABLE)

    def hashes(self) -> dict[str, tuple[str, int]]:
        """Return SHA-256 -> (Xet hash, bytes) of every file that arrived whole."""
        shards = sorted((self.store / "shards").glob("*.mdb"))
        return {sha256: (xet, size) for shard in shards for sha256, xet, size in files_of(shard.read_bytes())}

    def rebuild(self, sha256: str, target: Path) -> Path | None:
        """Put a file together from its chunks; None where it never arrived."""
        known = self.hashes().get(sha256)
        if known is None:
            return None
        self.settle()
        session = hf_xet.XetSession()
        with session.new_file_download_group(endpoint=f"local://{self.view(writing=False)}") as group:
            group.start_download_file(hf_xet.XetFileInfo(*known), str(target))
        return target


def files_of(shard: bytes) -> Iterator[tuple[str, str, int]]:
    """Read a shard: yield each file's SHA-256, its Xet hash and its size."""
    at = ENTRY
    while (file_hash := shard[at : at + 32]) != b"\xff" * 32:
        flags, count = struct.unpack_from("<II", shard, at + 32)
        at += ENTRY
        sizes = [struct.unpack_from("<I", shard, at + i * ENTRY + 36)[0] for i in range(count)]
        at += count * ENTRY * (2 if flags & LONG_SEGMENTS else 1)
        if flags & HAS_SHA256:
            yield printed(shard[at : at + 32]), printed(file_hash), sum(sizes)
            at += ENTRY


def printed(raw: bytes) -> str:
    """Return a hash as Xet prints it: four words of eight bytes, each from its last byte to its first."""
    return "".join(raw[i : i + 8][::-1].hex() for i in range(0, 32, 8))


def token(view: Path) -> Answer:
    """Answer a request for a token, in the body and again in headers, as the two readers of it expect."""
    name, end, store = "xet", int(time.time()) + 3600, f"local://{view}"
    return Answer.json(
        {"accessToken": name, "exp": end, "casUrl": store},
        headers={"X-Xet-Access-Token": name, "X-Xet-Token-Expiration": str(end), "X-Xet-Cas-Url": store},
    )
