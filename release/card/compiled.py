"""Templates as Python's bytecode, kept between runs: compiling the thirty of a card takes half a second.

What is kept is run, so it lies in a folder of this user's own that nobody else may write, as Python's `__pycache__`.
"""

import hashlib
import os
import stat
from collections.abc import Callable
from contextlib import suppress

import jinja2
from jinja2.bccache import Bucket

from release.resources import PACKAGE
from release.sources.cache import checks_folder

CODE = ("format.py", "names.py", "decimals.py", "card/templates.py")
"""What a compiled template depends on besides its text: filters are called on constants while it is compiled."""
OTHERS_WRITE = 0o022
"""Permissions of a group or of everybody to write."""


class CompiledTemplates(jinja2.FileSystemBytecodeCache):
    """Compiled templates in a folder; what cannot be read or kept there is compiled again."""

    def load_bytecode(self, bucket: Bucket) -> None:
        """Take over what was kept of a template."""
        with suppress(OSError):
            super().load_bytecode(bucket)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep a compiled template."""
        with suppress(OSError):
            super().dump_bytecode(bucket)


def compiled_templates() -> CompiledTemplates | None:
    """Return the templates that were compiled before; None where no folder for them is this user's alone."""
    sha = hashlib.sha256(jinja2.__version__.encode())
    for name in CODE:
        sha.update((PACKAGE / name).read_bytes())
    folder = checks_folder() / "templates" / sha.hexdigest()[:16]
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    user: Callable[[], int] | None = getattr(os, "getuid", None)
    is_own = user is not None and found.st_uid == user() and not found.st_mode & OTHERS_WRITE
    return CompiledTemplates(str(folder)) if is_own and stat.S_ISDIR(found.st_mode) else None
