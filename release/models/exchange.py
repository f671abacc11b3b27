"""One model in memory of its own that takes the weights of either of two models of the same shapes.

Weights that are mapped from a file lie wherever their pages happen to lie, and that alone made two byte-equal files
differ by 1 to 2 % in speed for as long as the pages stayed. Here both sides answer from the same addresses.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from release.checkpoint.folder import open_checkpoint
from release.models.load import loaded

CPU = torch.device("cpu")


def alike(dense: Path, pruned: Path) -> bool:
    """Whether two checkpoints hold tensors of the same names, shapes and stored types; only headers are read."""
    first, second = ({t.name: (t.dtype, t.shape) for t in open_checkpoint(each).tensors()} for each in (dense, pruned))
    return first == second


class Exchanged:
    """The resident model.

    Attributes:
        model: Answers with the weights that it took last.
    """

    def __init__(self, dense: Any, pruned: Any, device: torch.device) -> None:
        """Move the dense model into memory of its own; the pruned one stays where it was mapped.

        Args:
            dense: On the CPU; it becomes the resident model.
            pruned: On the CPU, of the same shapes and types.
            device: Where the resident model lies from now on.
        """
        sides = (own_memory(dense), {name: tensor.data for name, tensor in weights(pruned)})
        differ = [name for name, tensor in sides[0].items() if not torch.equal(tensor, sides[1][name])]
        self.model = dense.to(device)
        resident = dict(weights(self.model))
        self._places = [resident[name].data for name in differ]
        self._sources = tuple([side[name] for name in differ] for side in sides)

    @torch.inference_mode()
    def take(self, side: int) -> Any:
        """Copy the weights in which the sides differ: 0 dense, 1 pruned. Return the model."""
        for place, source in zip(self._places, self._sources[side], strict=True):
            place.copy_(source)
        return self.model


@contextmanager
def exchanged(dense: Path, pruned: Path, device: torch.device) -> Iterator[Exchanged]:
    """Load two checkpoints that are `alike` into one resident model, as they are stored.

    Raises:
        UnusableBase: One cannot be loaded or does not fit into memory.
    """
    with loaded(dense, CPU, None, mapped=True) as first, loaded(pruned, CPU, None, mapped=True) as second:
        yield Exchanged(first, second, device)


def own_memory(model: Any) -> dict[str, torch.Tensor]:
    """Copy every weight into memory of its own, where all its pages are resident; return where they lay before."""
    before = {}
    for name, tensor in weights(model):
        before[name] = tensor.data
        tensor.data = tensor.data.clone()
    return before


def weights(model: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Name and tensor of every parameter and buffer; a tied one once."""
    yield from model.named_parameters()
    yield from model.named_buffers()
