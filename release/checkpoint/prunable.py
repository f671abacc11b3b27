"""Which tensors of a checkpoint are prunable.

Prunable are the weights of the linear layers inside the transformer blocks: attention projections, MLP and experts.
Embeddings, the LM head, norms, biases and the routers of mixtures of experts are not. The set is found from the
names and shapes on disk alone (`from_shapes`) and then held against the model class on the meta device
(`cross_check`), so that a layer that either side overlooks stops the run by name.
"""

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from release import outside
from release.checkpoint.configuration import library_config
from release.checkpoint.folder import read_config as config_of_folder
from release.checkpoint.header import FLOATS
from release.errors import UnusableBase

if TYPE_CHECKING:
    import torch

Shapes = Mapping[str, tuple[int, ...]]

BLOCK = re.compile(r"(?:^|.*\.)layers\.([0-9]{1,6})\.(.+)$")
"""A tensor's name: the number of its block, of so many digits at most, and the rest."""
ROUTERS = {"gate", "router", "shared_expert_gate"}
EXPERT = re.compile(r"\.experts\.(?:\d+\.)?")
LAYERS = {"num_hidden_layers", "n_layer", "n_layers", "num_layers"}
EXPERTS = {"num_experts", "num_local_experts", "n_routed_experts", "n_shared_experts", "moe_num_experts"}
HEADS = {"num_attention_heads", "num_key_value_heads", "n_head", "n_heads"}
MOST = dict.fromkeys(LAYERS, 1_000) | dict.fromkeys(EXPERTS, 4_096) | dict.fromkeys(HEADS, 4_096)
"""What is counted in config.json, and the most that is believed; the largest models have an eighth of it."""
TEXT = ("text_config", "llm_config", "language_config")
"""Where config.json describes the language model of a larger one."""


def from_shapes(shapes: Shapes) -> tuple[str, ...]:
    """Name the prunable tensors, in name order.

    A tensor is prunable when it lies in a block, has two dimensions (or three, as fused experts have), is a
    weight and belongs to no router.

    Args:
        shapes: Name → shape of every tensor on disk.

    Raises:
        UnusableBase: No block holds such a tensor.
    """
    names = tuple(sorted(name for name, shape in shapes.items() if _is_linear(name, len(shape))))
    if not names:
        raise UnusableBase(
            "No transformer block was found: no tensor is named `….layers.<n>.<module>.weight`.",
            "Only causal language models with blocks named `layers` are supported.",
        )
    return names


def _is_linear(name: str, dimensions: int) -> bool:
    match = BLOCK.match(name)
    if not match or dimensions not in (2, 3):
        return False
    *path, last = match[2].split(".")
    fused_expert = path[-1:] == ["experts"] and not last.endswith("bias")
    return fused_expert or (last == "weight" and dimensions == 2 and not ROUTERS & set(path))


def module_of(name: str) -> str:
    """Name the kind of module a tensor belongs to, without the numbers of block and expert.

    `model.layers.3.block_sparse_moe.experts.7.w1.weight` → `block_sparse_moe.experts.w1`.
    """
    match = BLOCK.match(name)
    inside = match[2] if match else name
    return re.sub(r"\.\d+\.", ".", inside).removesuffix(".weight")


def block_of(name: str) -> int:
    """The number of the block a prunable tensor lies in."""
    match = BLOCK.match(name)
    if not match:
        raise ValueError(f"{name} lies in no block")
    return int(match[1])


def class_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Name → shape of what the model class makes prunable, from config.json alone (meta device).

    Mixtures of experts hold their experts as fused 3-D tensors in memory, whatever the files do.

    Raises:
        UnusableBase: transformers knows no causal language model for this config.
    """
    import torch

    model = meta_model(folder)
    linears = {n for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)}
    return {
        name: tuple(p.shape)
        for name, p in model.named_parameters()
        if _is_linear(name, p.dim()) and (name.removesuffix(".weight") in linears or EXPERT.search(name))
    }


def class_parameters(folder: Path) -> int:
    """Count all parameters of the model class, tied ones once, from config.json alone."""
    return sum(p.numel() for p in meta_model(folder).parameters())


def inputs_first(folder: Path) -> bool:
    """Whether the class holds fused experts as [experts, inputs, outputs], the other way round than usual."""
    model = meta_model(folder)
    size = model.config.get_text_config().hidden_size
    back = [p.shape for name, p in model.named_parameters() if name.endswith("experts.down_proj")]
    declared = any(getattr(module, "is_transposed", False) for module in model.modules())
    return declared or any(shape[-1] == size != shape[-2] for shape in back)


def meta_model(folder: Path, dtype: "torch.dtype | None" = None) -> Any:
    """Build the class that config.json names, without memory for its weights.

    Args:
        folder: A folder with a config.json.
        dtype: The type of its parameters; by default the one that config.json names.

    Raises:
        UnusableBase: transformers does not know it.
    """
    import torch
    from transformers import AutoModelForCausalLM

    require_bounded(config_of_folder(folder))
    try:
        with outside.foreign("transformers cannot build a causal language model from this config.json"):
            config = library_config(folder)
            with torch.device("meta"):
                return AutoModelForCausalLM.from_config(config, dtype=dtype or config.dtype, trust_remote_code=False)
    except outside.Unfit as why:
        raise UnusableBase(
            f"{why}.", "Only architectures that transformers itself knows are supported; custom code is not run."
        ) from None


def require_bounded(config: Mapping[str, Any], blocks: int | None = None) -> None:
    """Refuse a config.json whose counts no model has: building the class would take all time and memory.

    Args:
        blocks: How many blocks the files hold, where they are known.

    Raises:
        UnusableBase: Names the field.
    """
    for name, value in _counts(config):
        if value > MOST[name]:
            seen = f"config.json: {name} is {_written(value)}; no model has more than {MOST[name]:,}."
            raise UnusableBase(seen, "Fetch or copy it again.")
        if blocks is not None and name in LAYERS and value > blocks:
            raise UnusableBase(
                f"config.json: {name} is {value:,}; the files hold {blocks:,} blocks, and no layers.{blocks}.",
                "The checkpoint and its config.json do not belong together; fetch it again.",
            )


def _counts(config: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """The numbers of a language model's parts, of the whole config and of its text part."""
    parts = [config, *(part for key in TEXT if isinstance(part := config.get(key), dict))]
    for part in parts:
        for name in MOST.keys() & part.keys():
            if isinstance(part[name], int | float):
                yield name, part[name]


def _written(value: float) -> str:
    return f"{value:,}" if abs(value) < 10**15 else "a number of more than 15 digits"


def cross_check(on_disk: Shapes, expected: Shapes) -> None:
    """Hold the prunable set found on disk against the one the model class has.

    Names must agree one to one. Experts, which may be stored one by one and fused in memory, must agree in
    their number of weights per block.

    Args:
        on_disk: Name → shape of the prunable tensors of the files.
        expected: The same of the class, from `class_shapes`.

    Raises:
        UnusableBase: Names the first module that is missing, unexpected or of another shape.
    """
    disk, disk_experts = _split(on_disk)
    model, model_experts = _split(expected)
    for name in sorted(disk.keys() | model.keys()):
        if disk.get(name) != model.get(name):
            _refuse(name, disk.get(name), model.get(name))
    for block in sorted(disk_experts.keys() | model_experts.keys()):
        if disk_experts.get(block, 0) != model_experts.get(block, 0):
            _refuse(f"experts of block {block}", disk_experts.get(block), model_experts.get(block))


def _split(shapes: Shapes) -> tuple[dict[str, tuple[int, ...]], dict[int, int]]:
    """Part plain layers (name without the model's own prefix → shape) from experts (block → weights)."""
    plain: dict[str, tuple[int, ...]] = {}
    experts: dict[int, int] = {}
    for name, shape in shapes.items():
        if EXPERT.search(name):
            block = block_of(name)
            experts[block] = experts.get(block, 0) + math.prod(shape)
        else:
            plain[name[name.index("layers.") :]] = shape
    return plain, experts


def _refuse(name: str, on_disk: object, expected: object) -> None:
    seen = "missing from the files" if on_disk is None else f"{on_disk} in the files"
    wanted = "not a linear layer of the model class" if expected is None else f"{expected} in the model class"
    raise UnusableBase(
        f"{name}: {seen}, {wanted}.", "The checkpoint and its config.json do not belong together; fetch it again."
    )


def require_prunable(folder: Path, prunable: Mapping[str, tuple[str, tuple[int, ...]]]) -> None:
    """Refuse a checkpoint before any work: packed weights, an unknown class, or files that do not fit the config.

    Args:
        folder: Holds config.json.
        prunable: Name → (stored type, shape) of the tensors found prunable.

    Raises:
        UnusableBase: Names the tensor or module.
    """
    for name, (dtype, _) in prunable.items():
        if dtype not in FLOATS:
            raise UnusableBase(
                f"{name} is stored as {dtype}; packed or quantised weights cannot be pruned.",
                f"Give a checkpoint stored as {', '.join(sorted(FLOATS))}.",
            )
    require_bounded(config_of_folder(folder), 1 + max(map(block_of, prunable)))
    cross_check({name: shape for name, (_, shape) in prunable.items()}, class_shapes(folder))
