"""What stored weights are multiplied with, seen at the products themselves.

Every matrix product that torch is asked for passes by here; a weight is recognised by the memory it lies in, be it a
layer's own or one expert of a fused tensor. So no model class has to be known.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.overrides import TorchFunctionMode

from release.errors import UnusableBase
from release.models.device import with_doubles

PRODUCTS: dict[Any, tuple[int, int, int]] = {
    torch.nn.functional.linear: (0, 1, -1),
    torch.matmul: (0, 1, -2),
    torch.Tensor.matmul: (0, 1, -2),
    torch.Tensor.__matmul__: (0, 1, -2),
    torch.mm: (0, 1, -2),
    torch.Tensor.mm: (0, 1, -2),
    torch.bmm: (0, 1, -2),
    torch.Tensor.bmm: (0, 1, -2),
    torch.addmm: (1, 2, -2),
    torch.Tensor.addmm: (1, 2, -2),
    torch.baddbmm: (1, 2, -2),
    torch.Tensor.baddbmm: (1, 2, -2),
}
"""Function → which argument is the input, which the weight, and along which of the weight's axes they meet."""

UNCALIBRATED = "This architecture cannot be calibrated; prune it by random or magnitude."
EXPERTS = 3
"""Dimensions of a parameter that holds several experts."""

ROWS = 256
"""Tokens whose squares are summed in fp32 at a time: few enough to stay in the processor's cache."""


@dataclass(frozen=True)
class ActivationStats:
    """What one stored tensor was multiplied with, over all calibration tokens.

    Attributes:
        squares: Σx² of every input, [experts, inputs]; experts is 1 but for fused ones.
        tokens: How many tokens reached each expert, [experts].
        gram: Σxxᵀ in fp32, [experts, inputs, inputs], where it was asked for; tensors that read the same input may
            share its memory.
    """

    squares: NDArray[np.float64]
    tokens: NDArray[np.int64]
    gram: torch.Tensor | None


class _Sums:
    """Running sums over the inputs of weights that always read the same."""

    def __init__(self, width: int, device: torch.device, gram: bool) -> None:
        self.squares = torch.zeros(width, dtype=torch.float64, device=with_doubles(device))
        self.gram = torch.zeros(width, width, device=device) if gram else None
        self.tokens = 0
        self.calls = 0

    def add(self, rows: torch.Tensor) -> None:
        """Add rows, [tokens, inputs]."""
        parts = torch.stack([few.square().sum(dim=0) for few in torch.split(rows, ROWS)])
        for part in parts.to(self.squares.device):
            self.squares += part
        if self.gram is not None:
            self.gram.addmm_(rows.T, rows)
        self.tokens += len(rows)
        self.calls += 1


class ActivationWatch(TorchFunctionMode):
    """While entered, sums up what some parameters are multiplied with.

    Args:
        parameters: Name → [outputs, inputs] or [experts, …] in either order of axes, each in memory of its own.
        gram: Whether to sum xxᵀ too.
    """

    def __init__(self, parameters: Mapping[str, torch.Tensor], gram: bool) -> None:
        super().__init__()
        self._parameters = parameters
        self._names = {p.untyped_storage().data_ptr(): name for name, p in parameters.items()}
        self._gram = gram
        self._sums: dict[tuple[str, int], _Sums] = {}
        self._calls: Counter[tuple[str, int]] = Counter()
        self._last: tuple[torch.Tensor, _Sums] | None = None
        self._strides: dict[str, int] = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in PRODUCTS and len(args) > PRODUCTS[func][1]:
            values, weight, axis = PRODUCTS[func]
            self._see(args[values], args[weight], axis)
        return func(*args, **(kwargs or {}))

    def input_stride(self, parameter: str) -> int | None:
        """Step in the parameter's memory from one input to the next; None where no product was seen."""
        return self._strides.get(parameter)

    def inputs(self, name: str, parameter: str, experts: Sequence[int], width: int) -> ActivationStats:
        """Return what was summed up for a stored tensor.

        Args:
            name: The stored tensor's, for messages.
            parameter: Which it is part of.
            experts: The experts it holds; 0 where the parameter has none.
            width: Its inputs.

        Raises:
            UnusableBase: An input was NaN or infinite, or the model's layers share their inputs irregularly.
        """
        device = self._parameters[parameter].device
        sums = [self._sums.get((parameter, e)) or _Sums(width, device, self._gram) for e in experts]
        for expert, one in zip(experts, sums, strict=True):
            _require_sound(name, one, self._calls[parameter, expert])
        squares = torch.stack([one.squares for one in sums]).cpu().numpy()
        tokens = np.array([one.tokens for one in sums], dtype=np.int64)
        return ActivationStats(squares, tokens, _stacked([one.gram for one in sums if one.gram is not None]))

    def _see(self, values: torch.Tensor, weight: torch.Tensor, axis: int) -> None:
        name = self._names.get(weight.untyped_storage().data_ptr())
        if name is None:
            return
        whole = self._parameters[name]
        if whole.dim() < EXPERTS and weight.numel() != whole.numel():
            raise UnusableBase(f"{name} is several matrices in one.", UNCALIBRATED)  # DBRX stacks its experts so
        self._strides[name] = weight.stride(axis)
        if weight.dim() == whole.dim() == EXPERTS:
            for expert, rows in enumerate(values):
                # Such a class gives an expert all tokens, as zeros where they are another's.
                self._add((name, expert), rows[rows.any(dim=-1)])
        else:
            expert = int(weight.storage_offset()) // whole.stride(0) if whole.dim() == EXPERTS else 0
            self._add((name, expert), values)

    def _add(self, key: tuple[str, int], values: torch.Tensor) -> None:
        """Sum the input up, but once where it is the very tensor that the layer before read (q, k, v; gate, up).

        A tensor that a layer has read is not changed afterwards: its gradient would need it.
        """
        if not values.numel():
            return
        self._calls[key] += 1
        before = self._last[1] if self._last and self._last[0] is values else None
        if key not in self._sums:
            self._sums[key] = before or _Sums(values.shape[-1], values.device, self._gram)
        sums = self._sums[key]
        if sums is not before:
            sums.add(values.reshape(-1, values.shape[-1]))
            self._last = values, sums


def _require_sound(name: str, sums: _Sums, calls: int) -> None:
    if sums.calls != calls:
        raise UnusableBase(f"{name} shares its input with other layers at some times and not at others.", UNCALIBRATED)
    if not sums.squares.isfinite().all():
        raise UnusableBase(
            f"What {name} is multiplied with became NaN or infinite on the calibration text.",
            "Its weights are broken: check them with `release verify`.",
        )


def _stacked(grams: list[torch.Tensor]) -> torch.Tensor | None:
    if not grams:
        return None
    return grams[0][None] if len(grams) == 1 else torch.stack(grams)
