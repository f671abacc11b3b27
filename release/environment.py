"""The versions and hardware a release was made with; no user, host or path."""

import platform
import re
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from release import __version__
from release.machine import cores, processor
from release.schema.record import Environment

TORCH_VERSION = re.compile(r"^__version__ = '([^']+)'$", re.MULTILINE)


def environment(computes: bool) -> Environment:
    """Describe this process's environment.

    Args:
        computes: Whether a device ran the model; else torch is not asked for one, which would take seconds.
    """
    return Environment(
        release=__version__,
        python=platform.python_version(),
        torch=_torch_version(),
        transformers=version("transformers"),
        huggingface_hub=version("huggingface_hub"),
        safetensors=version("safetensors"),
        numpy=version("numpy"),
        system=platform.system(),
        machine=platform.machine(),
        processor=processor(),
        cores=cores(),
        device=_device() if computes else "cpu",
    )


def _device() -> str:
    from release.models.device import choose_device, device_name  # torch

    return device_name(choose_device("auto"))


def _torch_version() -> str:
    """Return `torch.__version__`, which also names the build for a kind of GPU, as torch's own file says it."""
    found = find_spec("torch")
    file = Path(found.origin or "").parent / "version.py" if found else Path()
    stated = TORCH_VERSION.search(file.read_text(encoding="utf-8")) if file.is_file() else None
    return stated[1] if stated else version("torch")
