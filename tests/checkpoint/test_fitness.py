"""Whether files fill a causal language model is asked before any work; what they are instead is said by name."""

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoModelForSpeechSeq2Seq,
    AutoModelForTokenClassification,
    LlamaConfig,
)

from release.checkpoint.folder import open_checkpoint
from release.errors import UnusableBase
from release.models import fitness
from release.models.classes import UNSUPPORTED, meta_model
from release.models.fitness import require_filled, require_fit
from tests import checkpoints
from tests.checkpoint.test_forms import bare, line_of
from tests.refusal import expect_refusal, prune, publish, said_once

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def mistral(tmp_path: Path, base_folders: dict[str, Path]) -> Path:
    """A copy of the tiny Mistral, whose LM head is a matrix of its own."""
    return checkpoints.copy(base_folders["mistral"], tmp_path / "mistral")


PAIR = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "vocab_size": 256,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
}
T5 = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "vocab_size": 256}
SPEECH = PAIR | {"max_source_positions": 64, "max_target_positions": 512, "num_mel_bins": 8}
BERT = {k: checkpoints.SMALL[k] for k in ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size")}
LLAMA = checkpoints.SMALL
TIED = LLAMA | {"tie_word_embeddings": True}
OTHERS: dict[str, tuple[type, str, dict[str, object], str]] = {
    "whisper": (AutoModelForSpeechSeq2Seq, "whisper", SPEECH, "encoder-decoder (WhisperConfig)"),
    "bart": (AutoModelForSeq2SeqLM, "bart", PAIR, "encoder-decoder (BartConfig)"),
    "mbart": (AutoModelForSeq2SeqLM, "mbart", PAIR, "encoder-decoder (MBartConfig)"),
    "pegasus": (AutoModelForSeq2SeqLM, "pegasus", PAIR, "encoder-decoder (PegasusConfig)"),
    "marian": (AutoModelForSeq2SeqLM, "marian", PAIR, "encoder-decoder (MarianConfig)"),
    "m2m": (AutoModelForSeq2SeqLM, "m2m_100", PAIR, "encoder-decoder (M2M100Config)"),
    "blenderbot": (AutoModelForSeq2SeqLM, "blenderbot", PAIR, "encoder-decoder (BlenderbotConfig)"),
    "t5": (AutoModelForSeq2SeqLM, "t5", T5, "encoder-decoder (T5Config)"),
    "mt5": (AutoModelForSeq2SeqLM, "mt5", T5, "encoder-decoder (MT5Config)"),
    "classifier": (AutoModelForSequenceClassification, "llama", LLAMA, "LlamaForSequenceClassification"),
    "classifier, tied": (AutoModelForSequenceClassification, "llama", TIED, "LlamaForSequenceClassification"),
    "classifier of gemma": (AutoModelForSequenceClassification, "gemma2", TIED | {"head_dim": 8}, "Gemma2ForSequence"),
    "tagger": (AutoModelForTokenClassification, "qwen2", LLAMA, "Qwen2ForTokenClassification"),
    "question answering": (AutoModelForQuestionAnswering, "mistral", LLAMA, "MistralForQuestionAnswering"),
    "bare model": (AutoModel, "llama", LLAMA, "the bare model (LlamaModel)"),
    "bare model, tied": (AutoModel, "qwen3", TIED | {"head_dim": 8}, "the bare model (Qwen3Model)"),
    "masked": (AutoModelForMaskedLM, "bert", BERT, "BertForMaskedLM"),
    "masked, roberta": (AutoModelForMaskedLM, "roberta", BERT, "RobertaForMaskedLM"),
}
"""Models that are no causal language models: by which class they are made, of what, and what the refusal names."""


@pytest.mark.parametrize("other", OTHERS)
def test_a_model_of_another_task_is_refused_before_any_work_with_what_it_is(other, tmp_path, capsys):
    maker, kind, sizes, named = OTHERS[other]
    made = maker.from_config(AutoConfig.for_model(kind, **sizes))
    made.save_pretrained(tmp_path / "base")
    checkpoints.tokenizer().save_pretrained(tmp_path / "base")
    capsys.readouterr()  # the library's own bars
    expect_refusal(prune(tmp_path / "base", tmp_path / "out"), tmp_path / "out", capsys, named)
    assert publish(tmp_path / "base", tmp_path / "out", "--dry-run") == 2
    said_once(capsys, named)
    bare(tmp_path / "base")
    assert publish(tmp_path / "base", tmp_path / "out", "--dry-run") == 2, "with config.json alone"
    said_once(capsys, named)


@pytest.mark.parametrize("other", ["classifier", "classifier, tied", "bare model", "tagger"])
def test_without_its_architecture_the_files_tell_it(other, tmp_path):
    maker, kind, sizes, _ = OTHERS[other]
    maker.from_config(AutoConfig.for_model(kind, **sizes)).save_pretrained(tmp_path)
    checkpoints.edit_config(tmp_path, architectures=None)
    with pytest.raises(UnusableBase, match=r"no LM head|the head of another task") as caught:
        require_fit(tmp_path, open_checkpoint(tmp_path).shapes)
    if other.startswith("classifier"):
        assert "score.weight" in caught.value.seen


@pytest.mark.parametrize("name", ["modules.json", "config_sentence_transformers.json", "1_Pooling/config.json"])
def test_an_embedding_model_is_refused_even_where_it_fills_the_class(name, llama, tmp_path, capsys):
    (llama / name).parent.mkdir(exist_ok=True)
    (llama / name).write_text("[]")
    expect_refusal(prune(llama, tmp_path / "out"), tmp_path / "out", capsys, "embedding model", name)
    assert publish(llama, tmp_path / "out", "--dry-run") == 2
    said_once(capsys, "embedding model")


Rename = Callable[[str], str]
NAMES: dict[str, tuple[Rename, str]] = {
    "data parallel": (lambda n: f"module.{n}", "DataParallel"),
    "compiled": (lambda n: f"_orig_mod.{n}", "torch.compile"),
    "compiled, then parallel": (lambda n: f"module._orig_mod.{n}", "torch.compile"),
    "a compiled part": (lambda n: n.replace("mlp.", "mlp._orig_mod."), "torch.compile"),
    "checkpointed blocks": (lambda n: n.replace(".self_attn.", "._checkpoint_wrapped_module.self_attn."), "activation"),
    "sharded": (lambda n: f"_fsdp_wrapped_module.{n}", "FSDP"),
    "sharded blocks": (lambda n: n.replace(".mlp.", "._fsdp_wrapped_module.mlp."), "FSDP"),
    "peft": (lambda n: f"base_model.model.{n}", "peft"),
    "trl": (lambda n: f"pretrained_model.{n}", "trl"),
    "a trainer's own": (lambda n: f"actor.policy.{n}", "names are not its own"),
    "inside another": (lambda n: f"language_model.{n}", "names are not its own"),
    "another trunk": (lambda n: n.replace("model.", "transformer.", 1), "names are not its own"),
    "torchtune": (lambda n: n.replace("self_attn", "attn"), "does not know"),
    "the original code": (lambda n: n.replace("q_proj", "wq"), "does not know"),
}
"""How names come to be others than the class's, and what the refusal says of each."""


def renamed(base: Path, change: Rename) -> None:
    values = {change(name): value for name, value in checkpoints.tensors(base).items()}
    checkpoints.write(bare(base), values)


@pytest.mark.parametrize("how", NAMES)
def test_names_that_the_class_does_not_know_are_refused_by_name(how, mistral, tmp_path, capsys):
    change, words = NAMES[how]
    renamed(mistral, change)
    expect_refusal(prune(mistral, tmp_path / "out"), tmp_path / "out", capsys, "MistralForCausalLM", words)


@pytest.mark.parametrize("how", [how for how, (_, words) in NAMES.items() if words != "does not know"])
def test_following_the_line_mends_them(how, mistral, tmp_path, monkeypatch):
    dense = checkpoints.tensors(mistral)
    renamed(mistral, NAMES[how][0])
    with pytest.raises(UnusableBase) as caught:
        require_fit(mistral, open_checkpoint(mistral).shapes)
    monkeypatch.chdir(mistral)
    exec(line_of(caught.value), {})
    mended = mistral.parent / "mended"
    require_fit(mended, open_checkpoint(mended).shapes)
    loaded = AutoModelForCausalLM.from_pretrained(mended).state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in dense.items())


@pytest.mark.long
def test_the_line_works_in_a_shell(mistral):
    renamed(mistral, NAMES["data parallel"][0])
    with pytest.raises(UnusableBase) as caught:
        require_fit(mistral, open_checkpoint(mistral).shapes)
    line = caught.value.remedy[caught.value.remedy.index("python -c") :].replace("python", sys.executable, 1)
    assert subprocess.run(line, shell=True, cwd=mistral, check=False).returncode == 0
    mended = mistral.parent / "mended"
    require_fit(mended, open_checkpoint(mended).shapes)


def test_names_that_no_shell_takes_are_given_no_line(mistral):
    renamed(mistral, lambda name: f"$(touch x)'.{name}")
    with pytest.raises(UnusableBase) as caught:
        require_fit(mistral, open_checkpoint(mistral).shapes)
    assert "python -c" not in caught.value.remedy


def lost(values: dict[str, torch.Tensor]) -> None:
    del values["model.layers.1.mlp.up_proj.weight"]


def no_norm(values: dict[str, torch.Tensor]) -> None:
    del values["model.norm.weight"]


def short(values: dict[str, torch.Tensor]) -> None:
    values["model.embed_tokens.weight"] = values["model.embed_tokens.weight"][:100].clone()


GAPS = {
    lost: "model.layers.1.mlp.up_proj.weight: missing from the files",
    no_norm: "model.norm.weight: missing from the files",
    short: "model.embed_tokens.weight: (100, 32) in the files, (256, 32) in the model class",
}


@pytest.mark.parametrize("spoil", GAPS, ids=lambda spoil: spoil.__name__)
def test_a_gap_is_named_before_any_work(spoil, mistral, tmp_path, capsys):
    values = checkpoints.tensors(mistral)
    spoil(values)
    checkpoints.write(bare(mistral), values)
    expect_refusal(prune(mistral, tmp_path / "out"), tmp_path / "out", capsys, GAPS[spoil])


@pytest.mark.parametrize("as_stored", [True, False], ids=["as stored", "as held"])
@pytest.mark.parametrize("architecture", sorted(checkpoints.ARCHITECTURES | checkpoints.EXTRA))
def test_whatever_a_class_writes_fills_it(architecture, as_stored, tmp_path):
    base = checkpoints.make(tmp_path / "base", architecture, as_stored=as_stored)
    require_fit(base, open_checkpoint(base).shapes)


def test_what_lies_beside_a_whole_language_model_does_no_harm(mistral):
    """Buffers of older versions, a value head, blocks that predict further tokens: others decide on these."""
    values = checkpoints.tensors(mistral)
    more = {"model.layers.0.self_attn.rotary_emb.inv_freq": (4,), "v_head.summary.weight": (1, 32)}
    shapes = {name: tuple(value.shape) for name, value in values.items()} | more
    require_filled(meta_model(mistral), shapes)
    assert "lm_head.weight" in json.dumps(sorted(shapes))


@pytest.mark.parametrize(("held", "seen"), [(2, None), (1, "config.json counts 2 blocks where LlamaConfig has 1.")])
def test_a_class_that_counts_its_blocks_otherwise_than_config_json_is_not_supported(held, seen):
    """As Dory of transformers 5.24, whose config.json counts attention and MLP one by one."""
    config, written = LlamaConfig(num_hidden_layers=held), {"num_hidden_layers": 2}
    with pytest.raises(UnusableBase) if seen else nullcontext() as caught:
        fitness._require_counted_alike(config, written)
    assert seen is None or (caught.value.seen, caught.value.remedy) == (seen, UNSUPPORTED)
