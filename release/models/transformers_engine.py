"""transformers on PyTorch, the engine that reads everything else, too; see `engine.Engine`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from release.models.clock import answer
from release.models.device import device_name, memory_free, require_type
from release.models.engine import EnginePlace, Take
from release.models.exchange import exchanged as _resident
from release.models.exchange import own_memory
from release.models.load import loaded, stored_type
from release.models.reader import opened

__all__ = ["answer", "exchanged", "opened", "place", "require", "side_by_side"]


def place(device: torch.device) -> EnginePlace:
    """Return the device itself."""
    return EnginePlace(device.type, device_name(device), memory_free(device), torch.get_num_threads())


def require(folder: Path, device: torch.device) -> None:
    """Refuse a type that the device does not know; what transformers cannot load is no base.

    Raises:
        BadOption: The weights are stored in it.
    """
    require_type(device, stored_type(folder))


@contextmanager
def exchanged(dense: Path, pruned: Path, device: torch.device) -> Iterator[Take]:
    """Hold one model whose weights keep their addresses.

    Raises:
        UnusableBase: A model cannot be loaded or does not fit into memory.
    """
    with _resident(dense, pruned, device) as resident:
        yield resident.take


@contextmanager
def side_by_side(dense: Path, pruned: Path, device: torch.device) -> Iterator[Take]:
    """Hold both models.

    Raises:
        UnusableBase: A model cannot be loaded, or they do not fit into memory.
    """
    with loaded(dense, device, None) as first, loaded(pruned, device, None) as second:
        models = (first, second)
        for model in models:
            own_memory(model)
        yield models.__getitem__
