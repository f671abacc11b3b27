"""What a base that is a folder is: whether that contradicts what its publisher states, and what it shows of itself."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from release.errors import BadOption
from release.settings.base import Identity

GGUF_KEY = "_model_name_or_path"
"""What transformers makes of a GGUF file's `general.name` in config.json; no other way of loading writes this key."""
EPSILONS = ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_eps")
"""Numbers of config.json that a GGUF file holds in 32 bits."""


def require_agreement(said: Identity, known: Identity, where: str) -> None:
    """Refuse what contradicts the base itself.

    Args:
        known: What is known of the base; where that is None anything may be said, where it is "" nothing.
        where: What knows it, for the message.

    Raises:
        BadOption: Names the option.
    """
    for option, asked, found in (
        ("--base-id", said.id, known.id),
        ("--license", said.licence, known.licence),
        ("--base-note", said.note, known.note),
    ):
        if asked is not None and found is not None and asked != found:
            seen = f"says {found!r}" if found else "states none"
            raise BadOption(f"{option} says {asked!r}, but {where} {seen}.", f"Leave {option} out.")


def gguf_note(folder: Path) -> str | None:
    """Say so where a folder shows that its weights were unpacked from a GGUF file, or may have been.

    Nothing in a folder proves the reverse: who saves such weights with a configuration of another origin leaves no
    trace. How many bits the GGUF file gave a weight is not kept anywhere.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(config, dict):
        return None
    tail = "how many bits that file gave each weight is not known, so they may differ from the original ones."
    if proof := next(_proofs(config), None):
        return f"The base weights were unpacked from a GGUF file ({proof}); {tail}"
    if hint := next(_hints(config, folder), None):
        return f"The base weights may have been unpacked from a GGUF file ({hint}); if so, {tail}"
    return None


def _proofs(config: Mapping[str, Any]) -> Iterator[str]:
    quantised = config.get("quantization_config")
    if isinstance(quantised, dict) and quantised.get("quant_method") == "gguf":
        yield "config.json names gguf as their form"
    if GGUF_KEY in config:
        yield f"config.json has {GGUF_KEY}, which only loading such a file writes"


def _hints(config: Mapping[str, Any], folder: Path) -> Iterator[str]:
    if any(folder.glob("*.gguf")):
        yield "one lies beside them"
    for key in EPSILONS:
        value = config.get(key)
        if isinstance(value, float) and _from_32_bits(value):
            yield f"config.json's {key} is a 32-bit number, as such a file holds it"


def _from_32_bits(value: float) -> bool:
    """Tell whether a number is a short decimal that was stored in 32 bits: 1e-05 became 9.999999747378752e-06."""
    small = np.float32(value)
    return float(small) == value and float(str(small)) != value
