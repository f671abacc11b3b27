"""`release prune` and `release rebuild` as their users call them."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from release.__main__ import run
from release.card import file as card_file
from release.checkpoint.folder import open_checkpoint
from release.checkpoint.prunable import prunable as names_of
from release.pruning.registry import METHODS
from release.schema.record import Record, Signed
from tests import checkpoints

NAME = "model.layers.1.mlp.up_proj.weight"


def prune(base: Path, out: Path, method: str, *more: str) -> int:
    return run(["prune", str(base), "--method", method, *checkpoints.CALIBRATION, "--out", str(out), *more])


def refused(capsys, base: Path, out: Path, method: str, *more: str) -> str:
    capsys.readouterr()
    assert prune(base, out, method, *more) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert not out.exists()
    return said


def hashes(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_several_sparsities_make_folders_of_their_own_and_random_masks_are_nested(base_folders, tmp_path, capsys):
    capsys.readouterr()
    assert prune(base_folders["llama"], tmp_path, "random", "--sparsity", "0.1,0.3,0.5,0.7", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    folders = [Path(each["folder"]) for each in answer["releases"]]
    assert [folder.name for folder in folders] == [f"llama-random-s{n}" for n in (10, 30, 50, 70)]
    before: dict[str, torch.Tensor] = {}
    for folder in folders:
        record = Record.read(folder)
        assert record.audit.zeroed_parameters == record.pruning.budget
        assert record.pruning.together == 4
        assert run(["verify", str(folder), "--base", str(base_folders["llama"]), "--rebuild"]) == 0
        zeros = {name: t == 0 for name, t in checkpoints.tensors(folder).items()}
        assert all(bool(zeros[name][mask].all()) for name, mask in before.items())
        before = zeros


@pytest.mark.parametrize(
    "choices",
    [
        ["random", "--sparsity", "0.3"],
        ["magnitude", "--pattern", "2:4"],
        ["magnitude", "--sparsity", "0.4", "--scope", "global"],
        ["random", "--sparsity", "0.4", "--scope", "row", "--seed", "7"],
        ["wanda", "--sparsity", "0.5", "--with-mask"],
        ["ria", "--sparsity", "0.5", "--allocation", "owl", "--with-mask"],
    ],
    ids=" ".join,
)
def test_a_rebuild_from_base_makes_every_file_again_without_the_weights(choices, base_folders, tmp_path):
    base, made, bare, again = base_folders["qwen2"], tmp_path / "made", tmp_path / "bare", tmp_path / "again"
    assert prune(base, made, *choices) == 0
    checkpoints.copy(made, bare)
    for shard in bare.glob("*.safetensors"):
        shard.unlink()
    assert run(["rebuild", str(bare), "--base", str(base), "--out", str(again)]) == 0
    assert hashes(again) == hashes(made)


@pytest.mark.parametrize("more", [(), ("notes.md",)], ids=["as it was signed", "a person added a file"])
def test_a_rebuild_names_a_signer_only_where_the_signature_holds_for_it(more, base_folders, tmp_path):
    base, made, again = base_folders["llama"], tmp_path / "made", tmp_path / "again"
    assert prune(base, made, "random", "--sparsity", "0.3") == 0
    signer = Signed(name="ada@example.org", provider="https://issuer.example")
    record = Record.read(made).model_copy(update={"signed_as": signer})
    card_file.write(made, card_file.renewed(made, record))
    (made / "release.json").write_text(record.to_json(), encoding="utf-8")
    for name in ("model.sig", *more):
        (made / name).write_text("{}")
    assert run(["rebuild", str(made), "--base", str(base), "--out", str(again)]) == 0
    assert Record.read(again).signed_as == (None if more else signer)
    assert ("ada@example.org" in (again / "README.md").read_text(encoding="utf-8")) == (not more)
    assert (again / "model.sig").exists() == (not more)


def test_a_mask_is_one_bit_per_prunable_weight(base_folders, tmp_path):
    base, made = base_folders["phi3"], tmp_path / "made"
    assert prune(base, made, "wanda", "--sparsity", "0.5", "--with-mask") == 0
    size = (made / "mask" / "pruned.safetensors").stat().st_size
    tensors = len(names_of(open_checkpoint(base)))
    assert checkpoints.PRUNABLE["phi3"] / 8 <= size <= checkpoints.PRUNABLE["phi3"] / 8 + 200 * tensors
    assert any(file.name == "mask/pruned.safetensors" for file in Record.read(made).files)


def test_a_rebuild_from_another_base_is_refused_and_leaves_nothing(base_folders, tmp_path, capsys):
    made, again = tmp_path / "made", tmp_path / "again"
    assert prune(base_folders["llama"], made, "random", "--sparsity", "0.3") == 0
    other = checkpoints.copy(base_folders["llama"], tmp_path / "other")
    values = checkpoints.tensors(other)
    values[NAME][0, 0] += 1
    for shard in other.glob("*.safetensors*"):
        shard.unlink()
    checkpoints.write(other, values)
    assert run(["rebuild", str(made), "--base", str(other), "--out", str(again)]) == 1
    assert "which is not the release's" in capsys.readouterr().err
    assert not list(again.glob("*.safetensors"))


def test_a_calibrated_release_without_a_mask_cannot_be_rebuilt_and_says_why(base_folders, tmp_path, capsys):
    made = tmp_path / "made"
    assert prune(base_folders["llama"], made, "wanda", "--sparsity", "0.3") == 0
    assert run(["rebuild", str(made), "--base", str(base_folders["llama"]), "--out", str(tmp_path / "again")]) == 2
    said = capsys.readouterr().err
    assert "was calibrated" in said
    assert "--with-mask" in said


def test_a_pattern_must_divide_every_layers_inputs(tmp_path, capsys):
    base = checkpoints.make(tmp_path / "base", "llama", intermediate_size=44)
    said = refused(capsys, base, tmp_path / "out", "magnitude", "--pattern", "4:8")
    assert "does not divide the 44 inputs of model.layers.0.mlp.down_proj.weight" in said


def test_zeros_of_the_base_that_a_pattern_has_no_room_for_stay_and_are_counted_apart(llama, tmp_path):
    values = checkpoints.tensors(llama)
    values[NAME].view(-1)[:3] = 0
    for shard in llama.glob("*.safetensors*"):
        shard.unlink()
    checkpoints.write(llama, values)
    assert prune(llama, tmp_path / "out", "magnitude", "--pattern", "2:4") == 0
    record = Record.read(tmp_path / "out")
    assert record.audit.crowded == 1
    assert record.audit.zeroed_parameters == record.pruning.budget + 1
    assert {claim.key: claim.verdict for claim in record.claims}["counts_as_targeted"] == "supported"
    assert run(["verify", str(tmp_path / "out"), "--base", str(llama), "--rebuild"]) == 0


@pytest.mark.parametrize("pattern", ["2:3", "4:4", "0:4", "5:4", "2-4", "", "1:128", "-1:4"])
def test_what_is_no_pattern_is_refused(pattern, llama, tmp_path, capsys):
    assert "is not understood" in refused(capsys, llama, tmp_path / "out", "magnitude", f"--pattern={pattern}")


def test_a_sparsity_that_contradicts_the_pattern_is_refused(llama, tmp_path, capsys):
    said = refused(capsys, llama, tmp_path / "out", "magnitude", "--pattern", "2:4", "--sparsity", "0.6")
    assert "zeroes 0.5 of the weights, --sparsity asks for 0.6" in said
    assert prune(llama, tmp_path / "out", "magnitude", "--pattern", "2:4", "--sparsity", "0.50") == 0


@pytest.mark.parametrize(
    ("choices", "reason"),
    [
        (["random", "--sparsity", "0.5", "--scope", "global"], "knows no scope"),
        (["sparsegpt", "--sparsity", "0.5", "--scope", "row"], "knows no scope"),
        (["magnitude", "--sparsity", "0.5", "--scope", "layer"], "'layer' is not understood"),
        (["magnitude", "--pattern", "2:4", "--scope", "global"], "nothing for a global cut"),
        (["magnitude", "--sparsity", "0.5", "--allocation", "owl"], "OWL"),
        (["wanda", "--pattern", "2:4", "--allocation", "owl"], "OWL"),
        (["sparsegpt", "--sparsity", "0.5", "--with-mask"], "changes the weights it keeps"),
        (["random", "--sparsity", "0.1,0.1"], "names a share twice"),
        (["random", "--sparsity", "0.1,"], "is not a number"),
        (["random"], "No sparsity was given"),
        (["wanda", "--sparsity", "0.5", "--calibration", "nowhere.txt"], "no calibration text 'nowhere.txt'"),
        (["wanda", "--sparsity", "0.5", "--calibration-samples", "100000"], "100000 were asked for"),
        (["wanda", "--sparsity", "0.5", "--calibration-length", "4096"], "longer than the 512"),
        (["wanda", "--sparsity", "0.5", "--uncalibrated", "random"], "'random' is not understood"),
        (["wanda", "--sparsity", "0.5", "--device", "abacus"], "'abacus' cannot be used"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_choices_that_do_not_go_together_are_refused_before_any_work(choices, reason, llama, tmp_path, capsys):
    assert reason in refused(capsys, llama, tmp_path / "out", *choices)


def spoil(folder: Path, name: str, value: float) -> None:
    values = checkpoints.tensors(folder)
    values[name].view(-1)[33] = value
    for shard in folder.glob("*.safetensors*"):
        shard.unlink()
    checkpoints.write(folder, values)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", [NAME, "model.embed_tokens.weight"])
@pytest.mark.parametrize("method", ["random", "magnitude"])
def test_nan_and_infinity_in_the_base_are_named_and_refused_unless_allowed(
    method, name, value, llama, tmp_path, capsys
):
    spoil(llama, name, value)
    said = refused(capsys, llama, tmp_path / "out", method, "--sparsity", "0.5")
    assert f"{name}[1, 1]" in said
    assert "--allow-nonfinite" in said
    assert prune(llama, tmp_path / "out", method, "--sparsity", "0.5", "--allow-nonfinite") == 0
    kept = checkpoints.tensors(tmp_path / "out")[name].view(-1)[33].float().item()
    assert method == "random" or np.isnan(kept) or kept == value


@pytest.mark.parametrize("method", [key for key, row in METHODS.items() if row.calibrated])
def test_nan_in_the_base_stops_calibration_too(method, llama, tmp_path, capsys):
    spoil(llama, NAME, float("nan"))
    assert NAME in refused(capsys, llama, tmp_path / "out", method, "--sparsity", "0.5")


def test_an_expert_that_no_token_reached_is_named_unless_magnitude_is_allowed(tmp_path, capsys):
    """Sixteen experts, four tokens: most see none."""
    base = checkpoints.make(tmp_path / "base", "mixtral", num_local_experts=16)
    few = ["--calibration-samples", "1", "--calibration-length", "4"]
    said = refused(capsys, base, tmp_path / "out", "wanda", "--sparsity", "0.5", *few)
    assert "No calibration token reached model.layers.0." in said
    assert "--uncalibrated magnitude" in said
    assert prune(base, tmp_path / "out", "wanda", "--sparsity", "0.5", *few, "--uncalibrated", "magnitude") == 0
    record = Record.read(tmp_path / "out")
    assert record.audit.zeroed_parameters == record.pruning.budget
    assert record.pruning.uncalibrated_tensors
    assert "pruned by magnitude" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize("method", METHODS)
def test_the_same_command_again_changes_nothing(method, base_folders, tmp_path):
    more = ["--sparsity", "0.5"]
    assert prune(base_folders["qwen3"], tmp_path / "out", method, *more) == 0
    before = hashes(tmp_path / "out")
    assert prune(base_folders["qwen3"], tmp_path / "out", method, *more) == 0
    assert hashes(tmp_path / "out") == before


def test_the_perplexity_text_is_no_calibration_text(llama, tmp_path, capsys):
    text = str(checkpoints.PROSE)
    words = ["publish", str(llama), "--method", "wanda", "--sparsity", "0.5", *checkpoints.CALIBRATION, "--text", text]
    words += ["--local", "--out", str(tmp_path / "out"), "--bbq", "off", "--latency", "off", "--perplexity", "2"]
    assert run(words) == 2
    assert "both" in capsys.readouterr().err
