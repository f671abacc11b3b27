"""A tokenizer or a chat template that nobody can use: refused before pruning, and stopped where it does not end."""

import json
import shutil
import time
from pathlib import Path

import pytest

from release import guarded
from release.errors import UnusableBase
from release.evals.bbq.prompts import Prompter
from tests import checkpoints
from tests.evals.items import item_of
from tests.refusal import expect_refusal, patch, publish

pytestmark = pytest.mark.timeout(60)

FOR = "{% for a in range(99999) %}"
LOOP = FOR * 3 + "{% endfor %}" * 3
GROW = "{% set ns = namespace(x='x') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}"
WHOLE = "{{ messages[0]['content'] }}"
TEMPLATES = {
    "{% for": "unexpected 'end of template'",
    "{{ messages[0]['content' }}": "The chat template cannot be used",
    "{% endfor %}": "The chat template cannot be used",
    "{{ nothing.at.all }}": "The chat template cannot be used",
    "{{ 1 / 0 }}": "division by zero",
    "{{ raise_exception('\x1b[2J no \x07') }}": "The chat template cannot be used",
    "{{ 'x' * 10**11 }}": "MB of memory",
    "{{ 10 ** (10 ** 9) }}": "The chat template",
    "{{ range(10**9) | list }}": "The chat template cannot be used",
    "{{ ''.__class__.__mro__ }}{{ ''.__class__.__base__.__subclasses__() }}": "The chat template cannot be used",
    "{{ self.__init__.__globals__ }}": "The chat template cannot be used",
    "{% include '/etc/passwd' %}": "The chat template cannot be used",
    "{% import 'os' as os %}": "The chat template cannot be used",
    "{{ 'x' * 2000000 }}": "a text of more than",
    "{{ messages.append(1) }}": "The chat template cannot be used",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}": "The chat template cannot be used",
    GROW: "The chat template",
    LOOP: "does not come to an end",
    "{% if 'Context' in messages[-1]['content'] %}" + LOOP + "{% endif %}" + WHOLE: "does not come to an end",
    "{% if 'Question' in messages[-1]['content'] %}{{ 1 / 0 }}{% endif %}" + WHOLE: "division by zero",
}

DEAR = (GROW, LOOP, "{{ 10 ** (10 ** 9) }}", "{{ range(10**9) | list }}")
"""Each takes a second, and another row holds the same."""

ITEMS = [item_of("Age", n, n, context=f"Context {n}.", question=f"Who is {n}?") for n in range(40)]


@pytest.fixture
def base(llama: Path) -> Path:
    """A model that takes a whole question."""
    checkpoints.edit_config(llama, max_position_embeddings=2048)
    return llama


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less patience with a template that does not end: the law is the same."""
    monkeypatch.setattr(guarded, "SECONDS", 1.0)


@pytest.mark.quick_rows(3)
@pytest.mark.parametrize(
    ("template", "words"),
    [
        pytest.param(text, words, id=text[:40], marks=pytest.mark.long if text in DEAR else ())
        for text, words in TEMPLATES.items()
    ],
)
def test_a_template_that_cannot_be_used_is_refused_before_pruning(
    template, words, base, quick, tmp_path, capsys, little_memory
):
    (base / "chat_template.jinja").write_text(template)
    code = publish(base, tmp_path / "out", "--bbq", "4")
    expect_refusal(code, tmp_path / "out", capsys, words, "--bbq off")


def test_latency_alone_asks_the_template_before_pruning_too(base, quick, tmp_path, capsys):
    (base / "chat_template.jinja").write_text(LOOP)
    code = publish(base, tmp_path / "out", "--latency", "2")
    expect_refusal(code, tmp_path / "out", capsys, "does not come to an end", "--latency off")


@pytest.mark.parametrize("value", [3, {"a": 1}, [3], ["x"], {"default": 3}], ids=json.dumps)
def test_a_template_that_is_no_text_is_refused(value, base, tmp_path, capsys):
    (base / "chat_template.jinja").unlink()
    patch(base, "tokenizer_config.json", chat_template=value)
    code = publish(base, tmp_path / "out", "--bbq", "4")
    expect_refusal(code, tmp_path / "out", capsys, "")


def test_many_prompts_cost_one_child_and_little_time():
    prompter = Prompter(checkpoints.tokenizer())
    asked = [(item, turn) for item in ITEMS for turn in range(3)] * 20
    started = time.monotonic()
    texts = prompter.texts(asked)
    assert time.monotonic() - started < 5
    assert len(texts) == len(asked)
    assert texts[0] == prompter.text(*asked[0])
    assert texts[0].endswith("Answer:\n<assistant>")


def test_what_a_template_changes_stays_in_the_child():
    seen: list[str] = []
    assert guarded.texts(lambda text: seen.append(text) or text, ["a", "b"], "It") == ["a", "b"]
    assert seen == []


def test_a_prompter_refuses_what_the_template_makes_of_one_item_among_many():
    tokenizer = checkpoints.tokenizer()
    last = ITEMS[-1]
    tokenizer.chat_template = (
        "{% if " + json.dumps(last.context) + " in messages[-1]['content'] %}{{ 1/0 }}{% endif %}"
        "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    )
    with pytest.raises(UnusableBase, match="division by zero"):
        Prompter(tokenizer).texts([(item, 0) for item in ITEMS])


TOKENIZERS = {
    "": "no usable tokenizer",
    "{}": "no usable tokenizer",
    "[]": "no usable tokenizer",
    "{": "no usable tokenizer",
    '{"version": "1.0"}': "no usable tokenizer",
    '{"version": "9.0", "model": {}}': "no usable tokenizer",
    '{"model": {"type": "BPE", "vocab": [], "merges": []}}': "no usable tokenizer",
    '{"model": {"type": "BPE", "vocab": {"a": -1}, "merges": []}}': "no usable tokenizer",
    '{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}}': "no usable tokenizer",
    '{"model": {"type": "Nobody"}}': "no usable tokenizer",
    '{"model": ' + "[" * 3_000: "no usable tokenizer",
}


@pytest.mark.parametrize(("text", "words"), TOKENIZERS.items(), ids=[text[:40] for text in TOKENIZERS])
def test_a_broken_tokenizer_is_refused_before_pruning(text, words, base, tmp_path, capsys, little_memory):
    (base / "tokenizer.json").write_text(text)
    code = publish(base, tmp_path / "out", "--bbq", "4")
    expect_refusal(code, tmp_path / "out", capsys, words)


ENDLESS = ("([A-Za-z ]+)+$", r"(\w+\s?)+$")
"""Regular expressions that try ever more ways to match a sentence; the library gives up after ten million."""


@pytest.mark.long
@pytest.mark.parametrize("place", ["pre_tokenizer", "normalizer"])
@pytest.mark.parametrize("pattern", ENDLESS)
@pytest.mark.parametrize("asked", [["--bbq", "4"], ["--perplexity", "2", "--text", str(checkpoints.PROSE)]])
def test_a_tokenizer_whose_regular_expression_has_no_end_is_refused_before_pruning(
    asked, pattern, place, base, tmp_path, capsys
):
    parts = {
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
        "normalizer": {"type": "Replace", "pattern": {"Regex": pattern}, "content": "x"},
    }
    patch(base, "tokenizer.json", **{place: parts[place]})
    code = publish(base, tmp_path / "out", *asked)
    expect_refusal(code, tmp_path / "out", capsys, "tokenizer", "retry-limit-in-match")


SETTINGS = [
    *(
        {"tokenizer_class": 3},
        {"tokenizer_class": "Nobody"},
        {"tokenizer_class": "os.system"},
        {"added_tokens_decoder": 3},
    ),
    *({"added_tokens_decoder": {"x": "y"}}, {"pad_token": 3}, {"eos_token": {"a": 1}}, {"extra_special_tokens": 3}),
    *({"model_max_length": "x"}, {"auto_map": {"AutoTokenizer": ["code.Tokenizer", None]}}),
]


@pytest.mark.long
@pytest.mark.parametrize("changes", SETTINGS, ids=json.dumps)
def test_odd_settings_of_a_tokenizer_are_refused_or_do_no_harm(changes, base, tmp_path, capsys):
    patch(base, "tokenizer_config.json", **changes)
    code = publish(base, tmp_path / "out", "--perplexity", "2", "--text", str(checkpoints.PROSE))
    if code == 2:
        expect_refusal(code, tmp_path / "out", capsys, "tokenizer")
    else:
        assert code == 0, capsys.readouterr().err


def grown(base: Path) -> None:
    """Let the tokenizer know a token that the model does not."""
    tokenizer = checkpoints.tokenizer()
    tokenizer.add_tokens(["Question", "The", "model", "release"])
    tokenizer.save_pretrained(base)


@pytest.mark.quick_rows(1)
@pytest.mark.parametrize(
    "more", [["--bbq", "4"], ["--latency", "2"], ["--perplexity", "2", "--text", str(checkpoints.PROSE)]]
)
def test_a_token_that_the_model_does_not_know_is_refused_before_pruning(more, base, tmp_path, capsys):
    grown(base)
    expect_refusal(publish(base, tmp_path / "out", *more), tmp_path / "out", capsys, "the model knows 256")


def test_a_token_that_the_model_does_not_know_is_refused_in_calibration_too(base, tmp_path, capsys):
    grown(base)
    code = publish(base, tmp_path / "out", *checkpoints.CALIBRATION, method="wanda")
    expect_refusal(code, tmp_path / "out", capsys, "the model knows 256")


def test_without_a_tokenizer_nothing_can_be_asked(base, tmp_path, capsys):
    for file in (*base.glob("tokenizer*"), *base.glob("special*"), *base.glob("chat*")):
        file.unlink()
    code = publish(base, tmp_path / "out", "--bbq", "4")
    expect_refusal(code, tmp_path / "out", capsys, "no usable tokenizer")
    shutil.rmtree(base)
