"""How much memory a model takes, and how much is free."""

from collections.abc import Iterable
from pathlib import Path

import psutil
import recipe
from huggingface_hub import HfApi
from lineup import Source
from trouble import UNREADABLE

CGROUP = Path("/sys/fs/cgroup")
CARDS = (Path("/dev/nvidia0"), Path("/dev/kfd"))
"""Where Linux shows a GPU of NVIDIA's or AMD's make; asking PyTorch would load it."""


def fit(sources: Iterable[Source]) -> bool:
    """Whether these models fit into memory together, as far as that can be told without loading anything."""
    if any(card.exists() for card in CARDS):
        return True
    needed, free = [weight_bytes(source.id, source.path) for source in sources], free_bytes()
    return free is None or sum(size or 0 for size in needed) <= free


def free_bytes() -> int | None:
    """Return the bytes that can still be had, on the machine or in its container; None where that is not known."""
    found = [size for size in (_machine(), _container()) if size is not None]
    return min(found, default=None)


def _machine() -> int | None:
    try:
        return int(psutil.virtual_memory().available)
    except (OSError, RuntimeError, ValueError):
        return None


def _container() -> int | None:
    try:
        limit, used = (int((CGROUP / name).read_text(encoding="ascii")) for name in ("memory.max", "memory.current"))
        # Cached files count as used and give way.
        stated = (CGROUP / "memory.stat").read_text(encoding="ascii").splitlines()
        cached = next(int(line.split()[1]) for line in stated if line[:5] == "file ")
    except (OSError, ValueError, StopIteration):
        return None
    return limit - used + cached


def weight_bytes(model: str, path: str | None) -> int | None:
    """Return the size of a model's weight files; None where it cannot be told.

    Args:
        model: Its id on the Hub.
        path: A folder that is used instead.
    """
    try:
        if path is not None:
            sizes = {each.name: each.stat().st_size for each in Path(path).glob("*.safetensors")}
        else:
            files = HfApi().model_info(model, files_metadata=True).siblings or []
            sizes = {file.rfilename: file.size or 0 for file in files if file.rfilename.endswith(".safetensors")}
        # Some repositories hold their weights a second time in one file, which is not read.
        stored = sum(size for name, size in sizes.items() if "/" not in name and not name.startswith("consolidated"))
        return stored or (recipe.made_bytes(model) if path is None else 0)
    except UNREADABLE:
        return None
