"""A GPU that is not there: what is placed on it is computed on the CPU, and refused where a real one would refuse.

Tensors of two devices do not mix, but for single numbers, and float64 is refused where the device is to know none, as
an Apple GPU does.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest
import torch
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from release.models.device import has_doubles

aten = torch.ops.aten
NAME = "pretended"
MOVING = (aten._to_copy.default, aten.copy_.default, aten._has_compatible_shallow_copy_type.default)
"""What takes tensors of two devices."""


@cache
def device() -> torch.device:
    """Return the device; torch keeps a place for one backend from outside."""
    torch.utils.rename_privateuse1_backend(NAME)
    torch._register_device_module(NAME, backend_registration._DummyBackendModule())
    torch._C._acc.register_python_privateuseone_device_guard(backend_registration._DummyDeviceGuard())
    return torch.device(NAME, 0)


class Placed(torch.Tensor):
    """A tensor that says it lies on the device; its numbers lie in `held`, whose memory it shares."""

    held: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> "Placed":
        made = torch.Tensor._make_subclass(cls, held, False, dispatch_device=True, device_for_backend_keys=device())
        made.held = held
        return made

    @property
    def device(self) -> torch.device:
        return device()

    def tolist(self) -> Any:
        return self.held.tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.prim.device.default:
            return device()
        raise RuntimeError(f"{func} was asked for where there is no such device any more")


class Fake(TorchDispatchMode):
    """Computes what is asked of the device.

    Args:
        doubles: Whether it knows float64.

    Attributes:
        done: How often each operation gave a tensor on the device.
        copied: Bytes of each tensor that was copied to it, with the thread that asked.
    """

    def __init__(self, doubles: bool, noted: "tuple[Counter[str], list[tuple[int, int]]] | None" = None) -> None:
        super().__init__()
        self.done, self.copied = noted or (Counter(), [])
        self._doubles = doubles

    def again(self) -> "Fake":
        """Return the same for another thread: each has modes of its own."""
        return Fake(self._doubles, (self.done, self.copied))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)]
        placed = [isinstance(each, Placed) for each in tensors]
        if func is torch.ops.prim.device.default and any(placed):
            return device()
        if torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"):
            with self:  # made of others, which are asked for here each
                return func.decompose(*args, **kwargs)
        if any(placed) and func not in MOVING and any(t.dim() and not p for t, p in zip(tensors, placed, strict=True)):
            raise RuntimeError(f"{func}: expected all tensors to be on the same device")
        asked = kwargs.get("device")
        there = any(placed) if asked is None else torch.device(asked).type == NAME
        here = {name: "cpu" if name == "device" and value is not None else value for name, value in kwargs.items()}
        if func in MOVING and there and not placed[-1]:
            self.copied.append((tensors[-1].nbytes, threading.get_ident()))
        found = func(*tree_map(unplaced, args), **tree_map(unplaced, here))
        if func is aten.copy_.default:
            return args[0]
        self.done[str(func)] += there
        return tree_map(self._put, found) if there else found

    def _put(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor) and value.dtype == torch.float64 and not self._doubles:
            raise TypeError("Cannot convert a tensor of this device to float64: it doesn't support float64.")
        return Placed(value) if isinstance(value, torch.Tensor) else value


def unplaced(value: Any) -> Any:
    return value.held if isinstance(value, Placed) else value


@contextmanager
def fake_gpu(doubles: bool) -> Iterator[Fake]:
    """Let there be a GPU."""
    lifts = torch._C._only_lift_cpu_tensors()
    has_doubles.cache_clear()
    submit = ThreadPoolExecutor.submit
    with Fake(doubles) as fake, pytest.MonkeyPatch.context() as patch:

        def submit_there(pool: ThreadPoolExecutor, work: Callable[..., Any], *args: Any) -> Any:
            return submit(pool, lambda: within(fake.again(), work, *args))

        patch.setattr(ThreadPoolExecutor, "submit", submit_there)
        torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(…, device=…) would go beneath every mode
        torch.__future__.set_overwrite_module_params_on_conversion(True)  # a parameter becomes one of another class
        try:
            yield fake
        finally:
            torch._C._set_only_lift_cpu_tensors(lifts)
            torch.__future__.set_overwrite_module_params_on_conversion(False)


def within(mode: Fake, work: Callable[..., Any], *args: Any) -> Any:
    torch._C._set_only_lift_cpu_tensors(True)  # each thread has this of its own, too; this one ends with its pool
    with mode:
        return work(*args)
