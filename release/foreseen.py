"""What is said of errors that are not this package's own, and were foreseen all the same: disk, memory, paths."""

import errno
import os
import re
from typing import NamedTuple

from release.errors import ReleaseError
from release.extras import missing

NO_MEMORY = re.compile(r"can't allocate memory|out of memory")
"""What torch says of a machine or a GPU."""
DISK_REMEDIES = {
    errno.ENOSPC: "Make room on that disk, and run the same command again.",
    errno.EDQUOT: "Make room within your quota, and run the same command again.",
    errno.EMFILE: "Allow more open files (`ulimit -n`), and run the same command again.",
    errno.EIO: "Check the disk, and run the same command again.",
}


class ErrorMessage(NamedTuple):
    """What is said of an error: what was seen, what to do next, and the exit code."""

    seen: str
    remedy: str
    exit_code: int


def foreseen(error: BaseException) -> ErrorMessage | None:
    """Say what was seen and what to do next; None for an error that nobody foresaw."""
    if told := missing(error):
        return ErrorMessage(*told, 2)
    if isinstance(error, ReleaseError):
        return ErrorMessage(error.seen, error.remedy, error.exit_code)
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and NO_MEMORY.search(str(error))):
        return ErrorMessage("Memory ran out.", "Close what else needs memory, or use a larger machine.", 2)
    if isinstance(error, OSError) and (error.filename or error.errno in DISK_REMEDIES):
        place = f" ({os.fsdecode(error.filename)})" if isinstance(error.filename, str | bytes) else ""
        remedy = DISK_REMEDIES.get(error.errno or 0, "Check the path, its permissions and the disk.")
        return ErrorMessage(f"{error.strerror or type(error).__name__}{place}.", remedy, 2)
    return None
