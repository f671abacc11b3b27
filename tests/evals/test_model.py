"""A model in memory is what transformers makes of its files, and hangs on them no longer; a change is named."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, GenerationConfig

from release import files
from release.__main__ import run
from release.checkpoint.folder import open_checkpoint
from release.errors import UnusableBase
from release.models.load import loaded
from tests import checkpoints

CPU = torch.device("cpu")
TYPES = [None, torch.float32, torch.bfloat16]


def settings(model: Any) -> dict[str, Any]:
    """What the configuration says, but for where it was read."""
    said = model.config.to_dict()
    return {name: said[name] for name in said if name not in ("_name_or_path", "dtype")}


def state(model: Any) -> dict[str, torch.Tensor]:
    """Every weight and buffer, those that no file holds included."""
    return {name: tensor.detach().clone() for name, tensor in (*model.named_parameters(), *model.named_buffers())}


@pytest.mark.quick_rows(3)
@pytest.mark.parametrize(("dtype", "architecture"), checkpoints.crossed(TYPES, None))
def test_a_model_is_bit_for_bit_what_transformers_loads(
    architecture: str, dtype: torch.dtype | None, tiny: dict[str, Path]
) -> None:
    theirs = AutoModelForCausalLM.from_pretrained(tiny[architecture], dtype=dtype or torch.bfloat16)
    with loaded(tiny[architecture], CPU, dtype) as ours:
        assert type(ours) is type(theirs)
        assert settings(ours) == settings(theirs)
        found, due = state(ours), state(theirs)
        assert found.keys() == due.keys()
        for name, tensor in found.items():
            assert tensor.dtype == due[name].dtype, name
            assert torch.equal(tensor, due[name]), name


@pytest.mark.parametrize("written", [True, False], ids=["with generation_config.json", "without"])
def test_it_generates_by_the_folders_own_settings(written: bool, tiny: dict[str, Path], tmp_path: Path) -> None:
    folder = checkpoints.copy(tiny["llama"], tmp_path / "model")
    (folder / "generation_config.json").unlink(missing_ok=True)
    if written:
        GenerationConfig(repetition_penalty=1.5, eos_token_id=7).save_pretrained(folder)
    theirs = AutoModelForCausalLM.from_pretrained(folder).generation_config
    with loaded(folder, CPU, None) as ours:
        assert ours.generation_config.to_dict() == theirs.to_dict()


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_what_happens_to_the_files_later_changes_nothing(
    dtype: torch.dtype | None, tiny: dict[str, Path], tmp_path: Path
) -> None:
    """A mapped file that is cut would end the process here (SIGBUS)."""
    folder = checkpoints.copy(tiny["llama"], tmp_path / "model")
    with loaded(folder, CPU, dtype) as model:
        before = state(model)
        for path in folder.glob("*.safetensors"):
            path.write_bytes(bytes(path.stat().st_size))
        assert all(torch.equal(tensor, before[name]) for name, tensor in state(model).items())
        for path in folder.glob("*.safetensors"):
            path.write_bytes(b"")
        assert all(torch.equal(tensor, before[name]) for name, tensor in state(model).items())


WHILE = """
import sys
from pathlib import Path
from transformers import core_model_loading

victim, how, left, words = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4:]
whole, read = victim.read_bytes(), core_model_loading._materialize_copy

def spoil():
    if how == "cut":
        victim.write_bytes(b"")
    elif how == "changed":
        with victim.open("r+b") as file:
            file.seek(len(whole) - 1)
            file.write(b"x")
    else:
        victim.unlink()
        if how == "replaced":
            victim.write_bytes(whole)

def copied(*given, **named):
    global left
    left -= 1
    if not left:
        spoil()
    return read(*given, **named)

core_model_loading._materialize_copy = copied

if __name__ == "__main__":
    from release.__main__ import run
    sys.exit(run(["measure", *words, "--device", "cpu"]))
"""
"""Spoils a file when so many tensors were taken. The process that times both models imports this script
once more, and spoils the file at the same moment."""
READ = ("--latency", "off", "--perplexity", "2")
TIMED = ("--latency", "2", "--perplexity", "off")


@pytest.mark.long
@pytest.mark.parametrize(
    ("side", "how", "what"),
    [
        *(("dense", how, READ) for how in ("cut", "changed", "replaced", "removed")),
        ("pruned", "cut", READ),
        ("dense", "cut", TIMED),
        ("pruned", "cut", TIMED),
    ],
)
def test_a_file_that_is_cut_or_changed_while_its_model_is_loaded_is_an_error_that_names_it(
    side: str, how: str, what: tuple[str, ...], tiny: dict[str, Path], tmp_path: Path
) -> None:
    """Timing maps the files, in a process of its own, whose end by SIGBUS is told."""
    dense, pruned = (checkpoints.copy(tiny["llama"], tmp_path / name) for name in ("dense", "pruned"))
    moment = 2 if side == "dense" else 2 + sum(1 for _ in open_checkpoint(dense).tensors())
    [*_, victim] = sorted((tmp_path / side).glob("*.safetensors"))
    content = victim.read_bytes()
    victim.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # not the other model, whose readings would be known
    script, text = tmp_path / "script.py", tmp_path / "text.txt"
    script.write_text(WHILE)
    text.write_text("A text of plain words. " * 200)
    words = [str(pruned), "--base", str(dense), "--bbq", "off", "--text", str(text), *what]
    command = [sys.executable, str(script), str(victim), how, str(moment), *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=240)
    assert done.returncode == 2, done.stderr
    assert f"{victim.name} was cut or changed while it was read." in done.stderr
    assert "Traceback" not in done.stderr


def test_a_base_that_was_cut_before_is_refused_as_ever(tiny: dict[str, Path], tmp_path: Path) -> None:
    folder = checkpoints.copy(tiny["llama"], tmp_path / "model")
    [*_, victim] = sorted(folder.glob("*.safetensors"))
    victim.write_bytes(victim.read_bytes()[:-1])
    with pytest.raises(UnusableBase, match=victim.name), loaded(folder, CPU, None):
        pass


def test_one_run_at_a_time_writes_answers_into_a_folder(
    tiny: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, text = tmp_path / "answers", tmp_path / "text.txt"
    text.write_text("A text of plain words. " * 200)
    words = ["measure", str(tiny["llama"]), "--base", str(tiny["llama"]), "--bbq", "off", "--latency", "off"]
    words += ["--perplexity", "2", "--text", str(text), "--device", "cpu", "--out", str(out)]
    with files.locked(out / ".release"):
        assert run(words) == 2
        assert f"Another run is at work in {out}" in " ".join(capsys.readouterr().err.split())
    (out / "evaluation").mkdir(parents=True)
    (out / "evaluation" / ".perplexity.parquet.123.part").write_text("what a kill left")
    assert run(words) == 0
    assert [path.name for path in out.rglob(".*")] == []
    assert (out / "evaluation" / "perplexity.parquet").is_file()
