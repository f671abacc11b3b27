"""Whatever a chat template does, a prompt holds what was asked, and the answer follows it; or the run stops."""

import datetime as clock
from pathlib import Path

import pytest
from transformers.utils import chat_template_utils

from release.errors import UnusableBase
from release.evals.bbq.items import Item
from release.evals.bbq.prompts import Prompter
from release.evals.bbq.rendering import SYSTEM
from tests import checkpoints
from tests.evals.items import item_of
from tests.evals.test_prompts import ITEM, QUESTION
from tests.refusal import expect_refusal, publish

pytestmark = pytest.mark.timeout(60)

TURNS = "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>\n{% endfor %}"
BEGIN = "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
PARTS = (
    "{% for m in messages %}<{{ m.role }}>{% for part in m['content'] %}{% if part['type'] == 'text' %}"
    "{{ part['text'] }}{% endif %}{% endfor %}\n{% endfor %}<assistant>"
)
THINKS = (
    "{% for m in messages %}<|{{ m.role }}|>"
    "{% if m.role == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}{{ m.content }}<|end|>{% endfor %}"
)
ASKED = f"<|system|>{SYSTEM}<|end|>\n<|user|>{QUESTION}<|end|>\n"

TAKEN: dict[str, tuple[str | dict[str, str], str, str]] = {
    "turns": (TURNS + BEGIN, "chat", f"{ASKED}<|assistant|>\n"),
    "content trimmed": (TURNS.replace("m['content']", "m['content'] | trim") + BEGIN, "chat", "<|assistant|>\n"),
    "no mark of its own": (TURNS, "chat, opened as the template opens an answer", f"{ASKED}<|assistant|>"),
    "a space before the answer": (
        (
            "{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
            "{% elif m.role == 'assistant' %} {{ m.content }}</s>{% endif %}{% endfor %}"
        ),
        "chat without system role",
        "Answer: [/INST]",
    ),
    "no system role": (
        (
            "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
            "<turn>{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content | trim }}</turn>\n{% endfor %}"
            "{% if add_generation_prompt %}<turn>model\n{% endif %}"
        ),
        "chat without system role",
        "</turn>\n<turn>model\n",
    ),
    "system dropped": (
        "{% for m in messages if m.role != 'system' %}<|{{ m.role }}|>{{ m.content }}{% endfor %}" + BEGIN,
        "chat without system role",
        "Answer:<|assistant|>\n",
    ),
    "parts": (PARTS, "chat, content in parts", "Answer:<assistant>"),
    "parts for the user alone": (
        (
            "{% for m in messages %}<{{ m.role }}>{% if m.role == 'system' %}{{ m.content.strip() }}{% else %}"
            "{{ m.content[0].text }}{% endif %}\n{% endfor %}<assistant>"
        ),
        "chat, content in parts",
        "Answer:<assistant>",
    ),
    "parts for the system alone": (
        (
            "{% for m in messages %}<{{ m.role }}>{% if m.role == 'system' %}{{ m.content[0].text }}{% else %}"
            "{{ m.content.strip() }}{% endif %}\n{% endfor %}<assistant>"
        ),
        "chat, content in parts",
        "Answer:<assistant>",
    ),
    "text or parts": (
        (
            "{% for m in messages %}<{{ m.role }}>{% if m.content is string %}{{ m.content }}{% else %}"
            "{% for p in m.content %}{{ p.text }}{% endfor %}{% endif %}{% endfor %}<assistant>"
        ),
        "chat",
        "Answer:<assistant>",
    ),
    "several, with a default": ({"default": TURNS + BEGIN, "tool_use": "x"}, "chat", "<|assistant|>\n"),
    "thinking on by default": (
        THINKS + "{% if add_generation_prompt %}<|assistant|>{% if enable_thinking is defined and enable_thinking is "
        "false %}<think>\n\n</think>\n\n{% endif %}{% endif %}",
        "chat, enable_thinking=False",
        "<|assistant|><think>\n\n</think>\n\n",
    ),
    "thinking by another switch": (
        TURNS + "<|assistant|>{% if thinking | default(true) %}<think>{% else %}</think>{% endif %}",
        "chat, thinking=False",
        "<|assistant|></think>",
    ),
    "thinking switched off by its own": (
        TURNS + "<|assistant|>{% if not disable_thinking %}<think>\n{% endif %}",
        "chat, disable_thinking=True",
        "<|assistant|>",
    ),
    "a budget of thoughts": (
        "{% if thinking_budget is defined and thinking_budget == 0 %}<|system|>no thoughts<|end|>{% endif %}"
        + TURNS
        + "<|assistant|>{% if thinking_budget is defined and thinking_budget == 0 %}<seed:think></seed:think>"
        + "{% endif %}",
        "chat, thinking_budget=0",
        "<seed:think></seed:think>",
    ),
    "thinking that opens by itself": (
        (
            "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}"
            "{% if add_generation_prompt %}<|assistant|><think>\n{% endif %}"
        ),
        "chat, thinking closed before the answer",
        "<|assistant|><think>\n\n</think>\n\n",
    ),
    "thinking that opens and is closed in the last turn": (
        THINKS + "{% if add_generation_prompt %}<|assistant|><think>\n{% endif %}",
        "chat, thinking closed before the answer",
        "<|assistant|><think>\n\n</think>\n\n",
    ),
    "thoughts in brackets": (
        TURNS + "{% if add_generation_prompt %}<|assistant|>[THINK]{% endif %}",
        "chat, thinking closed before the answer",
        "<|assistant|>[THINK]\n[/THINK]\n\n",
    ),
    "thoughts that are only cut out of old turns": (
        "{% for m in messages %}<|{{ m.role }}|>{{ m.content.split('</think>')[-1] }}{% endfor %}" + BEGIN,
        "chat",
        "Answer:<|assistant|>\n",
    ),
    "channels": (
        (
            "{% for m in messages %}<|start|>{{ m.role }}{% if m.role == 'assistant' %}<|channel|>final{% endif %}"
            "<|message|>{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<|start|>assistant{% endif %}"
        ),
        "chat, opened as the template opens an answer",
        "<|start|>assistant<|channel|>final<|message|>",
    ),
    "a response of its own": (
        (
            "{% for m in messages %}<|{{ m.role }}|>{% if m.role == 'assistant' %}<|START_THINKING|><|END_THINKING|>"
            "<|START_RESPONSE|>{% endif %}"
            "{{ m.content }}{% endfor %}{% if add_generation_prompt %}<|assistant|><|START_THINKING|><|END_THINKING|>"
            "{% endif %}"
        ),
        "chat, opened as the template opens an answer",
        "<|assistant|><|START_THINKING|><|END_THINKING|><|START_RESPONSE|>",
    ),
    "today's date": (
        "{% set day = strftime_now('%d %b %Y') %}<|system|>Today: {{ day }}\n" + TURNS + BEGIN,
        "chat, dated 2024-07-26",
        "<|assistant|>\n",
    ),
    "a date where nobody tells the day": (
        "{% if not strftime_now is defined %}{{ raise_exception('no day') }}{% endif %}"
        "{% if date_string is not defined %}{% set date_string = strftime_now('%B %d, %Y') %}{% endif %}"
        "{{ date_string }}" + TURNS + BEGIN,
        "chat, dated 2024-07-26",
        "<|assistant|>\n",
    ),
    "lines joined": (
        "{% for m in messages %}{{ m.role }}: {{ m.content | replace('\n', ' ') }} {% endfor %}assistant:",
        "chat",
        "Answer: assistant:",
    ),
    "a block for training": (
        (
            "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}<|assistant|>{{ m.content }}"
            "{% endgeneration %}{% else %}<|{{ m.role }}|>{{ m.content }}{% endif %}{% endfor %}<|assistant|>"
        ),
        "chat",
        "Answer:<|assistant|>",
    ),
}
"""Templates, how their prompts are recorded, and what these end with."""


def of(template: object) -> Prompter:
    tokenizer = checkpoints.tokenizer()
    tokenizer.chat_template = template
    return Prompter(tokenizer)


@pytest.mark.quick_rows(3)
@pytest.mark.parametrize("name", TAKEN)
def test_a_prompt_holds_what_was_asked_and_ends_where_the_answer_begins(name):
    template, style, end = TAKEN[name]
    prompter = of(template)
    text = prompter.text(ITEM, 1)
    assert prompter.style == style
    assert text.endswith(end)
    places = [text.find(each) for each in (SYSTEM, "Two met.", "Who forgot?", "A) The young", "B) Unknown", "C) The")]
    assert -1 not in places
    assert places == sorted(places)
    assert text.count("Who forgot?") == 1


@pytest.mark.quick_rows(3)
@pytest.mark.parametrize("name", TAKEN)
def test_letters_are_never_read_inside_a_block_of_thoughts(name):
    text = of(TAKEN[name][0]).text(ITEM, 0)
    for opened, closed in (("<think>", "</think>"), ("<seed:think>", "</seed:think>"), ("[THINK]", "[/THINK]")):
        assert text.rfind(opened) <= text.rfind(closed)


@pytest.mark.parametrize("name", [name for name, (_, style, _) in TAKEN.items() if "dated" in style])
def test_a_prompt_is_the_same_on_every_day(name, monkeypatch):
    class Later(clock.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2031, 5, 6, tzinfo=tz)

    before = of(TAKEN[name][0]).text(ITEM, 0)
    monkeypatch.setattr(chat_template_utils, "datetime", Later)
    chat_template_utils._compile_jinja_template.cache_clear()
    assert of(TAKEN[name][0]).text(ITEM, 0) == before
    assert "2024" in before


REFUSED: dict[str, tuple[object, str]] = {
    "nothing of it": ("<|assistant|>", "does not hold 'Two met.'"),
    "upper case": ("{% for m in messages %}{{ m.content | upper }}{% endfor %}", "changes upper and lower case"),
    "lower case": ("{% for m in messages %}{{ m.content | lower }}{% endfor %}", "changes upper and lower case"),
    "title case": ("{% for m in messages %}{{ m.content | title }}{% endfor %}", "changes upper and lower case"),
    "cut": ("{% for m in messages %}{{ m.content[:60] }}{% endfor %}", "leaves out what it is given, or changes it"),
    "backwards": ("{% for m in messages %}{{ m.content | reverse }}{% endfor %}", "leaves out what it is given"),
    "the first turn alone": ("{{ messages[0].content[:100] }}", "leaves out what it is given"),
    "another text's answers": (
        "{% for m in messages %}{{ m.content.replace('B)', 'D)') }}{% endfor %}",
        "does not hold 'B) Nobody said'",
    ),
    "needs tools": ("{{ tools | length }}" + TURNS, "The chat template cannot be used"),
    "needs documents": ("{{ documents[0].text }}" + TURNS, "The chat template cannot be used"),
    "no default": ({"rag": TURNS, "tool_use": "x"}, "multiple chat templates with no default"),
    "bad syntax": ("{% for m in messages %}{{ m.content }", "The chat template cannot be used"),
    "at random": ("{{ ['a', 'b'] | random }}" + TURNS, "draws at random"),
    "random words": ("{{ lipsum(n=1) }}" + TURNS, "draws at random"),
    "an address": ("{{ raise_exception }}" + TURNS, "an address in memory"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_template_whose_prompts_never_hold_what_was_asked_is_refused(name):
    template, words = REFUSED[name]
    with pytest.raises(UnusableBase) as caught:
        of(template).text(ITEM, 0)
    assert words in caught.value.seen
    assert "--bbq off" in caught.value.remedy


@pytest.mark.parametrize(
    "name", ["nothing of it", *(pytest.param(name, marks=pytest.mark.long) for name in ("needs tools", "at random"))]
)
def test_it_is_refused_before_pruning(name, llama: Path, tmp_path: Path, capsys):
    checkpoints.edit_config(llama, max_position_embeddings=2048)
    template, words = REFUSED[name]
    (llama / "chat_template.jinja").write_text(str(template))
    expect_refusal(publish(llama, tmp_path / "out", "--bbq", "4"), tmp_path / "out", capsys, words)
    expect_refusal(publish(llama, tmp_path / "out", "--latency", "2"), tmp_path / "out", capsys, words)


def changed(**texts: str) -> Item:
    return ITEM._replace(**texts)


SPOILT = {
    "escaped": ("{% for m in messages %}{{ m.content | e }}{% endfor %}", changed(question="Who's “it”?")),
    "cut": ("{% for m in messages %}{{ m.content[:400] }}{% endfor %}", changed(context="Two met. " * 60)),
    "a word taken out": (
        "{% for m in messages %}{{ m.content | replace('met', '') }}{% endfor %}",
        changed(context="They met."),
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_template_that_spoils_one_item_is_refused_with_that_item(name):
    template, item = SPOILT[name]
    good = item_of("Religion", 7, 7, context="Here.", question="Where?")
    with pytest.raises(UnusableBase, match=r"Age 0|does not hold"):
        of(template).texts([(good, 0), (item, 0)])


def test_an_item_that_begins_or_ends_with_space_is_whole():
    item = changed(context=" Two met. ", question="Who forgot? ")
    assert "Two met." in of(TAKEN["content trimmed"][0]).text(item, 0)


@pytest.mark.long
def test_what_was_done_stands_in_the_record_and_on_the_card(llama: Path, tmp_path: Path):
    checkpoints.edit_config(llama, max_position_embeddings=2048)
    (llama / "chat_template.jinja").write_text(str(TAKEN["thinking that opens by itself"][0]))
    assert publish(llama, tmp_path / "out", "--bbq", "24") == 0
    [card] = tmp_path.glob("out/*/model/README.md")
    assert "Prompt: chat, thinking closed before the answer." in card.read_text(encoding="utf-8")
