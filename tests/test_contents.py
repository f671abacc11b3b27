"""The closed list of what a release holds: what this tool writes is on it, and what a loader would look for is not."""

import pytest

from release import contents
from release.checkpoint.files import Folder
from release.workspace import carry_side_files
from tests import checkpoints

LOOKED_FOR = [
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "model.safetensors.bin",
    "model.fp16.safetensors",
    "extra.safetensors",
    "consolidated.safetensors",
    "consolidated.safetensors.index.json",
    "consolidated.00.pth",
    "params.json",
    "adapter_config.json",
    "adapter_model.safetensors",
    "adapter_model.bin",
    "tf_model.h5",
    "flax_model.msgpack",
    "model.gguf",
    "model.pt",
    "model-rank-0-part-0.safetensors",
    "original/consolidated.00.pth",
    "modeling_llama.py",
    "configuration_llama.py",
    "custom_generate/generate.py",
    "hf_quant_config.json",
    "quantize_config.json",
    "config.4.0.0.json",
    "hf_overrides.json",
    "modules.json",
    "1_Pooling/config.json",
    "config_sentence_transformers.json",
    "mask/other.safetensors",
    "mask/adapter_config.json",
    "LICENSE.safetensors",
    "notice.bin",
    "chat_template.py",
    "licence.index.json",
    "tokenizer.json.bin",
    ".hidden",
    ".model.safetensors",
    "sub/.hidden.png",
    "__pycache__/a.png",
    "evaluation/x.py",
    "evaluation/bbq.parquet.py",
    "additional_chat_templates/sub/x.jinja",
    "additional_chat_templates/x.py",
    "../README.md",
    "assets/../../x.png",
    "/etc/x.png",
    "assets/\x1b[2J.png",
    "assets/a\nb.png",
]
ADDED = ["assets/picture.png", "notebook.ipynb", "docs/more.md", "CITATION.cff", "paper.pdf"]


@pytest.mark.parametrize("name", LOOKED_FOR)
def test_what_some_loader_looks_for_or_nobody_writes_is_not_on_the_list(name):
    assert contents.unexpected([name], {"model.safetensors"}) == [name]


@pytest.mark.parametrize("name", ADDED)
def test_what_a_person_adds_and_no_loader_reads_is_theirs(name):
    assert contents.unexpected([name], {"model.safetensors"}) == []
    assert contents.is_theirs(name)


@pytest.mark.parametrize("name", ["README.md", "LICENSE.md", "figures/letters.png", "use_policy.md"])
def test_what_a_release_holds_anyway_is_nobodys_addition(name):
    assert contents.unexpected([name], set()) == []
    assert not contents.is_theirs(name)


def test_a_weight_file_is_expected_only_where_it_belongs_to_the_model():
    assert contents.unexpected(["model.safetensors", "README.md"], {"model.safetensors"}) == []
    assert contents.unexpected(["model.safetensors", "README.md"], {"model-00001-of-00001.safetensors"}) == [
        "model.safetensors"
    ]


def test_pruning_writes_what_is_said_of_it_and_nothing_else(llama, tmp_path):
    (llama / "additional_chat_templates").mkdir()
    (llama / "additional_chat_templates" / "tool.jinja").write_bytes(b"{{ messages }}\r\n")
    (llama / "LICENSE").write_bytes(b"\xff\r\n no text")
    (llama / "modeling.py").write_text("raise SystemExit")
    (llama / "pytorch_model.bin").write_bytes(b"")
    checkpoints.edit_config(llama, auto_map={"AutoConfig": "a.B"}, _name_or_path="/somewhere/else")
    (tmp_path / "out").mkdir()
    carry_side_files(llama, tmp_path / "out")
    written = {p.relative_to(tmp_path / "out").as_posix(): p for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert {name: path.read_bytes() for name, path in written.items()} == dict(contents.carried(Folder(llama)))
    assert {"LICENSE", "additional_chat_templates/tool.jinja", "config.json", "tokenizer.json"} <= written.keys()
    assert not {"modeling.py", "pytorch_model.bin"} & written.keys()
    altered = {name for name, path in written.items() if path.read_bytes() != (llama / name).read_bytes()}
    assert altered == {"config.json"}
    assert contents.unexpected(written, set()) == []


@pytest.mark.parametrize("name", ["assets/x.png", "config.json", "README.md", "mask/pruned.safetensors"])
def test_the_list_never_depends_on_the_record(name):
    assert contents.unexpected([name], set()) == []
