"""Names of a package that are imported when they are asked for."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module


def exported(package: str, homes: Mapping[str, tuple[str, ...]]) -> Callable[[str], object]:
    """Return a package's `__getattr__`, which finds its names where they are defined.

    Args:
        homes: Module, by its whole name → names that it defines.
    """
    modules = {name: module for module, names in homes.items() for name in names}

    def find(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found: object = getattr(import_module(modules[name]), name)
        setattr(sys.modules[package], name, found)
        return found

    return find
