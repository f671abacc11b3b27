"""What people do with a pruned model next, done to one matrix at a time; of each only where it leaves zeros is kept.

Rounding is to the nearest step, the data-free kind that most converters do. Its two families differ in what they do to
zeros: a scale alone has a step at 0, an offset need not have one. The scales stay in float32; that moves no zero.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

GROUP = 32
"""Neighboring weights of a row that share a scale, as in GGUF's Q4_0 and Q4_1."""
RANK = 8
SIZE = 1e-3
"""Of the LoRA that is merged: rank, and standard deviation of what each of its ranks adds to a weight."""

Treatment = Callable[[Tensor, torch.dtype, torch.Generator], Tensor]
"""Takes a matrix in float32, its stored type and what draws; returns it as it is afterwards."""


def by_rows(weight: Tensor, *_: object) -> Tensor:
    """Round to 8 bits with one scale for each row, whose largest weight is 127."""
    step = weight.abs().amax(-1, keepdim=True) / 127
    return _steps(weight, step)


def by_groups(weight: Tensor, *_: object) -> Tensor:
    """Round to 4 bits with one scale for each group, whose largest weight is −8 (Q4_0)."""
    groups = _grouped(weight)
    largest = groups.gather(-1, groups.abs().argmax(-1, keepdim=True))
    step = largest / -8
    return (_whole(groups, step).clamp(-8, 7) * step).reshape(weight.shape)


def with_offset(weight: Tensor, *_: object) -> Tensor:
    """Round to 4 bits between the least and the largest weight of each group (Q4_1)."""
    groups = _grouped(weight)
    least, largest = groups.aminmax(dim=-1, keepdim=True)
    step = (largest - least) / 15
    return (_whole(groups - least, step) * step + least).reshape(weight.shape)


def merged(weight: Tensor, dtype: torch.dtype, draws: torch.Generator) -> Tensor:
    """Add a LoRA that is drawn at random, as merging one does: W + B A, in the stored type."""
    rows, columns = weight.shape[-2:]
    down = torch.randn(RANK, columns, generator=draws)
    up = torch.randn(rows, RANK, generator=draws) * SIZE
    return (weight + up @ down).to(dtype)


TREATMENTS: Mapping[str, Treatment] = {
    "int8": by_rows,
    "q4_0": by_groups,
    "q4_1": with_offset,
    "lora": merged,
}
"""By their names in a record."""


def _grouped(weight: Tensor) -> Tensor:
    """Lay a matrix out in groups; a row that is no multiple of one is a group by itself."""
    columns = weight.shape[-1]
    return weight.reshape(-1, GROUP if columns % GROUP == 0 else columns)


def _steps(weight: Tensor, step: Tensor) -> Tensor:
    return _whole(weight, step) * step


def _whole(weight: Tensor, step: Tensor) -> Tensor:
    """How many steps a weight is, halves rounded up as GGUF does; none where the step is 0."""
    return torch.where(step == 0, 0.0, weight / step + 0.5).floor()
