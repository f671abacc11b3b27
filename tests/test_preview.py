"""`--dry-run`: counts from config and headers alone, nothing written."""

import json

import pytest

from release.__main__ import run
from release.sources import demo
from tests import checkpoints
from tests.commands import OFF


def dry_run(model, capsys, tmp_path, *more: str, command: str = "publish") -> dict:
    where = ["--local", *OFF] if command == "publish" else []
    out = tmp_path / "out"
    arguments = [command, str(model), "--method", "random", "--sparsity", "0.1", "--out", str(out), *where, *more]
    assert run([*arguments, "--dry-run", "--json"]) == 0
    assert not out.exists()
    return json.loads(capsys.readouterr().out)


def test_phi_3_5_mini_s_config_alone_gives_the_documented_counts(phi_config, capsys, tmp_path):
    answer = dry_run(phi_config, capsys, tmp_path)
    assert answer["prunable_parameters"] == 3_623_878_656
    assert answer["zeroed_parameters"] == 362_387_866
    assert answer["name"] == "phi-3.5-mini-instruct-random-s10"
    assert answer["bytes_to_write"] == 2 * 3_821_079_552
    assert {m["module"]: m["tensors"] for m in answer["modules"]} == {
        "self_attn.qkv_proj": 32,
        "self_attn.o_proj": 32,
        "mlp.gate_up_proj": 32,
        "mlp.down_proj": 32,
    }


@pytest.mark.parametrize("command", ["publish", "prune"])
@pytest.mark.parametrize("architecture", checkpoints.ARCHITECTURES)
def test_config_alone_and_headers_give_the_same_totals(architecture, command, base_folders, capsys, tmp_path):
    whole = dry_run(base_folders[architecture], capsys, tmp_path, command=command)
    bare = tmp_path / architecture
    bare.mkdir()
    (bare / "config.json").write_bytes((base_folders[architecture] / "config.json").read_bytes())
    alone = dry_run(bare, capsys, tmp_path, command=command)
    for key in ("prunable_parameters", "zeroed_parameters"):
        assert whole[key] == alone[key] > 0
    assert whole["prunable_parameters"] == checkpoints.PRUNABLE[architecture]
    sizes = sum(f.stat().st_size for f in base_folders[architecture].glob("*.safetensors"))
    assert whole["bytes_to_write"] == sizes
    # The class knows the parameters, not the files' headers.
    assert 0 < sizes - alone["bytes_to_write"] < 30_000


@pytest.mark.long
def test_the_demo_leaves_nothing_behind(capsys, tmp_path, demo_folder):
    assert (demo_folder / demo.MANIFEST).is_file()
    assert dry_run("demo", capsys, tmp_path, command="prune")["left_behind"] == []


def test_the_repositories_are_named_as_they_would_be_published(llama, capsys, tmp_path):
    arguments = [
        "publish",
        str(llama),
        "--method",
        "magnitude",
        "--sparsity",
        "0.125",
        "--seed",
        "7",
        "--to",
        "lab",
        *OFF,
    ]
    assert run([*arguments, "--out", str(tmp_path / "out"), "--dry-run", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["repositories"] == ["lab/llama-magnitude-s12.5-seed7", "spaces/lab/llama-magnitude-s12.5-seed7"]
    assert answer["bytes_to_upload"] == answer["bytes_to_write"] > 0


def test_for_people_it_prints_the_counts(llama, capsys, tmp_path):
    arguments = ["prune", str(llama), "--method", "random", "--sparsity", "0.5", "--out", str(tmp_path / "out")]
    assert run([*arguments, "--dry-run"]) == 0
    said = capsys.readouterr()
    assert f"{checkpoints.PRUNABLE['llama']:,}" in said.out
    assert "self_attn.q_proj" in said.out
    assert [line for line in said.err.splitlines() if line.startswith("Count what is prunable")]
