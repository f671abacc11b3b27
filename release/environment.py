"""The versions and hardware a release was made with; no user, host or path."""

import platform
from importlib.metadata import version

from release import __version__
from release.devices import torch_build
from release.machine import cores, processor
from release.schema.record import Environment


def environment(computes: bool) -> Environment:
    """Describe this process's environment.

    Args:
        computes: Whether a device ran the model; else torch is not asked for one, which would take seconds.
    """
    return Environment(
        release=__version__,
        python=platform.python_version(),
        # It names the build for a kind of GPU, too, which the installed distribution need not.
        torch=torch_build().get("__version__") or version("torch"),
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
