"""Templates as Python's bytecode, kept between runs: compiling the thirty of a card takes half a second.

What is kept is run. So a file counts only if it is this user's own and nobody else may write it, as Python's own
`.pyc` files do; any other is made anew, as is one that was cut, or of another template, library or version.
"""

import hashlib
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import jinja2
from jinja2.bccache import Bucket

from release import files
from release.resources import PACKAGE
from release.sources.cache import checks_folder

CODE = ("format.py", "names.py", "card/templates.py")
"""What filters are made of: of a constant, they are called while a template is compiled."""
OTHERS_WRITE = 0o022
"""Permissions of a group or of everybody to write."""
DIGEST_BYTES = 32


class CompiledTemplates(jinja2.BytecodeCache):
    """Compiled templates in the folder of what was found here before; none where a system has no owners of files."""

    def load_bytecode(self, bucket: Bucket) -> None:
        """Take over what was kept of a template, where it is whole and ours."""
        with suppress(OSError):
            found = _own(self._place(bucket))
            if hashlib.sha256(found[DIGEST_BYTES:]).digest() == found[:DIGEST_BYTES]:
                bucket.bytecode_from_string(found[DIGEST_BYTES:])

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep a compiled template; where that cannot be, it will be compiled again."""
        made, place = bucket.bytecode_to_string(), self._place(bucket)
        temporary = place.with_name(f".{place.name}.{os.getpid()}.part")
        with suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                # Not synced: its digest tells what a loss of power left of it, and thirty times two syncs take long.
                _write_own(temporary, hashlib.sha256(made).digest() + made)
                files.put_in_place(temporary, place)
            finally:
                temporary.unlink(missing_ok=True)

    def get_source_checksum(self, source: str) -> str:
        """Digest what decides how a template is compiled: its text, and the code that compiles it."""
        return hashlib.sha256(f"{self._compiler} {source}".encode()).hexdigest()

    @cached_property
    def _compiler(self) -> str:
        sha = hashlib.sha256(f"{jinja2.__version__} {sys.version}".encode())
        for name in CODE:
            sha.update((PACKAGE / name).read_bytes())
        return sha.hexdigest()

    @staticmethod
    def _place(bucket: Bucket) -> Path:
        return checks_folder() / "templates" / f"{bucket.key}.bytecode"


def _write_own(path: Path, content: bytes) -> None:
    with open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(content)


def _own(path: Path) -> bytes:
    """Read a file that is this user's own and that nobody else may write.

    Raises:
        OSError: There is none, or it is not so.
    """
    user: Callable[[], int] | None = getattr(os, "getuid", None)
    with path.open("rb") as file:
        found = os.fstat(file.fileno())
        if user is None or found.st_uid != user() or found.st_mode & OTHERS_WRITE:
            raise PermissionError(path)
        return file.read()
