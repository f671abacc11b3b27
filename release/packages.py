"""Whether a package is here, and in which version, told without importing it."""

from contextlib import suppress
from importlib import metadata
from importlib.util import find_spec


def installed(package: str) -> bool:
    """Whether a package can be imported; a folder of its name in the working folder is none.

    Args:
        package: The name that it is imported by.
    """
    with suppress(ImportError, ValueError):  # as of a module that stands for nothing
        found = find_spec(package)
        return found is not None and (found.origin is not None or version(package) is not None)
    return False


def version(package: str) -> str | None:
    """Return the version of a distribution that is called as it is imported; None where there is none."""
    with suppress(metadata.PackageNotFoundError):
        return metadata.version(package)
    return None
