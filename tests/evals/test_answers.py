"""Sample answers: greedy as a plain forward decodes, one model at a time, and nothing of them can be forged."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from release.card.render import render
from release.card.templates import environment
from release.checkpoint.files import Folder
from release.errors import UnusableBase, UnusableData
from release.evals.again import FOLDER, Spot, Spotted
from release.evals.answers import spot
from release.evals.answers.again import FILE
from release.evals.answers.compare import AnswerPair
from release.evals.answers.questions import OWN
from release.evals.answers.reading import FLOOR, SpokenToken, flat, unfolded
from release.evals.answers.result import SampleAnswers
from release.evals.answers.speak import speak
from release.evals.answers.table import FILE_NAME, read_tokens, write_tokens
from release.evals.answers.work import AnswersTask, prepare
from release.evals.engine.subject import EvaluatedModel, Runtime
from release.evals.work import EvalContext, Sides
from release.models.load import loaded, read_tokenizer
from release.progress import Console
from release.schema.record import Check
from release.settings.measuring import Measuring
from release.verification import recompute
from tests import checkpoints
from tests.records import example_answers, example_measurements, example_record, pair_of_words
from tests.space_fixtures import checkpoint

CPU = torch.device("cpu")
ROUNDING = 5e-4
"""Of fp32, between one pass over a whole answer and 64 passes with a cache."""
ON = Measuring(answers="on")


def laid_out(folder: Path, plan: Measuring = ON, others: tuple[str, ...] = ()) -> AnswersTask | None:
    return prepare(EvalContext(folder, plan, CPU, read_tokenizer(folder), Console(), others))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two models of which one lacks a few weights of the other, so that some answers begin alike."""
    root = tmp_path_factory.mktemp("speakers")
    return {"dense": checkpoint(root / "dense"), "pruned": checkpoint(root / "pruned", zeroed=0.005)}


@pytest.fixture(scope="module")
def task(folders: dict[str, Path]) -> AnswersTask:
    found = laid_out(folders["dense"])
    assert found is not None
    return found


def subject(name: str, folder: Path) -> EvaluatedModel:
    return EvaluatedModel(name, folder, Runtime(CPU, torch.float32), Console())


def plain(model: Any, prompt: tuple[int, ...], said: list[int]) -> torch.Tensor:
    """Probabilities at every place of an answer by one forward over all of it, (tokens, vocabulary)."""
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *said[:-1]]])).logits[0, len(prompt) - 1 :]
    return torch.softmax(logits.double(), dim=-1)


def stated(value: float | None, expected: float) -> bool:
    return expected < FLOOR if value is None else abs(value - expected) < ROUNDING


def test_answers_are_what_greedy_decoding_says_with_both_models_own_probabilities(
    task: AnswersTask, folders: dict[str, Path], tmp_path: Path
) -> None:
    read = {}
    for name, folder in folders.items():
        with subject(name, folder) as model:
            read[name] = task.read(model)
    result = task.compare(read["dense"], read["pruned"])
    assert result is not None
    task.write(read["dense"], read["pruned"], Sides(*folders.values(), tmp_path, tmp_path, Console()))
    pairs = read_tokens((tmp_path / FILE_NAME).read_bytes(), len(OWN), task.asked.new_tokens)
    assert any(each.parting and each.parting.position > 0 for each in result.asked)
    for name, folder in folders.items():
        with loaded(folder, CPU, torch.float32) as model:
            for prompt, pair, found in zip(task.encoded, pairs, result.asked, strict=True):
                said = [row.token for row in getattr(pair, name)]
                shares = plain(model, prompt, said)
                assert shares.argmax(dim=-1).tolist() == said
                for row, each in zip(getattr(pair, name), shares, strict=True):
                    assert stated(getattr(row, name), float(each[row.token]))
                if found.parting:
                    at = found.parting.position
                    for rows, token in zip(pair, (found.parting.dense, found.parting.pruned), strict=True):
                        assert stated(getattr(token, name), float(shares[at][rows[at].token]))


def test_a_second_run_loads_no_model(
    task: AnswersTask, folders: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    found = []
    for _ in range(2):
        with subject("dense", folders["dense"]) as model:
            found.append(task.read(model))
    assert [each.recalled for each in found] == [0, len(OWN)]
    assert found[0].answers == found[1].answers
    assert capsys.readouterr().err.count("Sample answers, dense …\n") == 1


def test_answers_are_those_of_their_own_batch_whatever_is_known_of_others(
    task: AnswersTask, folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How a batch rounds depends on all of it: a single token's probability was once another in its last bits."""
    found = []
    for store, asked in (("one", 3), ("one", None), ("two", None)):
        monkeypatch.setenv("RELEASE_READINGS", str(tmp_path / store))
        with subject("dense", folders["dense"]) as model:
            found.append(speak(model, task.encoded[:asked], task.ends, 8))
    assert [each.recalled for each in found] == [0, 0, 0]
    assert found[1].answers == found[2].answers


TOKENS = st.tuples(
    st.integers(0, 2**20), st.dictionaries(st.integers(0, 2**20), st.floats(-7, 0, width=32), max_size=4)
)


@given(st.lists(TOKENS, max_size=5))
def test_an_answer_is_kept_whole(said: list[tuple[int, dict[int, float]]]) -> None:
    answer = tuple(SpokenToken(*each) for each in said)
    assert unfolded(flat(answer)) == answer


def release_with(change: Callable[[SampleAnswers], SampleAnswers], folder: Path, pairs: list[AnswerPair]) -> Check:
    known = change(example_answers(*[("one two", "one three")] * len(OWN)))
    write_tokens(folder / FILE_NAME, pairs)
    measured = example_measurements(answers=known, bbq=None, perplexity=None, latency=None)
    record = example_record(measurements=measured)
    [found] = [check for check in recompute.checks(Folder(folder.parent), record) if check.name == "answers"]
    return found


@pytest.fixture(scope="module")
def answered(task: AnswersTask, folders: dict[str, Path]) -> tuple[SampleAnswers, list[AnswerPair]]:
    """What both models really said, as record and table hold it."""
    read = {}
    for name, folder in folders.items():
        with subject(name, folder) as model:
            read[name] = task.read(model)
    result = task.compare(read["dense"], read["pruned"])
    assert result is not None
    return result, task._pairs(read["dense"], read["pruned"])


def asked_again(
    known: SampleAnswers, pairs: list[AnswerPair], folders: dict[str, Path], root: Path
) -> tuple[bool, str]:
    (root / FOLDER).mkdir()
    write_tokens(root / FILE, pairs)
    record = example_record(measurements=example_measurements(answers=known))
    rng, console = np.random.default_rng(7), Console()
    question = spot.question(Spotted(Folder(root), record, folders["dense"], Spot(99), rng, console), known)
    found = {}
    for name, folder in folders.items():
        with subject(name, folder) as model:
            found[name] = question.ask(model)
    assert question.what == f"{len(OWN)} sample answers"
    return question.judge(found)


def as_dense(pair: AnswerPair) -> AnswerPair:
    said = tuple(row._replace(pruned=row.dense) for row in pair.dense)
    return AnswerPair(said, said)


def first_token(**changes: Any) -> Callable[[AnswerPair], AnswerPair]:
    return lambda pair: AnswerPair(*((rows[0]._replace(**changes), *rows[1:]) for rows in pair))


INVENTED: dict[str, tuple[Callable[[AnswerPair], AnswerPair], str]] = {
    "the dense model's for the pruned one's": (as_dense, "differ by"),
    "a likelier token": (first_token(pruned=0.999), "differ by"),
    "another text of the same tokens": (first_token(text="Something nicer"), "another text"),
}


def test_answers_of_these_models_pass_a_spot_check(
    answered: tuple[SampleAnswers, list[AnswerPair]], folders: dict[str, Path], tmp_path: Path
) -> None:
    same, told = asked_again(*answered, folders, tmp_path)
    assert (same, "0.001 is allowed" in told) == (True, True)


@pytest.mark.parametrize("kind", INVENTED)
def test_answers_that_neither_model_gave_are_found_out_by_a_spot_check(
    kind: str, answered: tuple[SampleAnswers, list[AnswerPair]], folders: dict[str, Path], tmp_path: Path
) -> None:
    change, seen = INVENTED[kind]
    known, pairs = answered
    same, told = asked_again(known, [change(pair) for pair in pairs], folders, tmp_path)
    assert (same, seen in told) == (False, True)


HONEST = pair_of_words("one two", "one three")


def table_of(**changes: object) -> list[AnswerPair]:
    rows = list(HONEST.dense)
    rows[1] = rows[1]._replace(**changes)
    return [AnswerPair(tuple(rows), HONEST.pruned)] + [HONEST] * (len(OWN) - 1)


def reworded(known: SampleAnswers) -> SampleAnswers:
    first = known.asked[0]
    dense = first.dense.model_copy(update={"text": "something nicer"})
    return known.model_copy(update={"asked": (first.model_copy(update={"dense": dense}), *known.asked[1:])})


def asked_otherwise(known: SampleAnswers) -> SampleAnswers:
    first = known.asked[0].model_copy(update={"question": "Which question suits us?"})
    return known.model_copy(update={"asked": (first, *known.asked[1:])})


FORGED: dict[str, tuple[Callable[[SampleAnswers], SampleAnswers], list[AnswerPair], str]] = {
    "another text": (reworded, [HONEST] * len(OWN), "dense.text"),
    "another question": (asked_otherwise, [HONEST] * len(OWN), "question"),
    "questions left out": (
        lambda known: known.model_copy(update={"asked": known.asked[:2]}),
        [HONEST] * 2,
        "answers of both models to each",
    ),
    "another list": (lambda known: known.model_copy(update={"version": 9}), [HONEST] * len(OWN), "list 9"),
    "another table": (lambda known: known, [pair_of_words("one", "one")] + [HONEST] * (len(OWN) - 1), "on record"),
    "not the likeliest": (lambda known: known, table_of(dense=0.1), "not its model's likeliest"),
    "no probability": (lambda known: known, table_of(dense=0.0), "no probability"),
    "beyond one": (lambda known: known, table_of(pruned=1.5), "lacks the pruned"),
    "an end in the middle": (lambda known: known, table_of(end=True), "goes on behind its end"),
}


@pytest.mark.parametrize(("change", "pairs", "seen"), FORGED.values(), ids=FORGED)
def test_forged_answers_are_a_failed_check(change, pairs, seen, tmp_path: Path) -> None:
    folder = tmp_path / "evaluation"
    folder.mkdir()
    assert release_with(lambda known: known, folder, [HONEST] * len(OWN)).ok
    found = release_with(change, folder, pairs)
    assert found.ok is False
    assert seen in found.detail


@pytest.mark.parametrize(
    ("plan", "others", "asked"),
    [
        (Measuring(), ("perplexity",), True),
        (Measuring(), (), False),
        (Measuring.of(evals=("answers",)), (), True),
        (Measuring.of(evals=("perplexity",)), ("perplexity",), False),
        (Measuring(answers="off"), ("perplexity",), False),
    ],
)
def test_they_are_asked_beside_others_or_by_name(plan, others, asked, tiny: dict[str, Path]) -> None:
    assert (laid_out(tiny["llama"], plan, others) is not None) == asked


@pytest.mark.parametrize("template", ["{{ 1 / 0 }}", "always the same"])
def test_a_template_that_takes_no_question_leaves_them_out_or_is_refused_where_they_were_asked_by_name(
    template: str, tiny: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    tokenizer = read_tokenizer(tiny["llama"])
    tokenizer.chat_template = template
    context = EvalContext(tiny["llama"], Measuring(), CPU, tokenizer, Console(), ("perplexity",))
    assert prepare(context) is None
    assert "Sample answers are left out: The chat template" in capsys.readouterr().err
    by_name = EvalContext(tiny["llama"], ON, CPU, tokenizer, Console())
    with pytest.raises(UnusableBase, match="--answers off"):
        prepare(by_name)


def test_a_model_that_gives_nan_is_named(task: AnswersTask, folders: dict[str, Path], tmp_path: Path) -> None:
    folder = checkpoints.copy(folders["dense"], tmp_path / "broken")
    for file in folder.glob("*.safetensors"):
        values = checkpoints.load_file(file)
        checkpoints.write(folder, {n: v * float("nan") for n, v in values.items()}, file.name)
    with subject("pruned", folder) as model, pytest.raises(UnusableData, match="pruned model returned NaN"):
        task.read(model)


def test_a_model_read_block_by_block_answers_nothing(task: AnswersTask, folders: dict[str, Path]) -> None:
    with subject("dense", folders["dense"]) as model:
        model.__dict__["reader"] = SimpleNamespace(module=None)
        assert task.read(model).answers is None
        assert task.compare(task.read(model), task.read(model)) is None


def test_questions_of_bbq_are_asked_where_bbq_is_asked_and_credited(tiny: dict[str, Path]) -> None:
    task = laid_out(tiny["llama"], Measuring(), ("bbq",))
    assert task is not None
    assert [each.key for each in task.asked.questions[len(OWN) :]] == ["bbq/Gender_identity/0", "bbq/Age/0"]
    assert task.asked.bbq is not None
    assert "among the sample answers" not in render(example_record())
    assert "BBQ, among the sample answers" in render(
        example_record(measurements=example_measurements(answers=example_answers()))
    )


def test_answers_stand_on_a_card_as_text_and_not_at_any_length() -> None:
    hostile = "<b>x</b> | [a](javascript:1)\n\n# " + "w" * 5_000
    found = example_answers((hostile, "short"))
    part = environment().get_template("evals/answers/card.md.j2").make_module()
    said = part.samples([found])
    assert "<b>" not in said
    assert r"\[a\](" in said
    assert len(said) < 1_500
    assert [line.count(" | ") for line in said.splitlines() if "short" in line] == [2]
