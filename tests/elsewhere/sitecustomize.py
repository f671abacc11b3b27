"""Makes this project's code lack what another system lacks; Python imports this before anything else.

RELEASE_TEST_LACKS names what goes: `os.preadv` an attribute, `fcntl` a module, `/proc` a folder. RELEASE_TEST_PLATFORM
is what `sys.platform` says. Other people's packages, and Python's own, keep what they were made for, but for folders.
"""

import builtins
import importlib
import os
import sys
from collections import defaultdict
from pathlib import Path
from types import FrameType, ModuleType

OURS = tuple(f"{Path(__file__).parent.parent.parent / folder}{os.sep}" for folder in ("release", "spaces"))
LACKS = os.environ.get("RELEASE_TEST_LACKS", "").split()
PLATFORM = os.environ.get("RELEASE_TEST_PLATFORM", "")


def is_ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(OURS)


def hide_attributes(module: ModuleType, hidden: set[str]) -> None:
    class Lacking(ModuleType):
        def __getattribute__(self, name):
            if name in hidden and is_ours(sys._getframe(1)):
                raise AttributeError(f"module '{module.__name__}' has no attribute '{name}'")
            return super().__getattribute__(name)

    module.__class__ = Lacking


def hide_modules(hidden: set[str]) -> None:
    whole = builtins.__import__

    def lacking(name, *more, **others):
        if name in hidden and is_ours(sys._getframe(1)):
            raise ModuleNotFoundError(f"No module named '{name}'")
        return whole(name, *more, **others)

    builtins.__import__ = lacking


def hide_folders(folders: list[Path]) -> None:
    def refuse(event, given):
        if event in ("open", "os.listdir", "os.scandir") and given and isinstance(given[0], (str, os.PathLike)):
            path = Path(given[0])
            if any(folder == path or folder in path.parents for folder in folders):
                raise FileNotFoundError(2, "No such file or directory", str(path))

    sys.addaudithook(refuse)


def call(platform: str) -> None:
    class Elsewhere(ModuleType):
        def __getattribute__(self, name):
            if name == "platform" and is_ours(sys._getframe(1)):
                return platform
            return super().__getattribute__(name)

    sys.__class__ = Elsewhere


attributes = defaultdict(set)
for owner, _, attribute in (name.partition(".") for name in LACKS if "." in name):
    attributes[owner].add(attribute)
for owner, names in attributes.items():
    hide_attributes(importlib.import_module(owner), names)
hide_modules({name for name in LACKS if "." not in name and "/" not in name})
hide_folders([Path(name) for name in LACKS if name.startswith("/")])
if PLATFORM:
    call(PLATFORM)
