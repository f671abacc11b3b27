"""config.json as transformers reads it."""

from pathlib import Path
from typing import Any

from release.checkpoint.forms import PACKINGS, is_sparsity


def library_config(folder: Path) -> Any:
    """Return the library's configuration of a checkpoint folder; it may raise anything.

    What only tells of zeros in plain weights is left out: the library would look for a quantiser, which is no part of
    what the weights need.
    """
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    for field in PACKINGS:
        if is_sparsity(field, getattr(config, field, None)):
            delattr(config, field)
    return config
