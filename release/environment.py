"""The versions and hardware a release was made with; no user, host or path."""

import platform
from importlib.metadata import version

from release import __version__
from release.machine import cores, processor
from release.schema.record import Environment


def environment() -> Environment:
    """Describe this process's environment."""
    import torch

    from release.models.device import choose_device, device_name

    return Environment(
        release=__version__,
        python=platform.python_version(),
        torch=torch.__version__,
        transformers=version("transformers"),
        huggingface_hub=version("huggingface_hub"),
        safetensors=version("safetensors"),
        numpy=version("numpy"),
        system=platform.system(),
        machine=platform.machine(),
        processor=processor(),
        cores=cores(),
        device=device_name(choose_device("auto")),
    )
