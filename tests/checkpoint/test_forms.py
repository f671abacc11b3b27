"""Forms that cannot be pruned: each is refused before any work, by its name, with a remedy that works."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from release.__main__ import run
from release.checkpoint import forms
from release.checkpoint.folder import open_checkpoint
from release.errors import UnusableBase
from tests import checkpoints
from tests.refusal import expect_refusal, prune, publish, said_once

pytestmark = pytest.mark.timeout(60)

FILES = {
    "adapter": (["adapter_config.json", "adapter_model.safetensors"], "an adapter", "merge_and_unload"),
    "adapter, old": (["adapter_config.json", "adapter_model.bin"], "an adapter", "merge_and_unload"),
    "bin": (["pytorch_model.bin"], "pickles", "save_pretrained('../dense')"),
    "bin, sharded": (["pytorch_model-00001-of-00002.bin", "pytorch_model.bin.index.json"], "pickles", "../dense"),
    "pth": (["consolidated.00.pth", "params.json"], "the original code", "conversion script"),
    "mistral": (["consolidated.safetensors", "params.json"], "the original code", "conversion script"),
    "pt": (["weights.pt"], "pickles", "save_pretrained"),
    "gguf": (["model.Q4_K_M.gguf"], "GGUF", "gguf_file='model.Q4_K_M.gguf'"),
    "gguf in a folder": (["quants/model.gguf"], "GGUF", "gguf_file='model.gguf'"),
    "gguf, odd name": (["a'); x('.gguf"], "GGUF", "plain name"),
    "flax": (["flax_model.msgpack"], "Flax", "from_flax=True"),
    "tensorflow": (["tf_model.h5"], "TensorFlow", "from_tf=True"),
    "keras": (["model.keras"], "TensorFlow", "from_tf=True"),
    "onnx": (["onnx/model.onnx", "onnx/model.onnx_data"], "ONNX", "made from"),
    "openvino": (["openvino_model.xml", "openvino_model.bin"], "pickles", "save_pretrained"),
    "core ml": (["model.mlmodel"], "Core ML", "made from"),
    "litert": (["model.task"], "LiteRT", "made from"),
    "tensorrt": (["rank0.engine"], "TensorRT", "made from"),
    "nemo": (["model.nemo"], "NeMo", "NeMo"),
    "rust": (["rust_model.ot"], "rust-bert", "made from"),
    "distributed": (["pytorch_model_fsdp_0/__0_0.distcp"], "distributed", "merge-weights"),
    "deepspeed": (["global_step10/mp_rank_00_model_states.pt"], "DeepSpeed", "zero_to_fp32.py"),
    "variant": (["model.fp16.safetensors"], "a variant", "variant='fp16'"),
    "variant, sharded": (["model.fp16-00001-of-00002.safetensors"], "a variant", "variant='fp16'"),
    "no index": (["model-00001-of-00002.safetensors"], "without model.safetensors.index.json", "Fetch the index"),
    "another name": (["weights.safetensors"], "does not look for", "model.safetensors"),
}
"""Files beside config.json, what the refusal calls them, and what its remedy holds."""


def bare(base: Path) -> Path:
    """Take the weights away."""
    for path in base.glob("*.safetensors*"):
        path.unlink()
    return base


def put(base: Path, names: list[str]) -> None:
    for name in names:
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_bytes(b"{}")


@pytest.mark.parametrize("form", FILES)
def test_a_folder_of_another_form_is_refused_by_its_name(form, llama, tmp_path, capsys):
    names, what, remedy = FILES[form]
    put(bare(llama), names)
    expect_refusal(prune(llama, tmp_path / "out"), tmp_path / "out", capsys, what, remedy)
    assert publish(llama, tmp_path / "out", "--dry-run") == 2
    said_once(capsys, what, remedy)


@pytest.mark.parametrize("form", ["adapter", "gguf", "onnx", "flax"])
def test_a_folder_without_config_is_told_by_its_files_too(form, llama, tmp_path, capsys):
    names, what, remedy = FILES[form]
    put(bare(llama), names)
    (llama / "config.json").unlink()
    expect_refusal(prune(llama, tmp_path / "out"), tmp_path / "out", capsys, what, remedy)


QUANTISED = {
    **{
        kind: {"quantization_config": {"quant_method": kind, "bits": 4}}
        for kind in (
            *("gptq", "awq", "bitsandbytes", "fp8", "fbgemm_fp8", "compressed-tensors", "quanto", "torchao", "hqq"),
            *("aqlm", "eetq", "higgs", "vptq", "mxfp4", "bitnet", "spqr", "modelopt", "auto-round", "nobody-knows"),
        )
    },
    "int4 of compressed-tensors": {
        "quantization_config": {
            "quant_method": "compressed-tensors",
            "format": "pack-quantized",
            "config_groups": {"group_0": {"weights": {"num_bits": 4}}},
            "sparsity_config": {"format": "dense"},
        }
    },
    "a packed kind of sparsity": {
        "quantization_config": {
            "quant_method": "compressed-tensors",
            "sparsity_config": {"format": "sparse-24-bitmask", "sparsity_structure": "2:4"},
        }
    },
    "the same at the top": {"sparsity_config": {"format": "sparse-bitmask"}},
    "the older key": {"compression_config": {"quant_method": "compressed-tensors", "config_groups": {"a": {}}}},
    "a cache of eight bits": {
        "quantization_config": {"quant_method": "compressed-tensors", "kv_cache_scheme": {"num_bits": 8}}
    },
    "MLX": {"quantization": {"group_size": 64, "bits": 4}},
    "inside the text model": {"text_config": {"quantization_config": {"quant_method": "awq"}}},
}


@pytest.mark.parametrize("kind", QUANTISED)
def test_a_config_of_packed_weights_is_refused_and_says_which(kind, llama, tmp_path, capsys):
    checkpoints.edit_config(llama, **QUANTISED[kind])
    shown = kind if "quant_method" in str(QUANTISED[kind]) and kind in str(QUANTISED[kind]) else ""
    code = prune(llama, tmp_path / "out")
    expect_refusal(code, tmp_path / "out", capsys, "This checkpoint is quantised", shown)


Tensors = dict[str, torch.Tensor]
ONES = torch.ones(2, 2, dtype=torch.int32)


def stored_as(*ends: str, keep: bool = False) -> Callable[[Tensors], Tensors]:
    """Put other tensors in the place of every projection's weight."""

    def change(values: Tensors) -> Tensors:
        made: Tensors = {}
        for name, value in values.items():
            if not name.endswith("proj.weight"):
                made[name] = value
                continue
            stem = name.removesuffix("weight")
            made |= {name: value} if keep else {}
            made |= {f"{stem}{end}": ONES.clone() for end in ends}
        return made

    return change


def masked(values: Tensors) -> Tensors:
    made: Tensors = {}
    for name, value in values.items():
        if name.endswith("proj.weight"):
            mask = torch.arange(value.numel()).reshape(value.shape) % 3 > 0
            made |= {f"{name}_orig": value, f"{name}_mask": mask.to(value.dtype)}
        else:
            made[name] = value
    return made


STORED = {
    "GPTQ": stored_as("qweight", "qzeros", "scales", "g_idx"),
    "AWQ": stored_as("qweight", "qzeros", "scales"),
    "bitsandbytes, 4-bit": stored_as(
        "weight.absmax", "weight.quant_map", "weight.quant_state.bitsandbytes__nf4", "weight"
    ),
    "bitsandbytes, 8-bit": stored_as("weight", "SCB", "weight_format"),
    "compressed-tensors": stored_as("weight_packed", "weight_scale", "weight_shape"),
    "compressed-tensors, sparse": stored_as("compressed", "bitmask", "row_offsets", "shape"),
    "NVFP4": stored_as("weight", "weight_scale", "weight_scale_2", "input_scale"),
    "FP8": stored_as("weight", "weight_scale_inv"),
    "FP8, INT8 or BitNet": stored_as("weight", "weight_scale", "input_scale"),
    "EETQ": stored_as("weight", "weight_scales"),
    "HQQ": stored_as("W_q", "meta"),
    "quanto": stored_as("weight._data", "weight._scale"),
    "torchao": stored_as("_weight_qdata", "_weight_scale"),
    "AQLM": stored_as("codes", "codebooks", "scales"),
    "VPTQ": stored_as("indices", "centroids"),
    "QuIP#": stored_as("Qidxs", "SU", "SV"),
    "EXL2": stored_as("q_weight", "q_scale", "q_invperm"),
    "EXL3": stored_as("trellis", "suh", "svh"),
    "MLX": stored_as("weight", "scales", "biases"),
    "MXFP4": stored_as("gate_up_proj_blocks", "gate_up_proj_scales"),
    "masked by torch.nn.utils.prune": masked,
    "re-parametrised": stored_as("parametrizations.weight.original0", "parametrizations.weight.original1"),
    "re-parametrised, old": stored_as("weight_g", "weight_v"),
    "flattened by FSDP": stored_as("_flat_param"),
    "not merged": stored_as("lora_A.default.weight", "lora_B.default.weight", keep=True),
    "not merged, wrapped": stored_as("base_layer.weight", "lora_A.default.weight"),
}


@pytest.mark.parametrize("kind", STORED)
@pytest.mark.parametrize("command", ["prune", "verify"])
def test_names_of_tensors_that_are_no_plain_weights_are_refused_and_say_which(kind, command, llama, tmp_path, capsys):
    values = STORED[kind](checkpoints.tensors(llama))
    checkpoints.write(bare(llama), values)
    named = kind.split(", old")[0].split(", wrapped")[0]
    if command == "prune":
        expect_refusal(prune(llama, tmp_path / "out"), tmp_path / "out", capsys, named)
    else:
        assert run(["verify", str(llama)]) == 2
        said_once(capsys, named)


@pytest.mark.parametrize("architecture", sorted(checkpoints.ARCHITECTURES | checkpoints.EXTRA))
def test_no_plain_model_is_taken_for_a_packed_one(architecture, tmp_path):
    forms.refuse_packed(open_checkpoint(checkpoints.make(tmp_path / "base", architecture)).shapes)


SPARSE = {
    "quantization_config": {
        "quant_method": "compressed-tensors",
        "format": "dense",
        "config_groups": {},
        "quantization_status": "frozen",
        "sparsity_config": {"format": "dense", "global_sparsity": 0.5, "sparsity_structure": "2:4"},
    },
    "compression_config": {"sparsity_config": {"format": "dense", "sparsity_structure": "unstructured"}},
    "sparsity_config": {"format": "dense", "global_sparsity": 0.5, "sparsity_structure": "2:4"},
}
"""Fields of config.json that only tell of zeros, as one tool has written them over the years."""


@pytest.mark.quick_rows(1)
@pytest.mark.parametrize("field", SPARSE)
def test_what_only_tells_of_zeros_is_no_quantisation_and_is_not_carried(field, llama, tmp_path, capsys):
    checkpoints.edit_config(llama, **{field: SPARSE[field]})
    assert run(["verify", str(llama)]) == 0, capsys.readouterr().err
    assert prune(llama, tmp_path / "out", sparsity="0.3") == 0
    assert field not in json.loads((tmp_path / "out" / "config.json").read_text())
    words = ["verify", str(tmp_path / "out"), "--base", str(llama), "--rebuild"]
    assert run(words) == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    "field",
    [field if field == "quantization_config" else pytest.param(field, marks=pytest.mark.long) for field in SPARSE],
)
def test_what_only_tells_of_zeros_is_loaded_and_measured(field, llama, tmp_path, capsys):
    checkpoints.edit_config(llama, **{field: SPARSE[field]})
    out = tmp_path / "out"
    assert publish(llama, out, "--perplexity", "2", "--text", str(checkpoints.PROSE), sparsity="0.3") == 0
    [model] = out.glob("*/model")
    assert field not in json.loads((model / "config.json").read_text())
    assert run(["verify", str(model), "--base", str(llama), "--rebuild"]) == 0, capsys.readouterr().err


def line_of(error: UnusableBase) -> str:
    """The Python of a remedy's line, as a shell would hand it over."""
    found = re.search(r'python -c "([^"]+)"', error.remedy)
    assert found, error.remedy
    return found[1]


def follow(folder: Path, error: UnusableBase) -> None:
    """Run the line in the folder, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", line_of(error)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def refusal(folder: Path) -> UnusableBase:
    with pytest.raises(UnusableBase) as caught:
        open_checkpoint(folder)
    return caught.value


@pytest.mark.long
def test_following_the_line_for_masks_gives_the_masked_weights(llama, tmp_path, capsys):
    dense = checkpoints.tensors(llama)
    checkpoints.write(bare(llama), masked(dense))
    follow(llama, refusal(llama))
    mended = checkpoints.tensors(llama.parent / "mended")
    due = {n: v * masked(dense).get(f"{n}_mask", torch.ones(())).to(v.dtype) for n, v in dense.items()}
    assert mended.keys() == due.keys()
    assert all(torch.equal(mended[name], due[name]) and mended[name].dtype == due[name].dtype for name in due)
    assert prune(llama.parent / "mended", tmp_path / "out") == 0, capsys.readouterr().err


@pytest.mark.long
def test_following_the_line_for_pickles_gives_the_same_weights(llama, tmp_path, capsys):
    dense = checkpoints.tensors(llama)
    torch.save(dense, bare(llama) / "pytorch_model.bin")
    follow(llama, refusal(llama))
    converted = checkpoints.tensors(llama.parent / "dense")
    assert all(torch.equal(converted[name], dense[name]) for name in converted)
    assert prune(llama.parent / "dense", tmp_path / "out") == 0, capsys.readouterr().err


@pytest.mark.long
def test_following_the_line_for_a_variant_gives_the_same_weights(llama, tmp_path, capsys):
    dense = checkpoints.tensors(llama)
    bare(llama)
    checkpoints.write(llama, dense, "model.fp16.safetensors")
    follow(llama, refusal(llama))
    converted = checkpoints.tensors(llama.parent / "dense")
    assert all(torch.equal(converted[name], dense[name]) for name in converted)
    assert prune(llama.parent / "dense", tmp_path / "out") == 0, capsys.readouterr().err


def test_a_clone_without_its_large_files_is_told_what_it_lacks(llama, tmp_path, capsys):
    for path in llama.glob("*.safetensors"):
        path.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n")
    expect_refusal(prune(llama, tmp_path / "out"), tmp_path / "out", capsys, "a pointer of git LFS", "git lfs pull")


def test_lines_hold_nothing_that_a_shell_would_take_otherwise():
    lines = [form.remedy("model.gguf") for form in (forms.ADAPTER, *forms.STORED)]
    lines = [line for line in lines if "python -c" in line]
    assert len(lines) >= 4
    for line in lines:
        code = line_of(UnusableBase("", line))
        assert not set(code) & set('"$`!\\')
        compile(code, "line", "exec")
