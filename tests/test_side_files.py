"""Everything that a loader of a model's texts reads is carried; the rest is said."""

import json
import re
from pathlib import Path

import pytest
import transformers
from transformers import AutoTokenizer

from release.__main__ import run
from release.checkpoint.folder import is_side_file
from release.contents import left_behind
from tests import checkpoints
from tests.refusal import publish

CARRIED = [
    *("generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
    *("added_tokens.json", "tokenizer.model", "tokenizer.model.v3", "tekken.json", "spiece.model", "spm.model"),
    *("sentencepiece.bpe.model", "qwen.tiktoken", "source.spm", "vocab.json", "vocab.txt", "vocab-src.json"),
    *("merges.txt", "bpe.codes", "chat_template.jinja", "chat_template.json"),
    *("additional_chat_templates/tool_use.jinja", "preprocessor_config.json", "processor_config.json"),
    *("video_preprocessor_config.json", "LICENSE", "LICENSE.txt", "license.md", "Licence", "LICENCE.rst", "NOTICE"),
    *("Notice.txt", "COPYING", "COPYING.LESSER", "UNLICENSE", "COPYRIGHT.txt", "EULA.md", "TERMS", "TERMS_OF_USE.md"),
    *("Gemma_Terms_of_Use.txt", "USE_POLICY.md", "ACCEPTABLE_USE_POLICY.md", "MODEL_LICENSE", "LICENSES/MIT.txt"),
    *("third_party_notices.txt", "THIRD-PARTY-LICENSES", "PATENTS", "LEGAL.md", "DISCLAIMER"),
]
LEFT = [
    *("modeling_llama.py", "pytorch_model.bin", "consolidated.safetensors", "model.gguf", "onnx/model.onnx"),
    *("training_args.bin", "optimizer.pt", "trainer_state.json", "eval_results.json", "images/logo.png", "params.json"),
    *("original/tokenizer.model", "figures/loss.svg", "license.py", "recipe.yaml", "requirements.txt"),
]


@pytest.mark.parametrize("name", CARRIED)
def test_it_is_carried(name):
    assert is_side_file(name)
    assert left_behind([name], []) == []


@pytest.mark.parametrize("name", LEFT)
def test_it_is_left_behind_and_said(name):
    assert not is_side_file(name)
    assert left_behind([name], []) == [name]


@pytest.mark.parametrize(
    "name", ["README.md", "readme.md", ".gitattributes", ".cache/huggingface/x", "model.safetensors"]
)
def test_what_a_release_has_of_its_own_is_not_called_left_behind(name):
    assert left_behind([name], ["model.safetensors"]) == []


def test_every_file_that_a_tokenizer_of_the_library_reads_is_carried():
    """Read from the library's own sources: what its tokenizers call their files."""
    sources = Path(transformers.__file__).parent.glob("models/*/tokenization_*.py")
    blocks = [block for path in sources for block in re.findall(r"VOCAB_FILES_NAMES = \{([^}]*)\}", path.read_text())]
    names = {name for block in blocks for name in re.findall(r':\s*"([^"]+)"', block)}
    assert len(names) > 15
    assert [name for name in sorted(names) if not is_side_file(name)] == []


def templates(base: Path) -> None:
    """Give a model two chat templates, one in a folder of its own."""
    tokenizer = checkpoints.tokenizer()
    tokenizer.chat_template = {"default": checkpoints.TEMPLATE, "tool_use": "{{ tools }}"}
    (base / "chat_template.jinja").unlink()
    tokenizer.save_pretrained(base)


def test_templates_are_the_same_after_pruning(llama: Path, tmp_path: Path):
    templates(llama)
    assert publish(llama, tmp_path / "out") == 0
    [model] = tmp_path.glob("out/*/model")
    before, after = (AutoTokenizer.from_pretrained(folder).chat_template for folder in (llama, model))
    assert before == after
    assert set(after) == {"default", "tool_use"}


def test_what_is_left_behind_stands_in_the_dry_run_and_on_the_screen(llama: Path, tmp_path: Path, capsys):
    names = {"trainer_state.json", "optimizer.pt", "images/logo.png"}
    for name in (*names, "COPYING", "qwen.tiktoken", "preprocessor_config.json"):
        (llama / name).parent.mkdir(exist_ok=True)
        (llama / name).write_text("{}")
    assert publish(llama, tmp_path / "out", "--dry-run", "--json") == 0
    assert set(json.loads(capsys.readouterr().out)["left_behind"]) == names
    assert publish(llama, tmp_path / "out", "--dry-run") == 0
    assert "Left behind" in capsys.readouterr().out
    assert publish(llama, tmp_path / "out") == 0
    said = capsys.readouterr().err
    assert all(name in said for name in names)
    [model] = tmp_path.glob("out/*/model")
    kept = {path.relative_to(model).as_posix() for path in model.rglob("*") if path.is_file()}
    assert {"COPYING", "qwen.tiktoken", "preprocessor_config.json"} <= kept
    assert not names & kept
    assert run(["verify", str(model), "--base", str(llama)]) == 0
