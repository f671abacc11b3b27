"""Bad input: exit 2, one clear message with a remedy, nothing left behind."""

import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from release.__main__ import run
from tests import checkpoints

OFF = ["--bbq", "off", "--perplexity", "off", "--latency", "off"]


def publish(model: object, out: Path, *more: str, sparsity: str = "0.1", method: str = "random") -> int:
    where = [] if "--to" in more else ["--local"]
    return run(
        ["publish", str(model), "--method", method, "--sparsity", sparsity, "--out", str(out), *OFF, *where, *more]
    )


def expect_refusal(code: int, out: Path, capsys: pytest.CaptureFixture[str], *words: str) -> None:
    said = capsys.readouterr()
    assert code == 2, said.err
    assert said.out == ""
    assert said.err.count("Error:") == 1
    assert "Traceback" not in said.err
    assert len(said.err.strip().splitlines()) >= 2, "a remedy stands on a line of its own"
    for word in words:
        assert word in said.err
    assert not out.exists()


@pytest.mark.parametrize("sparsity", ["0", "1", "-0.1", "1.5", "nan", "abc", "inf", "1e999", ""])
def test_a_sparsity_outside_its_range_is_refused(sparsity, llama, tmp_path, capsys):
    code = publish(llama, tmp_path / "out", sparsity=sparsity)
    expect_refusal(code, tmp_path / "out", capsys, "Sparsity", "0.1")


def test_an_unknown_method_names_the_nearest(llama, tmp_path, capsys):
    expect_refusal(publish(llama, tmp_path / "out", method="magnitud"), tmp_path / "out", capsys, "magnitude")


@pytest.mark.parametrize(("model", "nearest"), [("phi-3", "phi-3.5"), ("gemma2-9b", "gemma-2-9b"), ("demoo", "demo")])
def test_an_unknown_alias_names_the_nearest(model, nearest, tmp_path, capsys):
    expect_refusal(publish(model, tmp_path / "out"), tmp_path / "out", capsys, nearest)


@pytest.mark.parametrize("option", ["--bbq", "--perplexity", "--latency"])
@pytest.mark.parametrize("value", ["0", "-3", "some", "1.5"])
def test_an_amount_that_is_none_is_refused(option, value, llama, tmp_path, capsys):
    expect_refusal(publish(llama, tmp_path / "out", option, value), tmp_path / "out", capsys, option, value)


@pytest.mark.parametrize(
    ("option", "value", "nearest"),
    [
        ("--bbq-scoring", "letter", "letters"),
        ("--bbq-categories", "Age,Religoin", "Religion"),
        ("--eval-dtype", "float64", "bfloat16"),
        ("--log-format", "csv", "lm-eval"),
    ],
)
def test_a_choice_that_does_not_exist_names_those_that_do(option, value, nearest, llama, tmp_path, capsys):
    code = publish(llama, tmp_path / "out", "--bbq", "8", option, value)
    expect_refusal(code, tmp_path / "out", capsys, value.split(",")[-1], nearest)


def test_letters_of_several_tokens_are_refused_before_pruning(llama, tmp_path, capsys):
    checkpoints.edit_config(llama, max_position_embeddings=2048)
    tokenizer = checkpoints.tokenizer()
    tokenizer.add_tokens(["<assistant>A"])
    tokenizer.save_pretrained(llama)
    code = publish(llama, tmp_path / "out", "--bbq", "8")
    expect_refusal(code, tmp_path / "out", capsys, "one token each", "--bbq-scoring answers")


def test_a_device_that_is_not_there_is_refused_before_pruning(llama, tmp_path, capsys):
    expect_refusal(publish(llama, tmp_path / "out", "--device", "abacus"), tmp_path / "out", capsys, "abacus", "cpu")


def test_a_folder_without_bbq_is_refused_before_pruning(llama, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    code = publish(llama, tmp_path / "out", "--bbq", "8", "--bbq-data", str(tmp_path / "empty"))
    expect_refusal(code, tmp_path / "out", capsys, "Age.jsonl")


def test_a_text_that_is_too_short_is_refused_before_pruning(llama, tmp_path, capsys):
    (tmp_path / "note.txt").write_text("")
    code = publish(llama, tmp_path / "out", "--perplexity", "2", "--text", str(tmp_path / "note.txt"))
    expect_refusal(code, tmp_path / "out", capsys, "note.txt")


def spoil_no_config(base: Path) -> str:
    (base / "config.json").unlink()
    return "config.json"


def spoil_broken_config(base: Path) -> str:
    (base / "config.json").write_text("{")
    return "config.json"


def spoil_no_weights(base: Path) -> str:
    for file in base.glob("*.safetensors*"):
        file.unlink()
    return "safetensors"


def spoil_truncated(base: Path) -> str:
    shard = sorted(base.glob("*.safetensors"))[1]
    shard.write_bytes(shard.read_bytes()[:-10])
    return shard.name


def spoil_foreign_file(base: Path) -> str:
    shard = sorted(base.glob("*.safetensors"))[0]
    shard.write_bytes(b"PK\x03\x04 this is no safetensors file")
    return shard.name


def spoil_empty_file(base: Path) -> str:
    shard = sorted(base.glob("*.safetensors"))[0]
    shard.write_bytes(b"")
    return shard.name


def spoil_missing_shard(base: Path) -> str:
    shard = sorted(base.glob("*.safetensors"))[1]
    shard.unlink()
    return shard.name


def spoil_index_pointing_outside(base: Path) -> str:
    index = base / "model.safetensors.index.json"
    data = json.loads(index.read_text())
    data["weight_map"] = dict.fromkeys(data["weight_map"], "../elsewhere.safetensors")
    index.write_text(json.dumps(data))
    return "../elsewhere.safetensors"


def spoil_broken_index(base: Path) -> str:
    (base / "model.safetensors.index.json").write_text("[]")
    return "model.safetensors.index.json"


def spoil_quantised(base: Path) -> str:
    checkpoints.edit_config(base, quantization_config={"quant_method": "gptq", "bits": 4})
    return "gptq"


def spoil_packed(base: Path) -> str:
    values = checkpoints.tensors(base)
    spoil_no_weights(base)
    name = "model.layers.1.mlp.down_proj.weight"
    values[name] = values[name].to(dtype=torch.int8)
    checkpoints.write(base, values)
    return f"{name} is stored as I8"


def spoil_other_config(base: Path) -> str:
    checkpoints.edit_config(base, num_hidden_layers=3, layer_types=None)
    return "layers.2."


def spoil_unknown_architecture(base: Path) -> str:
    checkpoints.edit_config(base, model_type="nobody-knows", auto_map={"AutoConfig": "code.Config"})
    return "custom code is not run"


SPOILERS = [value for name, value in sorted(globals().items()) if name.startswith("spoil_")]


@pytest.mark.parametrize("spoil", SPOILERS, ids=lambda s: s.__name__)
@pytest.mark.parametrize("command", ["publish", "prune"])
def test_an_unusable_base_is_refused_and_the_place_named(
    spoil: Callable[[Path], str], command, llama, tmp_path, capsys
):
    place = spoil(llama)
    out = tmp_path / "out"
    if command == "publish":
        code = publish(llama, out)
    else:
        code = run(["prune", str(llama), "--method", "random", "--sparsity", "0.1", "--out", str(out)])
    expect_refusal(code, out, capsys, place)


def test_no_disk_space_is_said_before_anything_is_written(llama, tmp_path, capsys):
    values = checkpoints.tensors(llama)
    spoil_no_weights(llama)
    checkpoints.write(llama, values)
    path = llama / "model.safetensors"
    length = struct.unpack("<Q", path.read_bytes()[:8])[0]
    header = json.loads(path.read_bytes()[8 : 8 + length])
    end, rows = max(t["data_offsets"][1] for n, t in header.items() if n != "__metadata__"), 1 << 36
    header["model.huge_embedding"] = {"dtype": "BF16", "shape": [rows, 64], "data_offsets": [end, end + rows * 128]}
    text = json.dumps(header).encode()
    with path.open("r+b") as file:
        data = file.read()[8 + length :]
        file.seek(0)
        file.write(struct.pack("<Q", len(text)) + text + data)
        file.truncate(8 + len(text) + end + rows * 128)  # sparse: terabytes in name only
    expect_refusal(publish(llama, tmp_path / "out"), tmp_path / "out", capsys, "are needed and", "are free")


def run_apart(environment: dict[str, str], *arguments: str) -> tuple[subprocess.CompletedProcess[str], float]:
    """Run the command in a process of its own, with a Hub client that knows only `environment`."""
    known = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    started = time.monotonic()
    command = [sys.executable, "-m", "release", *arguments]
    done = subprocess.run(command, env=known | environment, capture_output=True, text=True, timeout=60)
    return done, time.monotonic() - started


def test_without_a_login_it_stops_before_pruning_and_names_both_ways_out(llama, tmp_path):
    words = ["publish", str(llama), "--method", "random", "--sparsity", "0.1", "--out", str(tmp_path / "out"), *OFF]
    done, _ = run_apart({"HF_HOME": str(tmp_path / "home")}, *words)
    assert done.returncode == 2
    assert "hf auth login" in done.stderr
    assert "--local" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def closed_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


@pytest.mark.long
@pytest.mark.parametrize("login", [True, False])
def test_an_unreachable_hub_is_said_within_fifteen_seconds(login, tmp_path):
    environment = {"HF_ENDPOINT": closed_port(), "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": "hf_secret"}
    where = [] if login else ["--local"]
    words = ["publish", "org/model", "--method", "random", "--sparsity", "0.1", "--out", str(tmp_path / "out"), *where]
    done, seconds = run_apart(environment, *words)
    assert done.returncode == 2, done.stderr
    assert environment["HF_ENDPOINT"] in done.stderr
    assert "Traceback" not in done.stderr
    assert "hf_secret" not in done.stderr + done.stdout
    # The limit holds from the first contact on; the rest is the interpreter and its imports.
    assert seconds < 15 + 10
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_another_release_is_left_alone(llama, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("ten years of work")
    code = run(["prune", str(llama), "--method", "random", "--sparsity", "0.1", "--out", str(out)])
    assert code == 2
    assert "holds something else" in capsys.readouterr().err
    assert [p.name for p in out.iterdir()] == ["thesis.txt"]


def test_a_folder_whose_record_cannot_be_read_is_left_alone(llama, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["prune", str(llama), "--method", "random", "--sparsity", "0.1", "--out", str(out)]
    assert run(command) == 0
    (out / "release.json").write_text("{}")
    capsys.readouterr()
    assert run(command) == 2
    assert "holds something else" in capsys.readouterr().err


@pytest.mark.parametrize("change", [["--sparsity", "0.2"], ["--seed", "7"], ["--method", "magnitude"]])
def test_a_folder_that_holds_another_recipe_is_left_alone(change, llama, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["prune", str(llama), "--method", "random", "--sparsity", "0.1", "--out", str(out)]
    assert run(command) == 0
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    capsys.readouterr()
    assert run([*command, *change]) == 2
    assert "holds something else" in capsys.readouterr().err
    assert before == {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}


def test_an_output_that_cannot_be_a_folder_is_refused(llama, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert publish(llama, tmp_path / "file" / "out") == 2
    said = capsys.readouterr().err
    assert "file" in said
    assert "Traceback" not in said


def test_a_missing_option_or_command_is_refused_without_traceback(capsys):
    assert run(["publish", "demo"]) == 2
    assert run(["pubish"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_with_json_an_error_is_one_object_on_stdout(llama, tmp_path, capsys):
    assert publish(llama, tmp_path / "out", "--json", sparsity="1.5") == 2
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is False
    assert "1.5" in answer["error"]
    assert answer["exit_code"] == 2
