"""Stored answers, the line in front of the models, and what a browser keeps: all without a model."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release.card.said import said
from release.schema.record import FILE_NAME
from tests.records import example_answers, example_measurements, example_record
from tests.space_fixtures import APP, module

NAMES = ("compare", "conversation", "decoding", "facts", "keeping", "line", "lineup", "memory", "page", "records")
compare, conversation, decoding, facts, keeping, line, lineup, memory, page, records = map(module, NAMES)
app, stored, turns = map(module, ("app", "stored", "turns"))


@pytest.fixture
def source(tmp_path: Path) -> Any:
    return written(tmp_path)


def written(folder: Path, **changes: Any) -> Any:
    """A model that is nothing but its record, with sample answers."""
    record = example_record(measurements=example_measurements(answers=example_answers(**changes)))
    record = record.model_copy(update={"said": said(record)})
    (folder / FILE_NAME).write_text(record.to_json(), encoding="utf-8")
    return lineup.Source("me/pruned", str(folder))


def test_a_stored_comparison_says_what_the_record_says(source: Any) -> None:
    found = stored.stored(source)
    assert [each.question for each in found.answers] == [each.question for each in example_answers().asked]
    first = found.first
    assert first.question == "Why is the sky blue?"
    assert page.marked(first.step.progress.answers["dense"]) == "The sky<mark> scatters</mark> blue light."
    words = page.in_words(first.step)
    assert "Both begin “The sky”; then the dense model writes “scatters” (75 %), the pruned one “is” (75 %)." in words
    assert "Stored when" in page.status(first.step)
    assert [each.of_bbq for each in found.answers] == [False, False, False, True]


@pytest.mark.parametrize(
    ("dense", "pruned", "words"),
    [
        (" a", " b", "writes “a” (50 %), the pruned one “b”"),
        (" a", "a", "writes “ a” (50 %), the pruned one “a”"),
        ("  ", "x", "writes “␣␣” (50 %), the pruned one “x”"),
    ],
)
def test_spaces_around_a_word_are_shown_where_they_alone_differ(dense: str, pruned: str, words: str) -> None:
    texts = zip(turns.SIDES, (dense, pruned), strict=True)
    tokens = {side: turns.Token(text, dict.fromkeys(turns.SIDES, 0.5)) for side, text in texts}
    answers = {side: turns.Answer("x", 1, differing=(0, 1)) for side in turns.SIDES}
    assert words in page.in_words(turns.Step((), turns.Progress(answers, turns.Difference(0, tokens))))


def test_answers_that_part_at_once_or_end_are_said_in_words() -> None:
    answers = {side: turns.Answer("x", 1, differing=(0, 1)) for side in turns.SIDES}
    tokens = {
        "dense": turns.Token("", {"dense": 0.004, "pruned": None}),
        "pruned": turns.Token("x\n", {"dense": None, "pruned": 1}),
    }
    step = turns.Step((), turns.Progress(answers, turns.Difference(0, tokens)))
    assert "They part at once: the dense model ends (0.4 %), the pruned one writes “x↵” (100 %)." in page.in_words(step)
    assert page.percent(None) == page.percent(0.0004) == "below 0.1 %"


HARM = [
    {"asked": 5},
    {"asked": [5, {}, {"question": 1}]},
    {"asked": [{"question": "q", "key": "k", "dense": {}}]},
    [],
    "x",
]


@pytest.mark.parametrize("harm", HARM, ids=str)
def test_answers_of_another_form_are_left_out_and_nothing_fails(tmp_path: Path, harm: Any) -> None:
    record = json.loads(example_record().to_json())
    record["measurements"]["answers"] = harm
    (tmp_path / FILE_NAME).write_text(json.dumps(record), encoding="utf-8")
    assert stored.stored(lineup.Source("me/pruned", str(tmp_path))).answers == ()
    assert stored.stored(lineup.Source("me/none", str(tmp_path / "none"))).answers == ()


def test_without_models_a_stored_question_is_answered_and_any_other_refused(source: Any) -> None:
    comparison = compare.SideBySide(lineup.Lineup(None, (source,)), live=False)
    [step] = comparison.ask("me", " Why is the sky blue? ", decoding.Decoding(), None, ())
    assert step.stored
    [(_, pruned)] = comparison.compare("Why is the sky blue?")
    assert pruned[-1]["content"][0]["text"] == "The sky is blue."
    assert pruned[-1]["first_difference"]["probabilities"] == {"dense": 0.25, "pruned": 0.75}
    with pytest.raises(compare.Refusal, match="stored"):
        next(comparison.ask("me", "Why?", decoding.Decoding(), None, ()))


@pytest.mark.long
def test_stored_mode_imports_neither_torch_nor_transformers(source: Any) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import app, lineup; "
        "app.build(lineup.Lineup(None, (lineup.Source('me/pruned', sys.argv[2]),)), live=False); "
        "print([name for name in ('torch', 'transformers') if name in sys.modules])"
    )
    words = [sys.executable, "-c", script, str(APP), str(Path(source.path))]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("variable", "free", "live"), [("1", 10**12, False), ("", 10**12, True), ("", 10, False)])
def test_models_that_do_not_fit_leave_the_stored_answers(
    source: Any, monkeypatch: pytest.MonkeyPatch, variable: str, free: int, live: bool
) -> None:
    (Path(source.path) / "model.safetensors").write_bytes(b"0" * 100)
    monkeypatch.setenv(app.STORED_ONLY, variable)
    monkeypatch.setattr(memory, "free_bytes", lambda: free)
    monkeypatch.setattr(memory, "CARDS", ())
    assert app.asks_models(lineup.Lineup(None, (source,))) == live


def test_a_record_says_what_pruning_did_in_a_sentence_and_two_numbers(source: Any) -> None:
    record = (Path(source.path) / FILE_NAME).read_text(encoding="utf-8")
    shown = page.headline(records.read(record), live=True)
    expected = said(example_record(measurements=example_measurements(answers=example_answers())))
    assert expected is not None
    assert expected.sentence[:40] in shown
    assert shown.count("<dt>") == len(expected.numbers)
    assert "no longer writes language" not in shown


@pytest.mark.parametrize(("pruned", "lost"), [(99.9, False), (100.0, True)])
def test_a_copy_whose_perplexity_rose_tenfold_is_said_to_have_lost_language(pruned: float, lost: bool) -> None:
    known = facts.Facts(numbers={"perplexity": facts.Measured(pruned, 10.0)})
    assert ("no longer writes language" in page.headline(known, live=True)) == lost


# The line


def test_the_line_serves_in_the_order_of_coming_and_forgets_who_left() -> None:
    queue = line.WaitingLine(most=2)
    with queue.joined() as first, queue.joined() as second:
        assert (first.ahead(), second.ahead()) == (0, 1)
        with queue.joined() as third:
            assert third.ahead() == 2
            with pytest.raises(line.LineFull), queue.joined():
                pass
            second.seen -= line.LEFT_AFTER + 1
            assert third.ahead() == 1
    assert [line.place(ahead) for ahead in (1, 2, 4)] == [
        "1st in the queue",
        "2nd in the queue",
        "4th in the queue",
    ]


def test_a_question_that_waits_says_so_in_both_boxes_with_something_to_read_above(source: Any) -> None:
    comparison = compare.SideBySide(lineup.Lineup(source, (source,)))
    with comparison.line.joined() as served:
        assert served.ahead() == 0
        steps = comparison.ask("me", "Why?", decoding.Decoding(), None, ())
        step = next(steps)
        assert step.waiting.told.startswith("1st in the queue · 0 s")
        shown = conversation.Conversation(comparison)._screen(step, "me/pruned", ())
        for chat in shown[:2]:
            assert [each["role"] for each in chat] == ["user", "assistant", "user", "assistant"]
            assert chat[-1]["metadata"] == {"title": step.waiting.told, "status": "pending"}
        comparison.runs.stop("me")
        *_, end = steps
        assert end.stopped
    with comparison.line.joined() as next_one:
        assert next_one.ahead() == 0


# What the browser keeps

TEXTS = st.text(max_size=8)
SHARES = st.none() | st.floats(0, 1)
SAID = st.builds(
    turns.Answer, TEXTS, st.integers(0, 9), st.none() | st.floats(0, 9), st.floats(0, 9), st.booleans(), st.none()
)
BOTH = st.fixed_dictionaries(dict.fromkeys(turns.SIDES, SAID))
TOKEN = st.builds(turns.Token, TEXTS, st.fixed_dictionaries(dict.fromkeys(turns.SIDES, SHARES)))
PARTED = st.builds(turns.Difference, st.integers(0, 9), st.fixed_dictionaries(dict.fromkeys(turns.SIDES, TOKEN)))


@given(st.lists(st.builds(turns.Turn, TEXTS, BOTH), min_size=1, max_size=3), st.none() | PARTED)
def test_a_conversation_comes_back_from_the_browser_as_it_was(asked: list[Any], parted: Any) -> None:
    step = turns.Step(tuple(asked), turns.Progress(asked[-1].answers, parted, done=True))
    text = keeping.kept(step, "me/pruned")
    assert keeping.brought_back(text, "me/pruned") == step
    assert keeping.brought_back(text, "me/other") is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS, lambda inner: st.lists(inner, max_size=3), max_leaves=8
)


@given(JSON, JSON)
def test_whatever_a_browser_sends_back_nothing_fails(asked: Any, parting: Any) -> None:
    text = json.dumps({"variant": "v", "turns": asked, "parting": parting, "stored": 1})
    found = keeping.brought_back(text, "v")
    assert found is None or found.turns
    assert keeping.brought_back("x" * (keeping.LONGEST + 1), "v") is None
