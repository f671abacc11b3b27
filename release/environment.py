"""The versions and hardware a release was made with; no user, host or path."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

from release import __version__
from release.record import Environment


def environment() -> Environment:
    """Describe this process's environment."""
    import torch

    cuda = torch.cuda.is_available()
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
        cores=len(os.sched_getaffinity(0)),
        device=torch.cuda.get_device_name() if cuda else "cpu",
    )


def processor() -> str:
    """Name the processor as the system does."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"
