"""The gate and `release verify`: what is whole passes, what was touched fails and is named."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants
from safetensors.numpy import load, save

from release.__main__ import run
from release.checkpoint.folder import open_checkpoint
from release.checkpoint.header import read_header
from release.errors import AuditFailed
from release.evals.registry import EVALS
from release.names import MASK
from release.pruning.budget import uniform
from release.pruning.prune import sizes_of
from release.pruning.recipe import Recipe
from release.pruning.registry import METHODS
from release.verification.audit import audit
from release.verification.read_back import ReadBack
from tests import checkpoints
from tests.forge import agree

WEIGHT = "model.layers.1.mlp.up_proj.weight"
EMBEDDING = "model.embed_tokens.weight"


@pytest.fixture(scope="module")
def made(base_folders, tmp_path_factory):
    """One pruned folder per method; not to be changed."""
    root = tmp_path_factory.mktemp("made")
    for method in METHODS:
        command = ["prune", str(base_folders["mistral"]), "--method", method, "--sparsity", "0.3"]
        assert run([*command, *checkpoints.CALIBRATION, "--out", str(root / method)]) == 0
    return root


@pytest.fixture(params=sorted(METHODS))
def pruned(request, made, tmp_path):
    return checkpoints.copy(made / request.param, tmp_path / "pruned")


@pytest.fixture(params=sorted(key for key, row in METHODS.items() if not row.updates_kept_weights))
def masked(request, made, tmp_path):
    """By a method that leaves kept weights as they are."""
    return checkpoints.copy(made / request.param, tmp_path / "pruned")


@pytest.fixture(params=sorted(key for key, row in METHODS.items() if not row.calibrated))
def seeded(request, made, tmp_path):
    """By a method that weights and seed decide."""
    return checkpoints.copy(made / request.param, tmp_path / "pruned")


@pytest.fixture(params=sorted(key for key, row in METHODS.items() if row.calibrated))
def calibrated(request, made, tmp_path):
    return checkpoints.copy(made / request.param, tmp_path / "pruned")


def verify(folder: Path, capsys, *more: str) -> tuple[int, dict]:
    capsys.readouterr()
    code = run(["verify", str(folder), "--json", *more])
    return code, json.loads(capsys.readouterr().out)


def failed(answer: dict) -> dict[str, str]:
    return {check["name"]: check["detail"] for check in answer["checks"] if check["ok"] is False}


def test_an_untouched_release_verifies_with_counts_read_from_the_files(pruned, base_folders, capsys):
    code, answer = verify(pruned, capsys, "--base", str(base_folders["mistral"]))
    assert (code, answer["ok"], failed(answer)) == (0, True, {})
    values = checkpoints.tensors(pruned)
    counted = {t["name"]: int((values[t["name"]] == 0).sum()) for t in answer["tensors"]}
    assert counted == {t["name"]: t["zeros"] for t in answer["tensors"]}
    assert sum(counted.values()) == answer["zeroed_parameters"]
    assert answer["prunable_parameters"] == checkpoints.PRUNABLE["mistral"]
    assert answer["zeroed_parameters"] == round(0.3 * checkpoints.PRUNABLE["mistral"])
    assert answer["target_sparsity"] == "0.3"
    assert answer["seed"] == 42


def edit(folder: Path, name: str, index: int, change: Callable[[int], int]) -> None:
    """Change one 16-bit element of one tensor on disk."""
    for file in sorted(folder.glob("*.safetensors")):
        for tensor in read_header(file).tensors:
            if tensor.name == name:
                data = bytearray(file.read_bytes())
                place = slice(tensor.start + 2 * index, tensor.start + 2 * index + 2)
                data[place] = change(int.from_bytes(data[place], "little")).to_bytes(2, "little")
                file.write_bytes(data)
                return
    raise AssertionError(name)


def first(folder: Path, name: str, zero: bool) -> int:
    bits = checkpoints.as_bits(checkpoints.tensors(folder)[name]).reshape(-1)
    return int((bits == 0).argmax() if zero else (bits != 0).argmax())


def flip_kept(folder: Path) -> str:
    edit(folder, WEIGHT, first(folder, WEIGHT, zero=False), lambda bits: bits ^ 1)
    return WEIGHT


def flip_embedding(folder: Path) -> str:
    edit(folder, EMBEDDING, 5, lambda bits: bits ^ 1)
    return EMBEDDING


def fill_a_zero(folder: Path) -> str:
    edit(folder, WEIGHT, first(folder, WEIGHT, zero=True), lambda _: 0x3C00)
    return WEIGHT


def zero_one_more(folder: Path) -> str:
    edit(folder, WEIGHT, first(folder, WEIGHT, zero=False), lambda _: 0)
    return WEIGHT


def negative_zero(folder: Path) -> str:
    edit(folder, WEIGHT, first(folder, WEIGHT, zero=True), lambda _: 0x8000)
    return WEIGHT


def not_a_number(folder: Path) -> str:
    edit(folder, EMBEDDING, 5, lambda _: 0x7FC0)
    return EMBEDDING


TOUCHES = [flip_kept, flip_embedding, fill_a_zero, zero_one_more, negative_zero, not_a_number]


@pytest.mark.quick_rows(15)
@pytest.mark.parametrize("with_base", [True, False])
@pytest.mark.parametrize("touch", TOUCHES, ids=lambda t: t.__name__)
def test_a_touched_weight_fails_and_its_tensor_is_named(touch, with_base, pruned, base_folders, capsys):
    name = touch(pruned)
    more = ["--base", str(base_folders["mistral"])] if with_base else []
    code, answer = verify(pruned, capsys, *more)
    assert (code, answer["ok"]) == (1, False)
    assert any(name in detail for detail in failed(answer).values())


@pytest.mark.parametrize("touch", [t for t in TOUCHES if t is not zero_one_more], ids=lambda t: t.__name__)
def test_without_a_record_the_base_alone_shows_what_was_touched(touch, masked, base_folders, capsys):
    pruned = masked
    if touch in (fill_a_zero,):
        index = first(pruned, WEIGHT, zero=True)
        edit(pruned, WEIGHT, index, lambda _: 0x3C00)
        name = f"{WEIGHT}[{index // 32}, {index % 32}]"
    else:
        name = touch(pruned)
    for file in ("release.json", "README.md", "sparsity.csv"):
        (pruned / file).unlink()
    code, answer = verify(pruned, capsys, "--base", str(base_folders["mistral"]))
    assert code == 1
    assert any(name in detail for detail in failed(answer).values())


def cut_a_shard(folder: Path) -> str:
    shard = sorted(folder.glob("*.safetensors"))[0]
    shard.write_bytes(shard.read_bytes()[:-2])
    return shard.name


def drop_a_shard(folder: Path) -> str:
    shard = sorted(folder.glob("*.safetensors"))[0]
    shard.unlink()
    return shard.name


def spoil_the_record(folder: Path) -> str:
    path = folder / "release.json"
    path.write_text(path.read_text().replace('"seed": 42', '"seed": "many"'))
    return "seed"


@pytest.mark.parametrize("spoil", [cut_a_shard, drop_a_shard, spoil_the_record], ids=lambda s: s.__name__)
def test_what_cannot_be_read_fails_and_is_named(spoil, pruned, capsys):
    place = spoil(pruned)
    capsys.readouterr()
    assert run(["verify", str(pruned)]) == 1
    assert place in capsys.readouterr().err


def edit_text(folder: Path, file: str, old: str, new: str) -> None:
    text = (folder / file).read_text(encoding="utf-8")
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")


def test_an_edited_number_on_the_card_fails_and_its_line_is_named(pruned, capsys):
    edit_text(pruned, "README.md", f"{checkpoints.PRUNABLE['mistral']:,}", "1,234,567")
    code, answer = verify(pruned, capsys)
    assert code == 1
    assert "line" in failed(answer)["card"]
    assert "1,234,567" in failed(answer)["card"]


def test_an_edited_count_in_the_record_fails(pruned, capsys):
    zeros = round(0.3 * checkpoints.PRUNABLE["mistral"])
    edit_text(pruned, "release.json", f'"zeroed_parameters": {zeros}', f'"zeroed_parameters": {zeros + 1}')
    code, answer = verify(pruned, capsys)
    assert code == 1
    assert "totals" in failed(answer)


@pytest.mark.parametrize("file", ["sparsity.csv", "config.json", "tokenizer.json"])
def test_any_other_edited_file_fails_and_is_named(file, pruned, capsys):
    with (pruned / file).open("a") as text:
        text.write("\n")
    code, answer = verify(pruned, capsys)
    assert code == 1
    assert file in failed(answer)["other files"]


def test_a_rebuild_makes_the_same_bytes_from_base_and_seed(seeded, base_folders, capsys):
    code, answer = verify(seeded, capsys, "--base", str(base_folders["mistral"]), "--rebuild")
    assert code == 0
    assert {c["name"]: c["ok"] for c in answer["checks"]}["rebuild"] is True


def test_a_second_calibration_agrees_with_the_first_and_says_how_far(calibrated, base_folders, capsys):
    more = ("--base", str(base_folders["mistral"]), "--rebuild", "--calibration", str(checkpoints.PROSE))
    code, answer = verify(calibrated, capsys, *more)
    found = next(check for check in answer["checks"] if check["name"] == "rebuild")
    assert (code, found["ok"]) == (0, True)
    assert "weights agree (100.0000%)" in found["detail"]


def test_without_its_calibration_text_a_rebuild_says_what_is_missing(calibrated, base_folders, capsys):
    code, answer = verify(calibrated, capsys, "--base", str(base_folders["mistral"]), "--rebuild")
    found = next(check for check in answer["checks"] if check["name"] == "rebuild")
    assert (code, found["ok"]) == (1, False)
    assert "could not be made" in found["detail"]
    assert "--calibration FILE" in found["detail"]


def test_a_second_calibration_sees_masks_that_are_not_the_methods(calibrated, base_folders, capsys):
    """Every row of one tensor turned by one place: counts stay, the choice is another."""
    values = checkpoints.tensors(calibrated)
    values[WEIGHT] = values[WEIGHT].roll(1, dims=1)
    for file in sorted(calibrated.glob("*.safetensors")):
        names = [tensor.name for tensor in read_header(file).tensors]
        checkpoints.write(calibrated, {name: values[name] for name in names}, file.name)
    more = ("--base", str(base_folders["mistral"]), "--rebuild", "--calibration", str(checkpoints.PROSE))
    code, answer = verify(calibrated, capsys, *more)
    assert code == 1
    assert "agree" in failed(answer)["rebuild"]
    assert "zeros" not in failed(answer)


def test_a_rebuild_sees_two_zeros_that_changed_places_with_kept_weights(seeded, base_folders, capsys):
    pruned = seeded
    dense = checkpoints.as_bits(checkpoints.tensors(base_folders["mistral"])[WEIGHT]).reshape(-1)
    for _ in range(2):
        edit(pruned, WEIGHT, first(pruned, WEIGHT, zero=False), lambda _: 0)
    for index in np.flatnonzero(checkpoints.as_bits(checkpoints.tensors(pruned)[WEIGHT]).reshape(-1) == 0)[-2:]:
        edit(pruned, WEIGHT, int(index), lambda _, index=index: int(dense[index]) & 0xFFFF)
    code, answer = verify(pruned, capsys, "--base", str(base_folders["mistral"]), "--rebuild")
    assert code == 1
    assert WEIGHT in failed(answer)["rebuild"]
    assert not {"zeros", "totals", "kept weights"} & failed(answer).keys()


def test_another_base_is_told_apart(pruned, tmp_path, capsys):
    import torch

    torch.manual_seed(1)
    other = checkpoints.make(tmp_path / "other", "mistral", dtype=torch.bfloat16)
    values = checkpoints.tensors(other)
    values[WEIGHT] += 1
    checkpoints.write(other, values)
    code, answer = verify(pruned, capsys, "--base", str(other))
    assert code == 1
    assert "base files" in failed(answer)


def test_a_foreign_checkpoint_is_counted(base_folders, capsys):
    code, answer = verify(base_folders["qwen2"], capsys)
    assert code == 0
    assert answer["method"] is None
    assert answer["prunable_parameters"] == checkpoints.PRUNABLE["qwen2"]


def test_our_own_card_without_its_record_is_read_as_a_foreign_one_and_agrees(pruned, base_folders, capsys):
    (pruned / "release.json").unlink()
    _, answer = verify(pruned, capsys)
    said = [check["ok"] for check in answer["checks"] if check["name"] == "card"]
    assert True in said
    assert False not in said


def test_the_gate_refuses_files_that_are_not_as_planned(pruned, base_folders, console):
    touched = fill_a_zero(pruned)
    base, written = open_checkpoint(base_folders["mistral"]), open_checkpoint(pruned)
    recipe = Recipe.of("random", Decimal("0.3"), 42)
    allowed = uniform(sizes_of(base), recipe.sparsity)
    with ReadBack(base, pruned, recipe.groups) as reading, pytest.raises(AuditFailed, match=touched):
        audit(reading, written, recipe, allowed, {}, console)


def emptied(base: Path) -> str:
    for path in base.iterdir():
        path.unlink()
    return str(base)


def cut_short(base: Path) -> str:
    path = next(base.glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:50])
    return str(base)


def of_two_models(base: Path) -> str:
    (base / "pytorch_model.bin").write_bytes(b"x")
    (base / "config.json").write_text("[]")
    return str(base)


NO_BASE: dict[str, tuple[Callable[[Path], str], str]] = {
    "no folder": (lambda base: str(base / "nowhere" / "at" / "all"), "There is no folder"),
    "a file": (lambda base: str(base / "config.json"), "There is no folder"),
    "emptied": (emptied, "has no config.json"),
    "weights cut short": (cut_short, "safetensors"),
    "config of another kind": (of_two_models, "config.json"),
    "no such alias": (lambda _: "phi-9", "There is no model"),
    "not asked": (lambda _: "lab/model", "HF_HUB_OFFLINE .* is set, so the Hub is not asked"),
    "nothing": (lambda _: "", "There is no model"),
    "blanks": (lambda _: " ", "There is no model"),
    "escape": (lambda _: "./\x1b[2J", "There is no folder"),
    "far too long": (lambda _: "x" * 5_000, "name too long"),
}


@pytest.mark.parametrize("more", [(), ("--rebuild",), ("--spot-check", "2")], ids=["base", "rebuild", "spot-check"])
@pytest.mark.parametrize("kind", NO_BASE)
def test_a_base_that_was_asked_for_and_cannot_be_had_is_a_failure_and_the_rest_is_checked(
    kind, more, made, base_folders, tmp_path, capsys, monkeypatch
):
    # The client reads the variable when it is first imported, which another test may have done before it was set.
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    spoil, words = NO_BASE[kind]
    name = spoil(checkpoints.copy(base_folders["mistral"], tmp_path / "base"))
    code, answer = verify(made / "random", capsys, "--base", name, *more)
    assert code == 1
    assert re.search(words, failed(answer)["base"], re.IGNORECASE)
    assert failed(answer)["base"].isprintable()
    assert answer["verdict"].startswith("NOT verified: base")
    assert {"base", *(word.removeprefix("--") for word in more[:1])} == failed(answer).keys()
    assert {"zeros", "totals", "card", "other files"} <= {c["name"] for c in answer["checks"] if c["ok"]}


@pytest.fixture(scope="module")
def with_mask(base_folders, tmp_path_factory):
    """A folder with its mask; not to be changed."""
    out = tmp_path_factory.mktemp("with-mask") / "out"
    command = ["prune", str(base_folders["mistral"]), "--method", "magnitude", "--sparsity", "0.3", "--with-mask"]
    assert run([*command, "--out", str(out)]) == 0
    return out


def one_more_weight(marks: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    marks[WEIGHT][0] ^= 1
    return marks


def exchanged(marks: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    other = WEIGHT.replace("layers.1", "layers.0")
    return marks | {WEIGHT: marks[other], other: marks[WEIGHT]}


MASKS: dict[str, Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]] = {
    "one more weight": one_more_weight,
    "no weight at all": lambda marks: {name: np.zeros_like(each) for name, each in marks.items()},
    "two tensors exchanged": exchanged,
    "a tensor missing": lambda marks: {name: each for name, each in marks.items() if name != WEIGHT},
    "a tensor more": lambda marks: marks | {"lm_head.weight": np.zeros(3, np.uint8)},
    "a tensor under another name": lambda marks: {
        name.replace("up_proj", "gone"): each for name, each in marks.items()
    },
}


@pytest.mark.parametrize("kind", MASKS)
def test_a_published_mask_that_does_not_mark_the_zeros_fails_whatever_the_record_says(
    kind, with_mask, tmp_path, capsys
):
    folder = checkpoints.copy(with_mask, tmp_path / "copy")
    path = folder / MASK
    path.write_bytes(save(MASKS[kind](load(path.read_bytes()))))
    agree(folder)
    code, answer = verify(folder, capsys)
    assert code == 1
    assert failed(answer).keys() == {"mask"}


def test_a_published_mask_that_marks_the_zeros_passes(with_mask, base_folders, capsys):
    for more in ((), ("--base", str(base_folders["mistral"]))):
        code, answer = verify(with_mask, capsys, *more)
        assert code == 0, failed(answer)
        assert "mask" in {check["name"] for check in answer["checks"] if check["ok"]}


def test_what_verify_computes_numbers_from_is_imported_without_a_library_of_models():
    """They once made it four to eight seconds slower; what the rows import late counts too."""
    modules = [module for row in EVALS for module in (row.check_module, row.claims_module) if module is not None]
    assert "release.evals.bbq.again" in modules
    code = (
        "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]];"
        "sys.exit(str(sys.modules.keys() & {'torch', 'transformers'} or ''))"
    )
    command = [sys.executable, "-c", code, "release.report", "release.verification.verify", *modules]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.stderr.strip() == ""
