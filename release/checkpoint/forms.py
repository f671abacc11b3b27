"""Forms in which a model is stored and cannot be pruned, each by its name, with the way to one that can.

Three kinds of evidence tell a form, each a table: the names of the files, config.json, and the names of the tensors.
"""

import fnmatch
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from release.checkpoint import remedies
from release.checkpoint.remedies import run_here
from release.errors import UnusableBase
from release.format import quoted, shown

EMBEDDINGS = ("modules.json", "config_sentence_transformers.json", "1_Pooling/config.json")
"""What sentence-transformers writes beside a model."""
PARTS = ("text_config", "llm_config", "language_config")
PACKINGS = ("quantization_config", "compression_config", "sparsity_config")
"""Fields of config.json that tell how weights are packed, or only how many of them are zero."""
SPARSE = "compressed-tensors"
DENSE = "Give the original checkpoint in float16, bfloat16 or float32; quantise after pruning."
LANGUAGE_MODEL = "Give the causal language model that it was made from."
ELSEWHERE = "Give the safetensors files that it was made from."


class Stored(NamedTuple):
    """A form told by the names of files.

    Attributes:
        patterns: Of names in lower case, without their folders; one that matches is enough.
        what: Goes on after "holds …".
        remedy: Made from the name of the first file that matches.
    """

    patterns: tuple[str, ...]
    what: str
    remedy: Callable[[str], str]


def _always(text: str) -> Callable[[str], str]:
    return lambda _: text


def _variant(name: str) -> str:
    return remedies.load_variant(name.split(".")[1].split("-")[0])


ADAPTER = Stored(
    ("adapter_config.json", "adapter_model*.safetensors", "adapter_model*.bin"),
    "an adapter, which is nothing without its base model",
    _always(f"Merge it first. {run_here(remedies.MERGE)}"),
)
STORED = (
    Stored(
        ("pytorch_model*.bin",),
        "weights as pickles (.bin) alone, which are not opened here, since opening one runs what it says",
        _always(run_here(remedies.SAVE)),
    ),
    Stored(
        ("model.*.safetensors",),
        "weights of a variant alone, which from_pretrained loads only where it is asked for it",
        _variant,
    ),
    Stored(
        ("model-?????-of-?????.safetensors",),
        "shards without model.safetensors.index.json",
        _always("Fetch the index too, or the whole checkpoint again."),
    ),
    Stored(("*.gguf",), "weights in GGUF form", remedies.unpack_gguf),
    Stored(
        ("consolidated*.pth", "consolidated*.safetensors"),
        "weights in the form of the original code (consolidated)",
        _always("Give the repository's transformers form, or convert it with the conversion script of its class."),
    ),
    Stored(
        ("*.distcp", "__*_*.distcp", "pytorch_model_fsdp*"),
        "a distributed checkpoint (.distcp)",
        _always("Gather it first with `accelerate merge-weights`, then save it with save_pretrained."),
    ),
    Stored(
        ("*_model_states.pt", "zero_to_fp32.py", "*_optim_states.pt"),
        "a checkpoint of DeepSpeed",
        _always("Gather it first with its zero_to_fp32.py and --safe_serialization."),
    ),
    Stored(
        ("*.bin", "*.pth", "*.pt", "*.ckpt", "*.pkl", "*.pickle"),
        "weights as pickles alone, which are not opened here, since opening one runs what it says",
        _always("Load it with the code that it was saved by, and write it with save_pretrained."),
    ),
    Stored(
        ("*.msgpack",),
        "weights of Flax (.msgpack)",
        _always("Load it with transformers 4 and from_flax=True, and write it with save_pretrained."),
    ),
    Stored(
        ("*.h5", "*.keras", "saved_model.pb", "*.ckpt.index"),
        "weights of TensorFlow or Keras",
        _always("Load it with transformers 4 and from_tf=True, and write it with save_pretrained."),
    ),
    Stored(("*.onnx", "*.onnx_data"), "a graph in ONNX form", _always(ELSEWHERE)),
    Stored(("openvino_model.*",), "a graph in OpenVINO form", _always(ELSEWHERE)),
    Stored(("*.mlmodel", "*.mlpackage", "*.mlmodelc"), "a model in Core ML form", _always(ELSEWHERE)),
    Stored(("*.tflite", "*.task", "*.litertlm"), "a model in LiteRT form", _always(ELSEWHERE)),
    Stored(("*.engine", "*.plan"), "an engine of TensorRT", _always(ELSEWHERE)),
    Stored(("*.nemo",), "an archive of NeMo", _always("Convert it with NeMo's own export to Hugging Face form.")),
    Stored(("*.ot",), "weights of rust-bert", _always(ELSEWHERE)),
    Stored(
        ("*.safetensors",),
        "safetensors files of names that from_pretrained does not look for",
        _always("Name the one file model.safetensors, or several as their index says."),
    ),
)
"""What a folder without model.safetensors and its index may hold; the first that matches counts."""


class Packed(NamedTuple):
    """A form told by what the tensors' names end with: all the patterns must be there."""

    what: str
    patterns: tuple[str, ...]


QUANTISED = (
    Packed("GPTQ", ("qweight", "g_idx")),
    Packed("AWQ", ("qweight", "qzeros")),
    Packed("GPTQ or AWQ", ("qweight",)),
    Packed("Marlin", ("B", "s", "workspace")),
    Packed("bitsandbytes, 4-bit", ("absmax",)),
    Packed("bitsandbytes, 4-bit", ("quant_state.*",)),
    Packed("bitsandbytes, 8-bit", ("SCB",)),
    Packed("compressed-tensors", ("weight_packed",)),
    Packed("compressed-tensors, sparse", ("compressed", "bitmask")),
    Packed("NVFP4", ("weight_scale_2",)),
    Packed("MXFP4", ("*_blocks", "*_scales")),
    Packed("FP8", ("weight_scale_inv",)),
    Packed("FP8, INT8 or BitNet", ("weight_scale",)),
    Packed("EETQ", ("weight_scales",)),
    Packed("HQQ", ("W_q",)),
    Packed("quanto", ("_data", "_scale")),
    Packed("torchao", ("*qdata",)),
    Packed("AQLM", ("codes", "codebooks")),
    Packed("VPTQ", ("indices", "centroids")),
    Packed("QuIP#", ("Qidxs",)),
    Packed("EXL2", ("q_weight", "q_scale")),
    Packed("EXL3", ("trellis", "suh")),
    Packed("MLX", ("scales", "biases")),
)
"""Names beside or in place of a layer's `weight`; the first row that matches counts."""

ADAPTERS = (
    "lora_[AB]",
    "lora_embedding_[AB]",
    "lora_magnitude_vector",
    "base_layer",
    "hada_w*",
    "lokr_w*",
    "ia3_l",
    "oft_r",
    "boft_r",
    "boft_s",
    "vera_lambda*",
)
"""Parts of names that peft gives to layers which are not merged."""


def refuse_other_form(name: str, present: Collection[str]) -> None:
    """Refuse a folder that holds no model.safetensors and no index of shards, by what it holds instead.

    Args:
        name: What to call the model in messages: a Hub id, or a folder's name with a slash behind it.
        present: The names of its files.

    Raises:
        UnusableBase: Names the form where it holds one of those known here.
    """
    for form in (ADAPTER, *STORED):
        if found := _first(form, present):
            remedy = form.remedy(found.rpartition("/")[2])
            fetch = "" if name.endswith("/") or "python -c" not in remedy else f"Fetch it: hf download {name}. "
            raise UnusableBase(f"{name} holds {form.what}: {quoted(found)}.", fetch + remedy)


def _first(form: Stored, present: Collection[str]) -> str | None:
    low = {each: each.lower().rpartition("/")[2] for each in present if not each.startswith(".")}
    return next((n for n in sorted(low) if any(fnmatch.fnmatchcase(low[n], p) for p in form.patterns)), None)


def refuse_embeddings(name: str, present: Collection[str]) -> None:
    """Refuse an embedding model, which may fill a language model's class and was never one, or is none any more.

    Raises:
        UnusableBase: Files of sentence-transformers lie beside the weights.
    """
    if found := sorted(set(EMBEDDINGS) & set(present)):
        raise UnusableBase(f"{name} is an embedding model: it has {found[0]} of sentence-transformers.", LANGUAGE_MODEL)


def refuse_quantised(config: Mapping[str, Any]) -> None:
    """Refuse packed weights, as config.json tells of them: a zero in them is not a zero weight.

    Raises:
        UnusableBase: It describes how weights are packed; sparsity alone, over plain weights, is no such thing.
    """
    for field, kind in _packings(config):
        plain = f" Where its weights are plain all the same, take {field} out of config.json."
        remedy = run_here(remedies.UNPACK_MLX) if field == "quantization" else DENSE + plain
        raise UnusableBase(f"This checkpoint is quantised ({kind}).", remedy)


def _packings(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The fields that tell of packed weights, and what they say."""
    for part in (config, *(inner for key in PARTS if isinstance(inner := config.get(key), dict))):
        for field in PACKINGS:
            value = part.get(field)
            if value and not is_sparsity(field, value):
                yield field, shown(_kind(value), 100)
        mlx = part.get("quantization")
        if isinstance(mlx, dict) and "bits" in mlx:
            yield "quantization", f"MLX, {shown(str(mlx['bits']), 20)} bits"


def _kind(value: object) -> str:
    if not isinstance(value, dict):
        return str(value)
    return str(value.get("quant_method") or value.get("format") or "unknown")


def is_sparsity(field: str, value: object) -> bool:
    """Whether a field of config.json tells of zeros in plain weights and of nothing else.

    llm-compressor writes it into `quantization_config`; before that it stood in `compression_config`, and first of all
    in `sparsity_config`. It speaks of the zeros that were there when it was written.
    """
    if field not in PACKINGS or not isinstance(value, dict):
        return False
    parts = [value, *(inner for key in ("sparsity_config",) if isinstance(inner := value.get(key), dict))]
    told = any(key in part for part in parts for key in ("sparsity_config", "sparsity_structure", "global_sparsity"))
    known = value.get("quant_method", SPARSE) == SPARSE and (told or "quant_method" in value)
    plain = all(part.get("format") in (None, "dense") for part in parts)
    return known and plain and not any(value.get(key) for key in ("config_groups", "kv_cache_scheme", "bits"))


def refuse_packed(names: Iterable[str]) -> None:
    """Refuse what the names of the stored tensors tell to be no plain weights.

    Args:
        names: Of all stored tensors.

    Raises:
        UnusableBase: Names the form, and a tensor that shows it.
    """
    by_end: dict[str, str] = {}
    by_part: dict[str, str] = {}
    for name in sorted(names):
        parts = name.split(".")
        for end in (parts[-1], ".".join(parts[-2:])):
            by_end.setdefault(end, name)
        for part in parts:
            by_part.setdefault(part, name)
    _refuse_masked(by_end)
    _refuse_adapted(by_part)
    for form in QUANTISED:
        found = [next((n for end, n in by_end.items() if fnmatch.fnmatchcase(end, p)), None) for p in form.patterns]
        if all(found):
            raise UnusableBase(f"This checkpoint is quantised ({form.what}): {shown(str(found[0]), 100)}.", DENSE)


def _refuse_masked(by_end: Mapping[str, str]) -> None:
    for end, name in by_end.items():
        if end.endswith("_orig") and f"{end[:-5]}_mask" in by_end:
            raise UnusableBase(
                f"Weights are masked by torch.nn.utils.prune: {shown(name, 100)} lies beside its mask.",
                f"Apply the masks, as prune.remove does. {remedies.unmask()}",
            )
        if ".parametrizations." in name or (end == "weight_g" and "weight_v" in by_end):
            raise UnusableBase(
                f"Weights are re-parametrised by torch.nn.utils: {shown(name, 100)}.",
                "Undo it before saving: torch.nn.utils.parametrize.remove_parametrizations(module, 'weight').",
            )
        if "_flat_param" in end:
            raise UnusableBase(
                f"Weights are flattened by FSDP: {shown(name, 100)}.",
                "Save the whole model: gather it with StateDictType.FULL_STATE_DICT, then save_pretrained.",
            )


def _refuse_adapted(by_part: Mapping[str, str]) -> None:
    for part, name in by_part.items():
        if any(fnmatch.fnmatchcase(part, pattern) for pattern in ADAPTERS):
            raise UnusableBase(
                f"An adapter lies in the layers and is not merged: {shown(name, 100)}.",
                "Merge it before saving: model.merge_and_unload().save_pretrained(FOLDER), in the code that made it.",
            )
