"""Releases, headers, data and masks that nobody can use: each command says what is wrong, and changes nothing."""

import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from release.__main__ import run
from tests import checkpoints
from tests.refusal import expect_refusal, prune, publish, said_once

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def release(base_folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pruned model that is not to be changed."""
    out = tmp_path_factory.mktemp("release") / "out"
    assert prune(base_folders["llama"], out, "--with-mask") == 0
    return out


@pytest.fixture
def copy(release: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(release, tmp_path / "copy"))


RECORDS: dict[str, str] = {
    "": "release.json is not JSON",
    "{": "release.json is not JSON",
    "[]": "is not a JSON object",
    "{}": "Field required",
    "null": "is not a JSON object",
    "[" * 100_000: "release.json is not JSON",
    '{"a": ' + "[" * 100 + "]" * 100 + "}": "nested deeper",
    '{"a": ' + "9" * 5_000 + "}": "release.json is not JSON",
    '{"\\ud800": 1}': "half a character",
}


@pytest.mark.parametrize("command", ["verify", "card", "push", "demo"])
@pytest.mark.parametrize(("text", "words"), RECORDS.items(), ids=[text[:20] for text in RECORDS])
def test_a_record_that_is_none_is_named(command, text, words, copy, capsys, little_memory):
    (copy / "release.json").write_text(text)
    code = run([command, str(copy), *(["--to", "me"] if command == "push" else [])])
    said_once(capsys, *([] if command == "push" else [words]))
    assert code in (1, 2)


FIELDS: list[tuple[tuple[str | int, ...], Any]] = [
    (("pruning", "target_sparsity"), "1e999999"),
    (("pruning", "target_sparsity"), "1e-999999"),
    (("pruning", "target_sparsity"), "NaN"),
    (("pruning", "target_sparsity"), "2"),
    (("audit", "target_sparsity"), "1e999999"),
    (("plan", "sparsity"), "1e999999"),
    (("audit", "prunable_parameters"), 10**400),
    (("audit", "zeroed_parameters"), 10**400),
    (("base", "parameters"), 10**25),
    (("audit", "actual_sparsity"), "x"),
    (("pruning", "seed"), 10**400),
    (("pruning", "budget"), 1.5),
    (("pruning", "method"), 3),
    (("pruning", "pattern"), 3),
    (("measurements", "storage", "dense_bytes"), 10**400),
    (("files", 0, "name"), "../../x"),
    (("files", 0, "name"), "/etc/passwd"),
    (("files", 0, "name"), "a\x00b"),
    (("schema_version",), 2),
    (("pruning", "block_sparsities"), []),
    (("name",), None),
]


@pytest.mark.parametrize("command", ["verify", "card", "rebuild"])
@pytest.mark.parametrize(("place", "value"), FIELDS, ids=[f"{p[-1]}={str(v)[:20]}" for p, v in FIELDS])
def test_a_record_with_a_number_out_of_all_bounds_is_refused(
    command, place, value, copy, base_folders, tmp_path, capsys, little_memory
):
    record = json.loads((copy / "release.json").read_text())
    part = record
    for name in place[:-1]:
        part = part[name]
    part[place[-1]] = value
    (copy / "release.json").write_text(json.dumps(record))
    more = ["--base", str(base_folders["llama"]), "--out", str(tmp_path / "again")] if command == "rebuild" else []
    assert run([command, str(copy), *more]) == 1
    said_once(capsys, "release.json")
    assert not (tmp_path / "again").exists()


METHODS = ["../card", "\x1b[2J", "x" * 100_000, "random\x00"]


@pytest.mark.parametrize("method", METHODS, ids=["path", "escape", "long", "nul"])
@pytest.mark.parametrize("command", ["verify", "card"])
def test_a_method_that_does_not_exist_is_named(command, method, copy, capsys):
    record = json.loads((copy / "release.json").read_text())
    record["pruning"]["method"] = method
    (copy / "release.json").write_text(json.dumps(record))
    code = run([command, str(copy)])
    said = capsys.readouterr()
    assert code in (0, 1, 2)
    assert command == "card" or code
    assert "Traceback" not in said.err
    assert "unforeseen" not in said.err
    lines = (said.out + said.err).replace("\u00a0", " ").split("\n")
    assert all(line.isprintable() and len(line) < 2_500 for line in lines)


def header_of(tensors: dict[str, Any], data: int = 64) -> bytes:
    text = json.dumps(tensors).encode()
    return struct.pack("<Q", len(text)) + text + bytes(data)


ONE = {"dtype": "F32", "shape": [4, 4], "data_offsets": [0, 64]}
HEADERS: dict[str, bytes] = {
    "empty": b"",
    "short": b"\x01",
    "length beyond the file": struct.pack("<Q", 1 << 40) + b"{}",
    "length of 2^63": struct.pack("<Q", 1 << 63) + b"{}",
    "no JSON": struct.pack("<Q", 4) + b"abcd",
    "list": struct.pack("<Q", 2) + b"[]",
    "deep": struct.pack("<Q", 20_000) + b"[" * 20_000,
    "not UTF-8": struct.pack("<Q", 4) + b'{"\xff\xfe',
    "no type": header_of({"a": {"shape": [1], "data_offsets": [0, 4]}}, 4),
    "strange type": header_of({"a": ONE | {"dtype": "Q4"}}),
    "type is no text": header_of({"a": ONE | {"dtype": 3}}),
    "shape is no list": header_of({"a": ONE | {"shape": 16}}),
    "negative shape": header_of({"a": ONE | {"shape": [-4, -4]}}),
    "huge shape": header_of({"a": ONE | {"shape": [10**18, 10**18]}}),
    "shape of fractions": header_of({"a": ONE | {"shape": [4.5, 4]}}),
    "offsets reversed": header_of({"a": ONE | {"data_offsets": [64, 0]}}),
    "offsets beyond": header_of({"a": ONE | {"data_offsets": [0, 10**15]}}),
    "offsets of text": header_of({"a": ONE | {"data_offsets": ["0", "64"]}}),
    "hole": header_of({"a": ONE | {"data_offsets": [64, 128]}}, 128),
    "overlap": header_of({"a": ONE, "b": ONE}),
    "entry is text": header_of({"a": "x"}),
    "rest": header_of({"a": ONE}, 100),
    "pickle": b"\x80\x04\x95" + bytes(100),
    "zip": b"PK\x03\x04" + bytes(100),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_weight_file_whose_header_lies_is_named(name, llama, tmp_path, capsys, little_memory):
    for file in llama.glob("*.safetensors*"):
        file.unlink()
    (llama / "model.safetensors").write_bytes(HEADERS[name])
    expect_refusal(prune(llama, tmp_path / "out"), tmp_path / "out", capsys, "model.safetensors")


NAMES = {
    "model.layers.99999999.mlp.up_proj.weight": "a number of 8 digits",
    "model.layers." + "9" * 5_000 + ".mlp.up_proj.weight": "a number of 5,000 digits",
    "model.layers.999999.mlp.up_proj.weight": "layers.",
    "model.layers.-1.mlp.up_proj.weight": "does not know model.layers.-1",
    "model.layers.\u0663.mlp.up_proj.weight": "does not know model.layers.",
    "model.layers.0.\x1b[2Jx.weight": "the files hold no model.layers.1",
    "model.layers.0." + "x" * 100_000 + ".weight": "the files hold no model.layers.1",
    "\x1b]0;owned\x07": "does not know",
    "": "does not know",
    "model.layers.0.\u202egnp.weight": "the files hold no model.layers.1",
}


@pytest.mark.parametrize(("name", "words"), NAMES.items(), ids=[name[:30] for name in NAMES])
def test_a_tensor_of_a_strange_name_is_refused_in_one_printable_line(name, words, llama, tmp_path, capsys):
    for file in llama.glob("*.safetensors*"):
        file.unlink()
    (llama / "model.safetensors").write_bytes(header_of({name: ONE}))
    expect_refusal(prune(llama, tmp_path / "out"), tmp_path / "out", capsys, words)


@pytest.mark.parametrize("inside", ["\x1b[2Jx", "x" * 100_000, "\u202egnp", "[red]x[/red]"])
def test_a_strange_module_is_named_in_one_printable_line(inside, llama, tmp_path, capsys):
    checkpoints.edit_config(llama, num_hidden_layers=1)
    for file in llama.glob("*.safetensors*"):
        file.unlink()
    (llama / "model.safetensors").write_bytes(header_of({f"model.layers.0.{inside}.weight": ONE}))
    expect_refusal(prune(llama, tmp_path / "out"), tmp_path / "out", capsys, "does not know model.layers.0.")


TABLES: dict[str, Callable[[str], bytes]] = {
    "empty": lambda _: b"",
    "not UTF-8": lambda text: b"\xff\xfe" + text.encode(),
    "no columns": lambda _: b"a,b\n1,2\n",
    "binary": lambda _: bytes(range(256)),
    "a huge field": lambda text: text.encode() + b"x" * 200_000 + b"\n",
    "long numbers": lambda text: text.replace(",0,", f",{'9' * 5_000},").encode(),
    "huge numbers": lambda text: text.replace(",0,", f",{10**400},").encode(),
    "negative": lambda text: text.replace(",0,", ",-5,").encode(),
    "words": lambda text: text.replace(",0,", ",zero,").encode(),
    "NUL": lambda text: text.replace(",", "\x00,").encode(),
    "rows cut": lambda text: text[: len(text) // 2].encode(),
    "rows twice": lambda text: (text + text.split("\n", 1)[1]).encode(),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_is_none_is_a_failed_check(name, copy, capsys, little_memory):
    path = copy / "sparsity.csv"
    path.write_bytes(TABLES[name](path.read_text()))
    assert run(["verify", str(copy)]) == 1
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    assert "unforeseen" not in said.err
    assert "NOT verified" in said.out
    assert "sparsity.csv" in said.out


def pipe(path: Path) -> None:
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def folder(path: Path) -> None:
    path.mkdir()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def nonsense(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 1_000)


def large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 31)


@pytest.mark.parametrize("spoil", [pipe, endless, folder, empty, nonsense, large])
@pytest.mark.parametrize("name", ["Age.jsonl", "additional_metadata.csv"])
def test_bbq_data_that_is_none_is_refused(name, spoil, llama, tmp_path, capsys, little_memory):
    data = tmp_path / "bbq"
    data.mkdir()
    spoil(data / name)
    code = publish(llama, tmp_path / "out", "--bbq", "4", "--bbq-data", str(data))
    expect_refusal(code, tmp_path / "out", capsys, "Age.jsonl", "nyu-mll/BBQ")


@pytest.mark.quick_rows(25)
@pytest.mark.parametrize("spoil", [pipe, endless, folder, empty, nonsense])
@pytest.mark.parametrize(
    "name", ["release.json", "README.md", "sparsity.csv", "config.json", "mask/pruned.safetensors"]
)
@pytest.mark.parametrize("command", ["verify", "card", "rebuild"])
def test_a_file_of_a_release_that_is_none_ends_in_one_message(
    command, name, spoil, copy, base_folders, tmp_path, capsys, little_memory
):
    path = copy / name
    path.unlink()
    spoil(path)
    more = ["--base", str(base_folders["llama"]), "--out", str(tmp_path / "again")] if command == "rebuild" else []
    code = run([command, str(copy), *more])
    said = capsys.readouterr()
    assert code in (0, 1, 2), said.err
    assert "unforeseen" not in said.err
    assert "Traceback" not in said.err
    assert command != "verify" or code, f"{name} was not missed"
    if command == "verify" and spoil in (pipe, endless, folder):
        assert name.rsplit("/", 1)[-1] in said.err + said.out
    if code:
        assert not (tmp_path / "again" / "model-00001-of-00002.safetensors").exists()


def linked_folder(path: Path) -> None:
    aside = path.parent.parent / "aside"
    aside.mkdir()
    path.symlink_to(aside)


def dangling(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere")


@pytest.mark.parametrize("spoil", [pipe, endless, linked_folder, dangling])
@pytest.mark.parametrize("name", ["tokenizer.model", "adapter_model.safetensors", "chat", ".x", "figures/a.svg"])
def test_what_is_no_file_does_not_lie_in_a_release_unseen(name, spoil, copy, capsys):
    (copy / name).parent.mkdir(exist_ok=True)
    spoil(copy / name)
    assert run(["verify", str(copy)]) == 1
    said = capsys.readouterr()
    assert name in said.out + said.err


SIDE_FILES = ["generation_config.json", "special_tokens_map.json", "LICENSE", "tokenizer.json", "chat_template.jinja"]


@pytest.mark.parametrize("spoil", [pipe, endless, folder, large])
@pytest.mark.parametrize("name", SIDE_FILES)
def test_a_side_file_that_is_none_is_refused_before_pruning(name, spoil, llama, tmp_path, capsys, little_memory):
    (llama / name).unlink(missing_ok=True)
    spoil(llama / name)
    expect_refusal(prune(llama, tmp_path / "out"), tmp_path / "out", capsys, name)


def test_a_release_that_is_whole_passes(copy, capsys):
    assert run(["verify", str(copy)]) == 0
    assert run(["card", str(copy)]) == 0
    assert checkpoints.tensors(copy)
