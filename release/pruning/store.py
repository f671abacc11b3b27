"""What calibrated pruning made of each block, kept on disk until the weight files are written.

A block's file appears when the block is done, so an interrupted run goes on with the next one. Masks are packed, one
bit per weight; a method that also changes kept weights stores the tensors themselves.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from release import files
from release.checkpoint.header import Raw, Tensor
from release.checkpoint.tally import packed

UNREACHED = "unreached"
OUTLIERS = "outliers.json"


@dataclass(frozen=True)
class BlockStore:
    """A folder of finished blocks.

    Attributes:
        keeps_values: Whether tensors are stored whole, not as masks.
    """

    folder: Path
    keeps_values: bool

    def has(self, index: int) -> bool:
        """Whether a block is done."""
        return self._path(index).is_file()

    def write(self, index: int, pruned: Mapping[str, tuple[Tensor, Raw]], unreached: Iterable[str]) -> None:
        """Keep a block's tensors, as their bytes are to stand in the weight files.

        Args:
            unreached: Names of those that saw no calibration token.
        """
        kept = {
            name: data if self.keeps_values else packed(tensor, tensor.bits(data))
            for name, (tensor, data) in pruned.items()
        }
        # Not by the library's save_file, which says in an error of its own that the disk is full.
        files.write(self._path(index), save(kept, {UNREACHED: json.dumps(sorted(unreached))}))

    def apply(self, index: int, tensor: Tensor, data: Raw) -> None:
        """Prune a tensor's dense bytes in place, as was decided."""
        with safe_open(self._path(index), framework="numpy") as file:
            stored = file.get_tensor(tensor.name)
        if self.keeps_values:
            data[:] = stored
        else:
            clear(tensor, data, stored)

    def outliers(self) -> list[float] | None:
        """Each block's share of outliers, where they were looked for."""
        return files.recall(self.folder / OUTLIERS, lambda text: [float(share) for share in json.loads(text)])

    def keep_outliers(self, shares: Sequence[float]) -> None:
        """Keep each block's share of outliers."""
        files.write(self.folder / OUTLIERS, json.dumps(shares))

    def unreached(self) -> tuple[str, ...]:
        """Names of the tensors that saw no calibration token, over all finished blocks."""
        names: list[str] = []
        for path in sorted(self.folder.glob("block-*.safetensors")):
            with safe_open(path, framework="numpy") as file:
                names += json.loads(file.metadata()[UNREACHED])
        return tuple(sorted(names))

    def _path(self, index: int) -> Path:
        return self.folder / f"block-{index:05}.safetensors"


def clear(tensor: Tensor, data: Raw, marks: Raw) -> None:
    """Set the marked weights to +0.0, in place."""
    bits = tensor.bits(data)
    np.multiply(bits, np.unpackbits(marks, count=bits.size) == 0, out=bits, casting="unsafe")
