"""What the model class says of a checkpoint: which of its parameters are prunable, and where the files hold them.

The class is built from config.json on the meta device, without memory for weights. `require_prunable` holds what the
class says against what names and shapes say.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from release import outside
from release.checkpoint.decoder import LAYERS, TEXT, Shapes, shared
from release.checkpoint.folder import read_config as config_of_folder
from release.checkpoint.header import FLOATS
from release.checkpoint.prunable import from_shapes
from release.errors import UnusableBase
from release.models.configuration import library_config

if TYPE_CHECKING:
    import torch

    from release.schema.record import Loader

EXPERTS = {"num_experts", "num_local_experts", "n_routed_experts", "n_shared_experts", "moe_num_experts"}
HEADS = {"num_attention_heads", "num_key_value_heads", "n_head", "n_heads"}
MOST = dict.fromkeys(LAYERS, 1_000) | dict.fromkeys(EXPERTS, 4_096) | dict.fromkeys(HEADS, 4_096)
"""What is counted in config.json, and the most that is believed; the largest models have an eighth of it."""
NORM = re.compile(r"(?:RMS|Layer)Norm$")
"""What norms are called; DBRX puts its attention into a `NormAttentionNorm`, which is none."""
MOST_OWN = 0.03
"""Share of a block's matrices that its class may hold as bare parameters: the gates of RecurrentGemma are 2.6 %."""
UNSUPPORTED = "This architecture is not supported; docs/models.md lists those that are."
CAUSAL = "Give a causal language model, which reads from left to right: a class named ….ForCausalLM."
UNKNOWN = "Give the checkpoint as save_pretrained of its own class writes it."


def meta_model(folder: Path, dtype: "torch.dtype | None" = None) -> Any:
    """Build the class that config.json names, without memory for its weights.

    Args:
        folder: A folder with a config.json.
        dtype: The type of its parameters; by default the one that config.json names.

    Raises:
        UnusableBase: transformers does not know it.
    """
    import torch

    require_bounded(config_of_folder(folder))
    try:
        with outside.foreign("transformers cannot build a causal language model from this config.json"):
            config = library_config(folder)
            with torch.device("meta"):
                return auto_class(config).from_config(config, dtype=dtype or config.dtype, trust_remote_code=False)
    except outside.Unfit as why:
        raise UnusableBase(
            f"{why}.", "Only architectures that transformers itself knows are supported; custom code is not run."
        ) from None


def auto_class(config: Any) -> Any:
    """Return the class of transformers that loads a configuration: of causal models, else of those that also see.

    Args:
        config: The library's configuration.
    """
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoModelForCausalLM, AutoModelForImageTextToText

    return AutoModelForCausalLM if type(config) in MODEL_FOR_CAUSAL_LM_MAPPING else AutoModelForImageTextToText


def loader_of(folder: Path) -> "Loader":
    """Name the class of transformers whose from_pretrained loads a folder.

    Raises:
        UnusableBase: transformers does not know its config.json.
    """
    try:
        with outside.foreign("transformers cannot read this config.json"):
            found: Loader = auto_class(library_config(folder)).__name__
            return found
    except outside.Unfit as why:
        raise UnusableBase(f"{why}.", UNKNOWN) from None


def require_bounded(config: Mapping[str, Any]) -> None:
    """Refuse a config.json whose counts no model has: building the class would take all time and memory.

    Raises:
        UnusableBase: Names the field.
    """
    for name, value in _counts(config):
        if value > MOST[name]:
            seen = f"config.json: {name} is {_written(value)}; no model has more than {MOST[name]:,}."
            raise UnusableBase(seen, "Fetch or copy it again.")


def _counts(config: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """The numbers of a language model's parts, of the whole config and of its text part."""
    parts = [config, *(part for key in TEXT if isinstance(part := config.get(key), dict))]
    for part in parts:
        for name in MOST.keys() & part.keys():
            if isinstance(part[name], int | float):
                yield name, part[name]


def _written(value: float) -> str:
    return f"{value:,}" if abs(value) < 10**15 else "a number of more than 15 digits"


def blocks_of(model: Any) -> tuple[str, "torch.nn.ModuleList"]:
    """Return the text decoder's list of blocks with its name in the model: `model.layers`.

    It is the list as long as the configuration counts layers that lies nearest to the input embedding.

    Raises:
        UnusableBase: There is none, or more than one.
    """
    import torch

    count = getattr(model.config.get_text_config(decoder=True), "num_hidden_layers", None)
    embedding = model.get_input_embeddings()
    place = next((name for name, module in model.named_modules() if module is embedding), "")
    lists = {name: m for name, m in model.named_modules() if isinstance(m, torch.nn.ModuleList) and len(m) == count}
    ranks = {name: (shared(name, place), -name.count(".")) for name in lists if not re.search(r"\.\d+\.", name)}
    nearest = [name for name in ranks if ranks[name] == max(ranks.values())]
    if len(nearest) != 1:
        kind = type(model).__name__
        seen = f"has {len(nearest)} lists of blocks: {', '.join(nearest)}" if nearest else "has no list of blocks"
        raise UnusableBase(f"{kind} {seen}.", UNSUPPORTED)
    return nearest[0], lists[nearest[0]]


def matrices(model: Any) -> "dict[str, torch.nn.Parameter]":
    """Name the parameters of the decoder's blocks that multiply activations, in the order of the class.

    Linear layers, GPT-2's transposed ones (`Conv1D`) and experts, one by one or fused; no routers.
    """
    name, blocks = blocks_of(model)
    known = dict(model.named_parameters(remove_duplicate=False))
    found = (f"{name}.{index}.{each}" for index, block in enumerate(blocks) for each in _inside(block, model.config))
    chosen = {each: known[each] for each in found}
    _require_most(model, blocks, chosen)
    return chosen


def _require_most(model: Any, blocks: Any, chosen: Mapping[str, Any]) -> None:
    """Refuse a class that multiplies with more than a few parameters of its own, beside its layers and experts.

    XLNet keeps query, key and value so: 38 % of a block's weights would stay dense unseen.
    """
    mine = {id(p) for p in chosen.values()}
    own = sum(p.numel() for each in blocks.modules() for p in _own(each) if id(p) not in mine)
    most = MOST_OWN * (own + sum(p.numel() for p in chosen.values()))
    if own > most:
        raise UnusableBase(
            f"{type(model).__name__} keeps matrices of its blocks in parameters of its own.", UNSUPPORTED
        )


def _own(module: Any) -> Iterator[Any]:
    """Parameters of two dimensions or more of a module that torch does not know."""
    if not (type(module).__module__.startswith("torch.") or _is_router_or_norm(module)):
        yield from (p for _, p in _held(module) if p.dim() > 1 and min(p.shape) > 1)


def _is_router_or_norm(module: Any) -> bool:
    kind = type(module).__name__
    return "Router" in kind or NORM.search(kind) is not None


def _inside(block: Any, config: Any) -> Iterator[str]:
    """Names in a block of the parameters that multiply activations."""
    modules = dict(block.named_modules())
    for path, module in modules.items():
        above = [modules[each] for each in _ancestors(path)]
        if _is_linear(module):
            if not _is_router(module, above, config):
                yield f"{path}.weight"
        elif any(map(_is_expert, [module, *above])):
            yield from (f"{path}.{name}" for name, each in _held(module) if each.dim() in (2, 3))


def _ancestors(path: str) -> Iterator[str]:
    """The modules that hold one, from the nearest on, without the block itself."""
    while "." in path:
        path = path.rpartition(".")[0]
        yield path


def _held(module: Any) -> Iterator[tuple[str, Any]]:
    return ((name, p) for name, p in module.named_parameters(recurse=False) if "bias" not in name)


def _is_linear(module: Any) -> bool:
    import torch
    from transformers.pytorch_utils import Conv1D

    return isinstance(module, torch.nn.Linear | Conv1D)


def _is_expert(module: Any) -> bool:
    """Whether a module holds fused experts; the lists that hold single ones are named alike and hold no parameters."""
    return "Expert" in type(module).__name__ and "Router" not in type(module).__name__


def _is_router(layer: Any, above: list[Any], config: Any) -> bool:
    """Whether a linear layer weighs experts, or is a part of a norm.

    A layer weighs experts that gives one number, or, beside them, one for each; a width alone tells nothing:
    Qwen3-Next has 512 experts and a shared one of 512 units.
    """
    if any(map(_is_router_or_norm, [layer, *above])):
        return True
    outputs = layer.weight.shape[0]
    return outputs == 1 or (outputs in _expert_counts(config) and _beside_experts(above))


def _beside_experts(above: list[Any]) -> bool:
    """Whether a layer stands in the module that holds experts, by itself or alone in a module of its own."""
    if above and len([each for each in above[0].modules() if _is_linear(each)]) == 1:
        above = above[1:]
    return bool(above) and any(_is_expert(m) or name.endswith("experts") for name, m in above[0].named_children())


def _expert_counts(config: Any) -> set[int]:
    values = vars(config.get_text_config(decoder=True)).items()
    return {value for name, value in values if "expert" in name and isinstance(value, int) and value > 1}


def require_prunable(model: Any, config: Mapping[str, Any], tensors: Mapping[str, tuple[str, tuple[int, ...]]]) -> None:
    """Refuse a checkpoint before any work: packed weights, an encoder, or files whose names say other than its class.

    Args:
        model: On the meta device.
        config: The whole of config.json.
        tensors: Name → (stored type, shape) of every tensor on disk.

    Raises:
        UnusableBase: Names the tensor or module.
    """
    shapes = {name: shape for name, (_, shape) in tensors.items()}
    by_shape = from_shapes(shapes, config)
    for name in by_shape:
        if tensors[name][0] not in FLOATS:
            raise UnusableBase(
                f"{name} is stored as {tensors[name][0]}; packed or quantised weights cannot be pruned.",
                f"Give a checkpoint stored as {', '.join(sorted(FLOATS))}.",
            )
    require_causal(model)
    require_agreement(model, shapes, by_shape)


def require_causal(model: Any) -> None:
    """Refuse an encoder under a head for causal language models: BERT and its kin, not made to be decoders.

    Raises:
        UnusableBase: It is one.
    """
    from transformers import MODEL_FOR_MASKED_LM_MAPPING

    if type(model.config) in MODEL_FOR_MASKED_LM_MAPPING and not model.config.is_decoder:
        raise UnusableBase(f"{type(model).__name__} reads its text from both sides.", CAUSAL)


def require_agreement(model: Any, shapes: Shapes, by_shape: Iterable[str]) -> None:
    """Hold the prunable set that names and shapes give against the one that the model class gives.

    Args:
        model: On the meta device.
        shapes: Name → shape of every tensor on disk.
        by_shape: The prunable ones by `from_shapes`.

    Raises:
        UnusableBase: Names the first tensor that one of the two has and the other has not.
    """
    from release.models.slots import targets

    wanted, found = matrices(model), targets(model, shapes)
    kind = type(model).__name__
    held = {name: filled for name, filled in found.items() if wanted.keys() & filled}
    for name in sorted(held.keys() - set(by_shape)):
        raise UnusableBase(f"{name} multiplies activations in {kind}; its name or shape says otherwise.", UNSUPPORTED)
    for name in sorted(set(by_shape) - held.keys()):
        raise UnusableBase(f"{name} is no linear layer of {kind}{_unknown(found[name])}.", UNKNOWN)


def _unknown(filled: tuple[str, ...]) -> str:
    return "" if filled else ", which has no place for it"


def inputs_first(folder: Path) -> bool:
    """Whether the class holds matrices as [inputs, outputs], the other way round than usual: `Conv1D`, some experts."""
    from transformers.pytorch_utils import Conv1D

    model = meta_model(folder)
    size = model.config.get_text_config(decoder=True).hidden_size
    back = [p.shape for name, p in model.named_parameters() if name.endswith("experts.down_proj")]
    declared = any(getattr(module, "is_transposed", False) or isinstance(module, Conv1D) for module in model.modules())
    return declared or any(shape[-1] == size != shape[-2] for shape in back)
