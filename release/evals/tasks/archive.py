"""Members of a ZIP archive from outside, read within limits and never written to a disk.

inspect_ai compresses with Zstandard (method 93), which Python's own reader knows from 3.14 on only; Arrow's does.
"""

import struct
import zipfile
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import pyarrow as pa

from release.outside import MIB, Unfit

ZSTANDARD = 93
HEADER = struct.Struct("<4s22xHH")
"""A member's own header: its mark, and how long its name and its further fields are."""
MOST_MEMBERS = 200_000
LARGEST = 64 * MIB
"""Bytes of one member, unpacked."""
MOST_UNPACKED = 4096 * MIB
"""Bytes of all members that are read together."""


class Archive:
    """An open archive; what is unpacked is counted, whatever the archive says of its sizes.

    Raises:
        Unfit: It is no ZIP archive, or holds too many members.
    """

    def __init__(self, path: Path) -> None:
        self._unpacked = 0
        try:
            self._file: IO[bytes] = path.open("rb")
        except OSError as error:
            raise Unfit(f"cannot be read: {error.strerror}") from None
        try:
            members = zipfile.ZipFile(self._file).infolist()
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
            self._file.close()
            raise Unfit(f"is no ZIP archive ({error})") from None
        self._members = {member.filename: member for member in members}
        if len(members) > MOST_MEMBERS or len(self._members) < len(members):
            self._file.close()
            raise Unfit(f"holds more than {MOST_MEMBERS:,} members, or one twice")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def names(self) -> tuple[str, ...]:
        """The members, in the order of the archive."""
        return tuple(self._members)

    def read(self, name: str) -> bytes:
        """Unpack a member.

        Raises:
            Unfit: It is missing, larger than is read, or broken.
        """
        member = self._members.get(name)
        if member is None:
            raise Unfit(f"has no {name}")
        try:
            data = self._unpack(member)
        except (zipfile.BadZipFile, pa.ArrowException, OSError, EOFError, struct.error, NotImplementedError) as error:
            raise Unfit(f"holds a broken {name[:80]} ({error})") from None
        self._unpacked += len(data)
        if len(data) > LARGEST or self._unpacked > MOST_UNPACKED:
            raise Unfit(f"unpacks to more than {LARGEST:,} bytes of one member or {MOST_UNPACKED:,} of all")
        return data

    def _unpack(self, member: zipfile.ZipInfo) -> bytes:
        if member.compress_type != ZSTANDARD:
            with zipfile.ZipFile(self._file) as archive, archive.open(member) as opened:
                return opened.read(LARGEST + 1)
        self._file.seek(member.header_offset)
        mark, name, extra = HEADER.unpack(self._file.read(HEADER.size))
        if mark != b"PK\3\4" or member.compress_size > LARGEST:
            raise zipfile.BadZipFile("its header is broken, or it is too large")
        self._file.seek(name + extra, 1)
        packed = pa.BufferReader(self._file.read(member.compress_size))
        found: bytes = pa.CompressedInputStream(packed, "zstd").read(LARGEST + 1)
        return found
