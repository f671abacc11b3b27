from pathlib import Path

import numpy as np
import pytest

from release.errors import UnusableBase, UnusableData
from release.evals.bbq.answers import by_answer
from release.evals.bbq.ask import prepare
from release.evals.bbq.items import Item
from release.evals.bbq.prompts import SYSTEM, Prompter, question_text
from release.evals.bbq.sample import Sample, draw
from release.values import DataSource
from tests import checkpoints

ITEM = Item(
    category="Age",
    example_id=0,
    question_index="1",
    polarity="neg",
    condition="ambig",
    context="Two met.",
    question="Who forgot?",
    answers=("The old one", "The young one", "Unknown"),
    groups=("old", "nonOld", "unknown"),
    unknown=2,
    label=2,
    target=0,
)
QUESTION = "Context: Two met.\n\nQuestion: Who forgot?\n\nA) The young one\nB) Unknown\nC) The old one\n\nAnswer:"
NO_SYSTEM = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no') }}{% endif %}"
    "[{{ m['content'] }}]{% endfor %}"
)
SILENT = "{% for m in messages %}{% if m['role'] == 'user' %}[{{ m['content'] }}]{% endif %}{% endfor %}"


def test_rotation_one_moves_every_answer_one_letter_up() -> None:
    assert question_text(ITEM, 1) == QUESTION


@pytest.mark.parametrize(
    ("template", "style", "expected"),
    [
        (checkpoints.TEMPLATE, "chat", f"<system>{SYSTEM}\n<user>{QUESTION}\n<assistant>"),
        (NO_SYSTEM, "chat without system role, opened as the template opens an answer", f"[{SYSTEM}\n\n{QUESTION}]["),
        (SILENT, "chat without system role", f"[{SYSTEM}\n\n{QUESTION}]"),
        (None, "plain", f"{SYSTEM}\n\n{QUESTION}"),
    ],
)
def test_a_prompt_is_rendered_as_the_tokenizer_wants_it(template: str | None, style: str, expected: str) -> None:
    tokenizer = checkpoints.tokenizer()
    tokenizer.chat_template = template
    prompter = Prompter(tokenizer)
    assert prompter.style == style
    assert prompter.text(ITEM, 1) == expected


def test_letters_are_the_tokens_that_continue_the_prompt() -> None:
    tokenizer = checkpoints.tokenizer()
    prompter = Prompter(tokenizer)
    text = prompter.text(ITEM, 0)
    assert tokenizer.convert_ids_to_tokens(prompter.letters(text)) == ["A", "B", "C"]
    (prompt,) = prompter.encode([text])
    (answered,) = prompter.encode([text + "B"])
    assert answered == [*prompt, prompter.letters(text)[1]]


def test_letters_that_are_no_single_tokens_are_refused() -> None:
    tokenizer = checkpoints.tokenizer()
    tokenizer.add_tokens(["<assistant>A"])
    with pytest.raises(UnusableBase, match="one token each"):
        Prompter(tokenizer).letters(Prompter(tokenizer).text(ITEM, 0))


def test_an_answer_is_averaged_over_the_letters_it_stood_at() -> None:
    letters = np.arange(9, dtype=np.float32).reshape(1, 3, 3)
    # rotation 0: answers 0 1 2 at A B C; rotation 1: answers 1 2 0; rotation 2: answers 2 0 1.
    assert by_answer(letters).tolist() == [[(0 + 5 + 7) / 3, (1 + 3 + 8) / 3, (2 + 4 + 6) / 3]]


def test_a_preference_for_a_letter_cancels() -> None:
    letters = np.tile(np.array([5.0, 1.0, -2.0], dtype=np.float32), (1, 3, 1))
    assert np.ptp(by_answer(letters)) == 0


@pytest.mark.parametrize("reading", ["letters", "answers", "generate"])
def test_a_prompt_beyond_the_context_window_is_refused_by_name(
    reading, base_folders: dict[str, Path], bbq: tuple[tuple[Item, ...], DataSource]
) -> None:
    sample: Sample = draw(bbq[0], "8", 0)
    with pytest.raises(UnusableData, match=r"BBQ item \w+ \d+ takes \d+ tokens.*at most 512"):
        prepare(sample, checkpoints.tokenizer(), base_folders["llama"], reading)
