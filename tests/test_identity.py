"""What a base that is a folder is called, and what it says of itself."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from gguf import GGUFReader
from transformers import LlamaConfig, LlamaForCausalLM

from release.__main__ import run
from release.errors import BadOption
from release.progress import Console
from release.schema.record import Record
from release.settings.base import Identity
from release.settings.command import understood
from release.sources import demo
from release.sources.base import resolve
from release.sources.demo import HUB_ID, NOTE
from release.sources.identity import gguf_note
from tests import checkpoints

STATED = ["--base-id", "lab/Model-1B", "--license", "apache-2.0", "--base-note", "Merged from two runs."]


def prune(base: Path, out: Path, *more: str) -> int:
    return run(["prune", str(base), "--method", "random", "--sparsity", "0.1", "--out", str(out), *more])


def test_what_is_stated_is_recorded_repeated_and_stands_on_the_card(llama: Path, tmp_path: Path) -> None:
    assert prune(llama, tmp_path / "out", *STATED) == 0
    record = Record.read(tmp_path / "out")
    assert (record.base.id, record.base.on_hub, record.base.source) == ("lab/Model-1B", True, "folder")
    assert (record.base.licence.id, record.base.note) == ("apache-2.0", "Merged from two runs.")
    assert record.base.stated == ("id", "licence", "note")
    assert record.name == "model-1b-random-s10"
    assert "--base-id lab/Model-1B --license apache-2.0 --base-note 'Merged from two runs.'" in record.plan.command
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    facts = yaml.safe_load(card.split("---")[1])
    assert (facts["base_model"], facts["license"]) == ("lab/Model-1B", "apache-2.0")
    assert "Merged from two runs." in card
    assert "as stated by whoever published this" in card
    assert run(["verify", str(tmp_path / "out"), "--base", str(llama)]) == 0


def test_a_folder_of_which_nothing_is_stated_is_called_by_its_name(llama: Path, tmp_path: Path) -> None:
    assert prune(llama, tmp_path / "out") == 0
    base = Record.read(tmp_path / "out").base
    assert (base.id, base.on_hub, base.licence.id, base.note, base.stated) == (llama.name, False, None, None, ())


@pytest.mark.parametrize(
    ("words", "seen"),
    [
        ({"base_id": "model"}, "--base-id"),
        ({"base_id": "a/b/c"}, "--base-id"),
        ({"base_id": "../b"}, "--base-id"),
        ({"base_id": "a/" + "b" * 100}, "--base-id"),
        ({"license": "Apache 2"}, "--license"),
        ({"license": ""}, "--license"),
        ({"base_note": ""}, "--base-note"),
        ({"base_note": "two\nlines"}, "--base-note"),
        ({"base_note": "a" * 501}, "--base-note"),
        ({"base_note": "\x1b[2J"}, "--base-note"),
    ],
)
def test_what_the_hub_would_not_take_is_refused(words: dict[str, str], seen: str) -> None:
    with pytest.raises(BadOption, match=seen):
        understood(Identity, words)


def test_a_licence_that_the_folder_contradicts_is_refused(llama: Path, tmp_path: Path) -> None:
    folder = checkpoints.copy(llama, tmp_path / "base")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n", encoding="utf-8")
    with pytest.raises(BadOption, match="the folder's own card says 'mit'"):
        resolve(str(folder), Console(quiet=True), Identity(licence="apache-2.0"))
    agreed = resolve(str(folder), Console(quiet=True), Identity(licence="mit"))
    assert (agreed.licence.id, agreed.stated) == ("mit", ())


@pytest.mark.long
@pytest.mark.parametrize("said", [Identity(id="lab/other"), Identity(licence="mit"), Identity(note="Mine.")])
def test_the_demo_is_what_it_is(said: Identity) -> None:
    with pytest.raises(BadOption, match="the demo"):
        resolve("demo", Console(quiet=True), said)
    assert resolve("demo", Console(quiet=True), Identity(id=HUB_ID, note=NOTE)).id == HUB_ID


@pytest.mark.long
def test_what_is_said_of_the_demo_is_what_its_file_states(demo_folder: Path) -> None:
    fields = GGUFReader(demo_folder.parent / Path(demo.GGUF).name).fields
    assert fields["general.license"].contents() == demo.LICENCE.id
    assert fields["general.languages"].contents() == list(demo.LANGUAGES)


@pytest.mark.long
def test_a_base_that_transformers_unpacked_from_gguf_says_so_by_itself(tmp_path: Path) -> None:
    """The demo's own folder, made by transformers from a real GGUF file, given as any other folder."""
    demo = resolve("demo", Console(quiet=True)).checkpoint.folder
    found = resolve(str(demo), Console(quiet=True))
    assert found.note is not None
    assert found.note.startswith("The base weights were unpacked from a GGUF file")


def unpacked(folder: Path) -> None:
    (folder / "model.Q4_K_M.gguf").write_bytes(b"GGUF")


@pytest.mark.parametrize(
    ("change", "begins"),
    [
        (lambda f: checkpoints.edit_config(f, _model_name_or_path="Some model"), "The base weights were unpacked"),
        (lambda f: checkpoints.edit_config(f, quantization_config={"quant_method": "gguf"}), "The base weights were"),
        (lambda f: checkpoints.edit_config(f, rms_norm_eps=9.999999747378752e-06), "The base weights may have been"),
        (unpacked, "The base weights may have been unpacked"),
        (lambda f: (f / "config.json").write_text("[]"), None),
        (lambda f: (f / "config.json").write_text("{"), None),
    ],
)
def test_traces_of_gguf_are_told_for_what_they_prove(llama: Path, tmp_path: Path, change, begins) -> None:
    folder = checkpoints.copy(llama, tmp_path / "base")
    change(folder)
    note = gguf_note(folder)
    assert note is None if begins is None else note is not None and note.startswith(begins)


@pytest.mark.parametrize("epsilon", [1e-5, 1e-6, 1e-12, 1e-8, 0.0, 0.5, 1.0, 3e-5])
def test_an_ordinary_configuration_has_none(tmp_path: Path, epsilon: float) -> None:
    config = LlamaConfig(vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
    config.rms_norm_eps = epsilon
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["rms_norm_eps"] == epsilon
    assert gguf_note(tmp_path) is None
    shutil.rmtree(tmp_path)


OFF = ["--bbq", "off", "--perplexity", "off", "--latency", "off"]


@pytest.mark.parametrize("said", [["--base-id", "lab/other"], ["--license", "mit"], ["--base-note", "Mine."]])
@pytest.mark.parametrize("model", [pytest.param("demo", marks=pytest.mark.long), "folder"])
def test_a_dry_run_refuses_what_the_run_would_refuse_in_the_same_words(model, said, llama, tmp_path, capsys):
    (llama / "README.md").write_text("---\nlicense: apache-2.0\n---\n", encoding="utf-8")
    name = str(llama) if model == "folder" else model
    words = [
        "publish",
        name,
        "--method",
        "random",
        "--sparsity",
        "0.1",
        "--local",
        "--out",
        str(tmp_path / "out"),
        *OFF,
    ]
    contradicts = model == "demo" or said[0] == "--license"
    assert run([*words, *said, "--dry-run"]) == (2 if contradicts else 0)
    foretold = capsys.readouterr().err
    if contradicts:
        assert run([*words, *said]) == 2
        assert foretold.splitlines()[-2:] == capsys.readouterr().err.splitlines()[-2:]
        assert said[0] in foretold
