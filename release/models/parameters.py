"""The parameters of a model class, read from the files on to a device when they are needed; the next block's before."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch

from release.models.ahead import Ahead
from release.models.device import memory_free
from release.models.slots import Slot, require_filled

Parameters = dict[str, torch.Tensor]

SHARE = 0.25
"""Share of the free memory that the next block may take while this one is computed with."""


class ParameterReader:
    """Reads parameters; the block that follows in order is read while the device computes with this one.

    Args:
        slots: The stored tensors that fill each parameter.
        blocks: The parameters of each block on the meta device, by their names in the class.

    Raises:
        UnusableBase: The files do not fill a block; names what is missing.
    """

    def __init__(
        self, slots: Mapping[str, tuple[Slot, ...]], blocks: Sequence[Parameters], device: torch.device
    ) -> None:
        for block in blocks:
            require_filled(block, slots)
        self._slots, self._blocks, self._device = slots, blocks, device
        self._ahead = Ahead(device)
        self._next: tuple[int, Callable[[], Parameters]] | None = None

    def close(self) -> None:
        """Let go of what was read before it was asked for."""
        self._ahead.close()
        self._next = None

    def read(self, parameters: Parameters) -> Parameters:
        """Return parameters with their weights, by the same names.

        Raises:
            UnusableBase: The files do not fill one; names it.
        """
        require_filled(parameters, self._slots)
        return {name: self._filled(name, empty) for name, empty in parameters.items()}

    def block(self, index: int) -> Parameters:
        """Return a block's parameters, and begin with the next block's where memory has room for both."""
        known = self._next[1] if self._next and self._next[0] == index else partial(self._read, index)
        self._next = None
        parameters = known()
        if self._has_room(index + 1):
            self._next = index + 1, self._ahead.begin(partial(self._read, index + 1))
        return parameters

    def _read(self, index: int) -> Parameters:
        return {name: self._filled(name, empty) for name, empty in self._blocks[index].items()}

    def _has_room(self, index: int) -> bool:
        """Whether there is such a block, and memory for it."""
        if index >= len(self._blocks):
            return False
        free = memory_free(self._device)
        return free is None or sum(empty.nbytes for empty in self._blocks[index].values()) <= SHARE * free

    def _filled(self, name: str, empty: torch.Tensor) -> torch.Tensor:
        parameter = torch.empty_like(empty, device=self._device)
        for slot in self._slots[name]:
            slot.read(parameter, self._ahead.lane.room)
        return parameter
