"""Where arithmetic happens: the CPU, a CUDA device, or the GPU of an Apple chip, which torch calls MPS."""

import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch

from release import machine
from release.devices import require_possible
from release.errors import BadOption
from release.format import quoted
from release.outside import Unfit, foreign
from release.progress import Console

CPU = torch.device("cpu")
GPUS: Mapping[str, Callable[[], bool]] = {
    "cuda": lambda: torch.cuda.is_available(),
    "mps": lambda: torch.backends.mps.is_available(),
}
"""Kind → whether this machine has it; `auto` takes the first."""
FALLS_BACK = re.compile(r"The operator '([^']+)' is not currently supported on the MPS backend and will fall back")
"""What torch warns of once an operation, where the variable PYTORCH_ENABLE_MPS_FALLBACK lets it."""


def choose_device(asked: str) -> torch.device:
    """Return the torch device: `auto` takes a GPU where there is one.

    Raises:
        BadOption: There is no such device here.
    """
    require_possible(asked)
    here = [kind for kind, there in GPUS.items() if there()]
    if asked == "auto":
        return torch.device(here[0] if here else "cpu")
    known = ", ".join(["cpu", *here, "auto"])
    if asked == "meta":
        raise BadOption("Device 'meta' holds no numbers.", f"Give {known}.")
    try:
        with foreign(f"Device {quoted(asked)} cannot be used"):
            return (torch.ones(1, device=asked) + 1).cpu().new_empty(0, device=asked).device
    except Unfit as why:
        raise BadOption(f"{why}.", f"Give {known}.") from None


def device_name(device: torch.device) -> str:
    """Return what a reader should know of a device: a GPU's name, or its kind."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{machine.processor()} (mps)" if device.type == "mps" else device.type


@cache
def has_doubles(kind: str) -> bool:
    """Whether a kind of device knows float64; an Apple GPU does not."""
    try:
        torch.zeros(1, dtype=torch.float64, device=kind)
    except (TypeError, RuntimeError):
        return False
    return True


def with_doubles(device: torch.device) -> torch.device:
    """Return where what lies on a device is computed in float64: there, or on the CPU where the device has none."""
    return device if has_doubles(device.type) else CPU


def require_type(device: torch.device, dtype: torch.dtype) -> None:
    """Refuse to compute in a type that a device does not know.

    Raises:
        BadOption: It is float64, and the device has none.
    """
    if dtype == torch.float64 and not has_doubles(device.type):
        seen = f"These weights are stored as float64, which {device.type} cannot compute in."
        raise BadOption(seen, "Give --device cpu, or leave latency out: --latency off.")


def memory_free(device: torch.device) -> int | None:
    """Return the free bytes of a device, or None where this system does not say."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    free = machine.memory_free()
    if device.type != "mps" or free is None:
        return free
    # An Apple chip has one memory for all; Metal lets a process have a part of it.
    return min(free, torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())


def let_go(device: torch.device) -> None:
    """Give memory that a GPU's allocator keeps for later back to the system."""
    if device.type in GPUS:
        getattr(torch, device.type).empty_cache()


@contextmanager
def fallbacks_told(device: torch.device, console: Console) -> Iterator[None]:
    """Say at the end which operations the CPU did in place of an MPS device, which lacks them: each costs copies."""
    if device.type != "mps":
        yield
        return
    names: set[str] = set()
    with warnings.catch_warnings(), _warning_always():
        shown = warnings.showwarning

        def note(message: Warning | str, *where: Any, **more: Any) -> None:
            if found := FALLS_BACK.search(str(message)):
                names.add(found[1])
            else:
                shown(message, *where, **more)

        warnings.showwarning = note
        warnings.filterwarnings("always", message=FALLS_BACK.pattern)
        yield
    if names:
        console.say(f"MPS lacks these operations, so that the CPU did them: {', '.join(sorted(names))}.")


@contextmanager
def _warning_always() -> Iterator[None]:
    """Let torch warn each time: it says once for all operations, not for each, that one falls back."""
    before = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    try:
        yield
    finally:
        torch.set_warn_always(before)
