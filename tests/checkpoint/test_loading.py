"""What is read of a folder is what transformers would load from it; one that leaves a choice is refused by name."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from release.__main__ import run
from release.checkpoint.folder import open_checkpoint
from release.checkpoint.loading import INDEX, SINGLE
from release.errors import UnusableBase
from tests import checkpoints

OTHER = "model.layers.0.mlp.up_proj.weight"


@pytest.fixture
def base(base_folders, tmp_path) -> Path:
    return checkpoints.copy(base_folders["llama"], tmp_path / "base")


def other_model(folder: Path, file: str) -> None:
    """A whole other model in one file: the base's tensors, one of them doubled."""
    values = checkpoints.tensors(folder)
    checkpoints.write(folder, values | {OTHER: values[OTHER] * 2}, file)


def edit_index(folder: Path, change: Callable[[dict[str, str]], object]) -> None:
    index = json.loads((folder / INDEX).read_text())
    change(index["weight_map"])
    (folder / INDEX).write_text(json.dumps(index))


def a_single_file_beside_shards(folder: Path) -> str:
    other_model(folder, SINGLE)
    return SINGLE


def weights_named_by_config(folder: Path) -> str:
    other_model(folder, "extra.safetensors")
    checkpoints.edit_config(folder, transformers_weights="extra.safetensors")
    return "transformers_weights"


def another_configuration(folder: Path) -> str:
    other = json.loads((folder / "config.json").read_text()) | {"num_hidden_layers": 1}
    (folder / "config.4.0.0.json").write_text(json.dumps(other))
    checkpoints.edit_config(folder, configuration_files=["config.4.0.0.json"])
    return "configuration_files"


def an_adapter(folder: Path) -> str:
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": "a/b"}))
    return "adapter_config.json"


def a_shard_of_another_kind(folder: Path) -> str:
    shard = sorted(folder.glob("*.safetensors"))[0]
    renamed = shard.rename(folder / "model-00001.bin").name
    edit_index(folder, lambda named: named.update({n: renamed for n, f in named.items() if f == shard.name}))
    return renamed


def a_hidden_shard(folder: Path) -> str:
    shard = sorted(folder.glob("*.safetensors"))[0]
    renamed = shard.rename(folder / f".{shard.name}").name
    edit_index(folder, lambda named: named.update({n: renamed for n, f in named.items() if f == shard.name}))
    return renamed


def a_tensor_in_the_wrong_shard(folder: Path) -> str:
    shards = sorted(path.name for path in folder.glob("*.safetensors"))
    edit_index(folder, lambda named: named.update({OTHER: next(s for s in shards if s != named[OTHER])}))
    return OTHER


def a_tensor_left_out_of_the_index(folder: Path) -> str:
    edit_index(folder, lambda named: named.pop(OTHER))
    return OTHER


def a_tensor_that_no_shard_holds(folder: Path) -> str:
    edit_index(folder, lambda named: named.update(ghost=next(iter(named.values()))))
    return "ghost"


def weights_of_another_name(folder: Path) -> str:
    other_model(folder, "weights.safetensors")
    for path in (*folder.glob("model-*.safetensors"), folder / INDEX):
        path.unlink()
    return "model.safetensors"


SHAPES = [
    a_single_file_beside_shards,
    weights_named_by_config,
    another_configuration,
    an_adapter,
    a_shard_of_another_kind,
    a_hidden_shard,
    a_tensor_in_the_wrong_shard,
    a_tensor_left_out_of_the_index,
    a_tensor_that_no_shard_holds,
    weights_of_another_name,
]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: s.__name__)
def test_a_base_that_leaves_a_loader_a_choice_is_refused_by_name_before_any_work(shape, base, tmp_path, capsys):
    named = shape(base)
    out = tmp_path / "out"
    assert run(["prune", str(base), "--method", "random", "--sparsity", "0.3", "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert named in said
    assert "Traceback" not in said
    assert not out.exists()


def without_the_field(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    del config["configuration_files"]
    (folder / "config.json").write_text(json.dumps(config))


FOLLOWED = {
    "move the single file out": (a_single_file_beside_shards, lambda folder: (folder / SINGLE).unlink()),
    "move the shards out": (
        a_single_file_beside_shards,
        lambda folder: [path.unlink() for path in (*folder.glob("model-*.safetensors"), folder / INDEX)],
    ),
    "write it anew": (
        weights_named_by_config,
        lambda folder: AutoModelForCausalLM.from_pretrained(folder).save_pretrained(folder),
    ),
    "take the field out": (another_configuration, without_the_field),
    "write the index anew": (
        a_tensor_left_out_of_the_index,
        lambda folder: AutoModelForCausalLM.from_pretrained(folder).save_pretrained(folder, max_shard_size="30KB"),
    ),
}


@pytest.mark.parametrize("remedy", FOLLOWED)
def test_the_remedy_works_when_it_is_followed_and_what_is_read_is_what_is_loaded(remedy, base):
    spoil, follow = FOLLOWED[remedy]
    spoil(base)
    with pytest.raises(UnusableBase):
        open_checkpoint(base)
    if remedy == "write it anew":  # into a folder of its own: the old shards would still lie there
        AutoModelForCausalLM.from_pretrained(base).save_pretrained(base.parent / "anew")
        base = base.parent / "anew"
    else:
        follow(base)
    read = {t.name for t in open_checkpoint(base).tensors()}
    loaded = AutoModelForCausalLM.from_pretrained(base).state_dict()
    stored = {n: v for path in open_checkpoint(base).headers for n, v in checkpoints.load_file(path.path).items()}
    assert read == loaded.keys() - {"lm_head.weight"}  # tied to the embedding, and so not stored
    assert all(torch.equal(loaded[name], stored[name]) for name in read)
