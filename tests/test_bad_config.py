"""A config.json or an index that nobody can use: refused by name, before anything is built or written."""

import json
import os
from pathlib import Path

import pytest

from tests import checkpoints
from tests.refusal import expect_refusal, prune, publish

pytestmark = pytest.mark.timeout(60)

FIELDS = {
    "hidden_size": ["x", None, [], {}, 0, -1, 1.5, 10**400, 33, True],
    "intermediate_size": ["x", None, 0, -48, 1e300],
    "num_hidden_layers": ["2", None, [2], 10**5, 10**9, 10**18, 10**400, 0, -1, 3, 1001],
    "num_attention_heads": ["4", 0, -4, 10**9, 3, None],
    "num_key_value_heads": ["2", 0, 3, 10**9],
    "vocab_size": ["256", -1, None, 10**30],
    "model_type": [3, ["llama"], None, "", "nobody-knows", "bert", "t5", "../llama", "\x1b[2J", "x" * 100_000],
    "architectures": [3, {}, "LlamaForCausalLM", [3], [None]],
    "rope_parameters": ["x", 3, []],
    "head_dim": ["8", 0, -8, 7],
    "max_position_embeddings": ["512", [], {}],
    "hidden_act": [3, "nobody", None, []],
    "layer_types": ["x", [3], ["full_attention"], ["nobody", "nobody"]],
    "dtype": ["float3", 3, "int8"],
    "attention_bias": ["yes"],
    "rms_norm_eps": ["small", None],
    "quantization_config": [{"quant_method": "\x1b]0;owned\x07gptq"}, "x", ["x"], {"quant_method": {"a": 1}}],
    "tie_word_embeddings": ["yes", []],
    "pad_token_id": ["x", 10**30],
    "text_config": ["x", 3, {"num_hidden_layers": 10**9}],
    "transformers_weights": ["extra.safetensors"],
    "mlp_bias": [3],
}
OTHERWISE = {
    ("hidden_size", 0): "(256, 32) in the files, (256, 0) in the model class",
    ("hidden_size", -1): "The hidden size (-1)",
    ("hidden_size", 33): "The hidden size (33)",
    ("intermediate_size", 0): "(32, 48) in the files, (32, 0) in the model class",
    ("intermediate_size", -48): "negative dimension -48",
    ("num_hidden_layers", 0): "num_hidden_layers is 0",
    ("num_hidden_layers", -1): "num_hidden_layers is -1",
    ("num_attention_heads", 0): "modulo by zero",
    ("num_attention_heads", -4): "negative dimension -32",
    ("num_attention_heads", 3): "number of attention heads (3)",
    ("num_key_value_heads", 0): "modulo by zero",
    ("num_key_value_heads", 3): "(16, 32) in the files, (24, 32) in the model class",
    ("vocab_size", -1): "negative dimension -1",
    ("vocab_size", 10**30): "Overflow",
    ("model_type", ""): "does not recognize this architecture",
    ("model_type", "nobody-knows"): "nobody-knows",
    ("head_dim", 0): "0.0 cannot be raised",
    ("head_dim", -8): "negative dimension -32",
    ("hidden_act", "nobody"): "nobody",
    ("dtype", "float3"): "float3",
    ("dtype", 3): "is_floating_point",
    ("pad_token_id", 10**30): "Padding_idx",
    ("text_config", "x"): "'str' object",
    ("text_config", 3): "'int' object",
    ("model_type", "bert"): "BertLMHeadModel does not know model.",
    ("model_type", "t5"): "encoder-decoder (T5Config)",
    ("model_type", "../llama"): "`../llama`",
    ("model_type", "\x1b[2J"): "model type ` [2J`",
    ("model_type", "x" * 100_000): "model type `xxx",
}
OF_A_WHOLE = {
    "quantization_config": "This checkpoint is quantised",
    "rope_parameters": "rope_parameters",
    "text_config": "num_hidden_layers is 1,000,000,000",
}
"""The same for values that are lists or mappings."""
"""Where transformers' own words name no field, these are its words; else the field's name stands in the message."""
CASES = [(name, value) for name, values in FIELDS.items() for value in values]


def expected(name: str, value: object) -> str:
    if isinstance(value, int) and value > 10**300:
        return "a number of more than 300 digits"
    if name in OF_A_WHOLE and (isinstance(value, dict | list) or name == "quantization_config"):
        return OF_A_WHOLE[name]
    return OTHERWISE.get((name, value), name) if isinstance(value, str | int) and value is not True else name


@pytest.mark.quick_rows(30)
@pytest.mark.parametrize(("name", "value"), CASES, ids=[f"{n}={json.dumps(v)[:30]}" for n, v in CASES])
def test_a_field_of_a_wrong_type_or_size_is_refused(name, value, llama, tmp_path, capsys, little_memory):
    checkpoints.edit_config(llama, **{name: value})
    expect_refusal(prune(llama, tmp_path / "out"), tmp_path / "out", capsys, expected(name, value))


DOCUMENTS = {
    "": "config.json is not JSON",
    "{": "config.json is not JSON",
    "[]": "config.json is not a JSON object",
    "null": "config.json is not a JSON object",
    '"llama"': "config.json is not a JSON object",
    "{}": "config.json",
    "\ufeff{}": "config.json",
    "{'a': 1}": "config.json is not JSON",
    '{"a": ' + "[" * 100_000: "config.json is not JSON",
    '{"a": ' + "[" * 500 + "]" * 500 + "}": "nested deeper than 64 levels",
    '{"a": ' + "9" * 5_000 + "}": "config.json is not JSON",
    '{"a": ' + "9" * 400 + "}": "a number of more than 300 digits",
    '{"a": "\\ud800"}': "half a character",
    '{"\\udfff": 1}': "half a character",
}


@pytest.mark.parametrize(("text", "words"), DOCUMENTS.items(), ids=[text[:20] for text in DOCUMENTS])
def test_a_config_that_is_no_object_of_json_is_refused(text, words, llama, tmp_path, capsys, little_memory):
    (llama / "config.json").write_text(text)
    expect_refusal(prune(llama, tmp_path / "out"), tmp_path / "out", capsys, words)


def not_utf8(path: Path) -> None:
    path.write_bytes(b'{"model_type": "\xff\xfe"}')


def empty(path: Path) -> None:
    path.write_bytes(b"")


def huge(path: Path) -> None:
    path.write_bytes(b'{"a": "' + b"x" * (65 << 20) + b'"}')


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


SPOILERS = [not_utf8, empty, huge, folder, dangling, pipe, endless]


@pytest.mark.parametrize("spoil", SPOILERS, ids=lambda spoil: spoil.__name__)
@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors.index.json", "model-00002-of-00002.safetensors", "tokenizer_config.json"]
)
def test_a_file_that_is_none_is_refused(spoil, name, llama, tmp_path, capsys, little_memory):
    path = llama / name
    assert path.is_file(), sorted(p.name for p in llama.iterdir())
    spoil(path)
    expect_refusal(prune(llama, tmp_path / "out"), tmp_path / "out", capsys, "safetensors" if "safe" in name else name)


INDEXES = {
    "{}": "names no shards",
    '{"weight_map": []}': "names no shards",
    '{"weight_map": {}}': "names no shards",
    '{"weight_map": {"a": 3}}': "names no shards",
    '{"weight_map": {"a": null}}': "names no shards",
    '{"weight_map": {"a": "/etc/passwd"}}': "/etc/passwd, which lies outside the folder",
    '{"weight_map": {"a": "../x.safetensors"}}': "../x.safetensors, which lies outside the folder",
    '{"weight_map": {"a": ".hidden.safetensors"}}': ".hidden.safetensors, which lies outside the folder",
    '{"weight_map": {"a": "x\\u0000.safetensors"}}': "which is missing",
    '{"weight_map": {"a": "\\u001b]0;owned\\u0007.safetensors"}}': "which is missing",
    '{"weight_map": {"a": "\\u202egnp.safetensors"}}': "which is missing",
    '{"weight_map": {"a": "' + "x" * 1_000_000 + '"}}': "which is no safetensors file",
    '{"weight_map": ' + "[" * 10_000: "is not JSON",
    '{"weight_map": {"a": ' + "[" * 100 + "]" * 100 + "}}": "nested deeper",
}


@pytest.mark.parametrize(("text", "words"), INDEXES.items(), ids=[text[:40] for text in INDEXES])
def test_an_index_that_leads_nowhere_is_refused(text, words, llama, tmp_path, capsys, little_memory):
    (llama / "model.safetensors.index.json").write_text(text)
    expect_refusal(prune(llama, tmp_path / "out"), tmp_path / "out", capsys, "model.safetensors.index.json", words)


@pytest.mark.parametrize("name", ["num_hidden_layers", "num_attention_heads"])
@pytest.mark.parametrize("value", [10**5, 10**9, 10**18])
def test_a_config_alone_with_counts_that_no_model_has_is_refused(name, value, phi_config, tmp_path, capsys):
    """A dry run needs nothing but the config, so that no file says how many layers there are."""
    checkpoints.edit_config(phi_config, **{name: value})
    code = publish(phi_config, tmp_path / "out", "--dry-run")
    expect_refusal(code, tmp_path / "out", capsys, name, "no model has more than")
