"""Which file each loader would read: in a release that verifies, none but its weights and the base's files.

Installed loaders are asked; of the others the order is stated as their sources have it.
"""

import fnmatch
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest.mock import patch

import peft
import pytest
from gguf import Metadata, SpecialVocab
from peft.utils import save_and_load
from safetensors.torch import save_file
from transformers import AutoConfig, AutoTokenizer, GenerationConfig
from transformers.modeling_utils import _get_resolved_checkpoint_files
from transformers.utils.peft_utils import find_adapter_config_file

from release import contents
from release.__main__ import run
from release.checkpoint.folder import open_checkpoint
from tests import checkpoints
from tests.forge import doubled

LOADERS: dict[str, list[list[str]]] = {
    # vLLM, model_loader/default_loader.py, _prepare_weights: "auto" takes the format of Mistral where such files are
    # there, and otherwise the first pattern that matches; the index then keeps only the files that it names.
    "vLLM, auto": [["consolidated*.safetensors"], ["*.safetensors"], ["*.bin"], ["*.pt"]],
    "vLLM, sharded state": [["model-rank-*-part-*.safetensors"]],
    "vLLM, adapters": [["adapter_model.safetensors"], ["adapter_model.bin"], ["adapter_model.pt"]],
    # llama.cpp, convert_hf_to_gguf.py, get_model_part_names: every file of the prefix and ending, whatever the index.
    "llama.cpp, Hugging Face": [["model*.safetensors"], ["pytorch_model*.bin"]],
    "llama.cpp, Mistral": [["consolidated*.safetensors"]],
    "llama.cpp, adapters": [["adapter_model.safetensors"], ["adapter_model.bin"]],
    # Others that look into a folder by ending.
    "GGUF readers": [["*.gguf"]],
    "transformers, before 5": [["pytorch_model*.bin"], ["tf_model.h5"], ["flax_model.msgpack"]],
    "the original code": [["consolidated.*.pth"], ["original/*"]],
}
WEIGHTS = "weights"


@pytest.fixture(scope="module")
def release(base_folders, tmp_path_factory) -> Path:
    """A pruned model in shards, with all that a release may hold of its own; not to be changed."""
    out = tmp_path_factory.mktemp("release") / "model"
    words = ["prune", str(base_folders["llama"]), "--method", "random", "--sparsity", "0.3", "--with-mask"]
    assert run([*words, "--out", str(out)]) == 0
    return out


def weight_files(folder: Path) -> set[str]:
    return {header.path.name for header in open_checkpoint(folder).headers}


OPENED: list[str] = []
WATCHING = [False]


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and WATCHING[0] and isinstance(arguments[0], str):
        OPENED.append(arguments[0])


sys.addaudithook(_watch)


@contextmanager
def opened(folder: Path) -> Iterator[set[str]]:
    """Collect the files below a folder that Python opens meanwhile."""
    found: set[str] = set()
    OPENED.clear()
    WATCHING[0] = True
    try:
        yield found
    finally:
        WATCHING[0] = False
        found |= {p[len(str(folder)) + 1 :] for p in OPENED if p.startswith(f"{folder}/")}


def by_transformers(folder: Path) -> set[str]:
    """Weights, by the function that from_pretrained calls."""
    explicit = json.loads((folder / "config.json").read_text()).get("transformers_weights")
    found, _ = _get_resolved_checkpoint_files(
        str(folder), None, None, None, None, False, transformers_explicit_filename=explicit
    )
    return {Path(path).relative_to(folder).as_posix() for path in found}


def by_its_settings(folder: Path) -> set[str]:
    with opened(folder) as found:
        AutoConfig.from_pretrained(folder)
        AutoTokenizer.from_pretrained(folder)
        GenerationConfig.from_pretrained(folder)
    return found


def by_its_adapters(folder: Path) -> set[str]:
    found = find_adapter_config_file(str(folder))
    return {Path(found).name} if found else set()


def by_gguf(folder: Path) -> set[str]:
    with opened(folder) as found:
        SpecialVocab(folder, load_merges=True)
        Metadata.load(model_path=folder)
    return found


def by_peft(folder: Path) -> set[str]:
    """Its configuration, and the weights that it hands to the function which reads them."""
    named: list[str] = []

    def read(name: str, *_: object, **__: object) -> dict[str, object]:
        named.append(name)
        return {}

    with opened(folder) as found, suppress(ValueError, TypeError, KeyError, OSError):
        peft.PeftConfig.from_pretrained(str(folder))
    watched = patch.multiple(save_and_load, safe_load_file=read, torch_load=read)
    with watched, suppress(ValueError, OSError):  # there are none
        save_and_load.load_peft_weights(str(folder), device="cpu")
    return found | {Path(name).name for name in named}


INSTALLED: dict[str, Callable[[Path], set[str]]] = {
    "transformers, weights": by_transformers,
    "transformers, settings": by_its_settings,
    "transformers, adapters": by_its_adapters,
    "peft": by_peft,
    "gguf": by_gguf,
}


@pytest.mark.parametrize("loader", INSTALLED)
def test_an_installed_loader_reads_of_a_release_its_weights_and_the_bases_files_alone(loader, release):
    read = INSTALLED[loader](release)
    own = {"README.md"} if loader == "gguf" else set()  # for the model's name; no loader of weights does
    assert read <= weight_files(release) | set(contents.carried_names(read)) | own
    if loader == "transformers, weights":
        assert read == weight_files(release)


DECOYS: dict[str, set[str]] = {
    "model.safetensors": {"transformers, weights"},
    "extra.safetensors": set(),
    "model-00099-of-00099.safetensors": set(),
    "model.fp16.safetensors": set(),
    "model-rank-0-part-0.safetensors": set(),
    "consolidated.safetensors": set(),
    "consolidated.00.pth": set(),
    "original/consolidated.00.pth": set(),
    "pytorch_model.bin": set(),
    "pytorch_model.bin.index.json": set(),
    "adapter_config.json": {"transformers, adapters", "peft"},
    "adapter_model.safetensors": {"peft"},
    "adapter_model.bin": {"peft"},
    "adapter_model.pt": set(),
    "tf_model.h5": set(),
    "flax_model.msgpack": set(),
    "model.gguf": set(),
    "weights.pt": set(),
    "params.json": set(),
    "chat_template.json": set(),
    "additional_chat_templates/tool_use.jinja": {"transformers, settings", "gguf"},
    "added_tokens.json": {"transformers, settings"},
    "vocab.json": set(),
    "merges.txt": {"gguf"},
    "special_tokens_map.json": {"transformers, settings"},
}
"""Files put into a release, and the installed loaders that then read them."""


def put(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    if name.endswith(".safetensors"):
        save_file(doubled(checkpoints.tensors(folder)), folder / name)
    else:
        (folder / name).write_text("{}")


@pytest.mark.quick_rows(9)
@pytest.mark.parametrize("name", DECOYS)
def test_a_file_that_some_loader_reads_instead_is_known_by_name_and_does_not_verify(
    name, release, base_folders, tmp_path, capsys
):
    folder = checkpoints.copy(release, tmp_path / "model")
    put(folder, name)
    asked = {loader: name in ask(folder) for loader, ask in INSTALLED.items()}
    assert {loader for loader, read in asked.items() if read} == DECOYS[name]
    assert run(["verify", str(folder), "--base", str(base_folders["llama"]), "--json"]) == 1
    said = capsys.readouterr()
    assert name.split("/")[-1] in said.out + said.err


@pytest.mark.parametrize("loader", LOADERS)
def test_a_loader_that_is_not_installed_finds_of_a_release_no_file_but_the_weights(loader, release):
    names = {path.relative_to(release).as_posix() for path in release.rglob("*") if path.is_file()}
    found = [{n for n in names for p in patterns if _matches(n, p)} for patterns in LOADERS[loader]]
    assert set().union(*found) <= weight_files(release)


@pytest.mark.parametrize("loader", LOADERS)
def test_no_name_that_such_a_loader_looks_for_is_on_the_list_beside_the_weights(loader):
    for pattern in (pattern for patterns in LOADERS[loader] for pattern in patterns):
        for name in (pattern.replace("*", filling) for filling in ("", "x", "00001-of-00002", "license", ".x")):
            assert contents.unexpected([name], set()) == [name]


def _matches(name: str, pattern: str) -> bool:
    return name.count("/") == pattern.count("/") and fnmatch.fnmatchcase(name, pattern)
