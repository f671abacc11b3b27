"""A class is asked once of the same checkpoint; what could change its answer has it asked again."""

import json
import os
from pathlib import Path

import pytest

from release.checkpoint.folder import open_checkpoint
from release.errors import UnusableBase
from release.models import class_check as module
from release.models.class_check import class_answer
from tests import checkpoints


@pytest.fixture
def asked(tmp_path, monkeypatch) -> list[Path]:
    """The folders whose class was asked; earlier answers are not known."""
    monkeypatch.setenv("RELEASE_CHECKS", str(tmp_path / "checks"))
    found, real = [], module._asked
    monkeypatch.setattr(module, "_asked", lambda base: found.append(base.folder) or real(base))
    return found


def of(folder: Path) -> str:
    return class_answer(open_checkpoint(folder)).loader


def config(folder: Path, **more: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | more))


def test_the_same_checkpoint_is_asked_for_once_wherever_it_lies(llama, tmp_path, asked):
    assert of(llama) == of(llama) == of(checkpoints.copy(llama, tmp_path / "copy")) == "AutoModelForCausalLM"
    assert asked == [llama]


CHANGES = {
    "another configuration": lambda folder, _: config(folder, rope_theta=5e5),
    "another version of a library": lambda _, patch: patch.setattr(module, "version", lambda name: f"{name} 99"),
    "another version of this package": lambda _, patch: patch.setattr(module, "__version__", "99"),
    "other code": lambda _, patch: patch.setattr(module, "_code", lambda: "other"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_could_change_the_answer_has_the_class_asked_again(change, llama, asked, monkeypatch):
    of(llama)
    CHANGES[change](llama, monkeypatch)
    of(llama)
    assert asked == [llama, llama]


def test_what_is_refused_is_refused_each_time(llama, asked):
    config(llama, num_hidden_layers=3)
    for _ in range(2):
        with pytest.raises(UnusableBase):
            of(llama)
    assert asked == [llama, llama]


def test_tensors_that_no_longer_fit_are_refused_though_an_answer_for_the_folder_is_known(llama, asked):
    of(llama)
    values = checkpoints.tensors(llama)
    del values["model.norm.weight"]
    for shard in llama.glob("*.safetensors*"):
        shard.unlink()
    checkpoints.write(llama, values)
    with pytest.raises(UnusableBase, match=r"model\.norm\.weight"):
        of(llama)


@pytest.mark.parametrize("kept", ["", "{", '{"loader": "pickle"}'])
def test_an_answer_that_cannot_be_understood_is_asked_for_again(kept, llama, asked):
    of(llama)
    [place] = Path(os.environ["RELEASE_CHECKS"], "classes").iterdir()
    place.write_text(kept)
    assert of(llama) == "AutoModelForCausalLM"
    assert len(asked) == 2
