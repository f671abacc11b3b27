"""Where a release may be built: asked before any work, and before anything heavy is loaded."""

import os
import tempfile
from pathlib import Path

from release.errors import OutputConflict
from release.names import RECORD
from release.sources.cache import cache_folder


def require_place(out: Path, model: str) -> None:
    """Refuse a folder for releases that nothing can be built in; nothing is left there.

    Args:
        out: The folder, which need not exist.
        model: The base, as asked for; a folder is not to receive what is made from it.

    Raises:
        OutputConflict: Nothing can be written there, or it lies inside the base, the demo model, or a release.
    """
    _require_writable(out)
    place = out.resolve()
    if model.strip() and Path(model).is_dir() and place.is_relative_to(Path(model).resolve()):
        raise OutputConflict(f"--out {out} lies inside the base model.", "Give a folder outside of it.")
    if place.is_relative_to((cache_folder() / "demo").resolve()):
        raise OutputConflict(f"--out {out} lies inside the demo model.", "Give a folder outside of it.")
    records = (
        place / "model" / RECORD,
        *(above / name for above in place.parents for name in (f"model/{RECORD}", RECORD)),
    )
    if any(record.is_file() for record in records):
        raise OutputConflict(f"--out {out} lies inside a release.", "Give a folder outside of it.")


def _require_writable(out: Path) -> None:
    """Try it: what permissions say is not what a read-only mount, a quota or a system folder does."""
    there = next(folder for folder in (out, *out.absolute().parents) if os.path.lexists(folder))
    if not there.is_dir():
        raise OutputConflict(f"--out {out} cannot be a folder: {there} is a file.", "Give another --out.")
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        seen = f"Nothing can be written to --out {out}: {error.strerror or type(error).__name__} ({there})."
        raise OutputConflict(seen, "Give another --out, or make that folder writable.") from None
