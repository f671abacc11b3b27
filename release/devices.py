"""Devices that cannot be here, as far as that is known without torch, which takes seconds to load."""

import ctypes
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from release.errors import BadOption
from release.format import quoted

DRIVERS: Mapping[str, tuple[str, str]] = {
    "linux": ("libcuda.so.1", "libnvidia-ml.so.1"),
    "win32": ("nvcuda.dll", "nvml.dll"),
}
"""System → NVIDIA's driver, as torch itself looks for it, and the library that counts what the driver drives."""
NODES: Mapping[str, tuple[str, ...]] = {"hip": ("/dev/kfd", "/dev/dxg"), "xpu": ("/dev/dri", "/dev/dxg")}
"""What Linux shows of an AMD or an Intel GPU, of which one is there at least."""
PLUGINS: Mapping[str, str] = {"hpu": "habana_frameworks", "mtia": "mtia"}
"""Kinds that torch knows by a package of their own alone."""
NO_DRIVER = 9
"""What NVML answers where the driver is installed, and not loaded."""
BUILT = re.compile(r"^(__version__|cuda|hip|xpu)\b[^=\n]*= *(?:None|'([^'\n]*)')", re.MULTILINE)
"""Lines of torch's version.py."""


@dataclass(frozen=True)
class Surroundings:
    """What a device takes, as far as it is known without torch.

    Attributes:
        system: As `sys.platform` says.
        built: What torch's version.py says: its version, and the kinds it was built for; empty where that is unknown.
        gpus: Counts the GPUs that NVIDIA's driver drives; None where that is unknown.
        exists: Whether there is a file or device of a path.
        installed: Whether there is a package of a name.
    """

    system: str
    built: Mapping[str, str]
    gpus: Callable[[], int | None]
    exists: Callable[[str], bool] = os.path.exists
    installed: Callable[[str], bool] = lambda name: find_spec(name) is not None


def require_possible(asked: str, around: Surroundings | None = None) -> None:
    """Refuse a device that cannot be here; whether one that can be is here, torch alone knows.

    Args:
        asked: As `--device` takes it.
        around: By default what this machine is.

    Raises:
        BadOption: Says why not, and which kinds can be.
    """
    around = around or surroundings()
    if why := absent(asked, around):
        known = ", ".join(["cpu", *(kind for kind in ("cuda", "mps") if absent(kind, around) is None), "auto"])
        raise BadOption(f"Device {quoted(asked)} cannot be used ({why}).", f"Give {known}.")


def surroundings() -> Surroundings:
    """What this machine is."""
    return Surroundings(sys.platform, torch_build(), partial(nvidia_gpus, sys.platform))


def absent(asked: str, around: Surroundings) -> str | None:
    """Say why a device cannot be here; None where it can."""
    kind, _, index = asked.partition(":")
    if kind == "mps":
        return None if around.system == "darwin" else "only macOS has it"
    if kind in PLUGINS:
        return None if around.installed(PLUGINS[kind]) else f"the package {PLUGINS[kind]} is not installed"
    if kind not in ("cuda", "xpu") or not around.built:
        return None
    build = "hip" if kind == "cuda" and around.built["hip"] else kind
    if not around.built[build]:
        return f"the installed torch {around.built['__version__']} is built without {kind.upper()}"
    return _no_nvidia(index, around) if build == "cuda" else _no_node(build, around)


def _no_nvidia(index: str, around: Surroundings) -> str | None:
    gpus = around.gpus()
    if gpus is None or gpus > int(index or 0):
        return None
    return f"the last NVIDIA GPU here is cuda:{gpus - 1}" if gpus else "no driver of an NVIDIA GPU is at work here"


def _no_node(build: str, around: Surroundings) -> str | None:
    if around.system != "linux" or any(map(around.exists, NODES[build])):
        return None
    return f"there is none of {', '.join(NODES[build])}"


def torch_build() -> Mapping[str, str]:
    """What torch's version.py says, which is read and not run; a kind that it is not built for is an empty text."""
    found = find_spec("torch")
    if found is None or found.origin is None:
        return {}
    try:
        said = Path(found.origin).with_name("version.py").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return {}
    built = dict(BUILT.findall(said))
    return {"hip": "", "xpu": "", **built} if built.get("__version__") and "cuda" in built else {}


def nvidia_gpus(system: str) -> int | None:
    """Count the GPUs that NVIDIA's driver drives, at least as many as CUDA shows; None where it is not said."""
    if system not in DRIVERS:
        return None
    driver, counter = DRIVERS[system]
    try:
        ctypes.CDLL(driver)
    except OSError:
        return 0
    try:
        nvml = ctypes.CDLL(counter)
        return _counted(nvml)
    except (OSError, AttributeError):
        return None


def _counted(nvml: ctypes.CDLL) -> int | None:
    count = ctypes.c_uint()
    if answer := nvml.nvmlInit_v2():
        return 0 if answer == NO_DRIVER else None
    try:
        return None if nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)) else count.value
    finally:
        nvml.nvmlShutdown()
