"""BBQ asked of tiny models by each reading, against the definitions."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from release.evals.bbq import ask as module
from release.evals.bbq.answers import UNPARSED
from release.evals.bbq.ask import Script, ask, prepare, rounding
from release.evals.bbq.items import Item
from release.evals.bbq.prompts import AS_SHOWN, LETTERS, ROTATIONS
from release.evals.bbq.sample import draw
from release.evals.bbq.table import write_answers
from release.evals.engine.generate import NOTHING, STUDY, generate
from release.evals.engine.subject import EvaluatedModel, Runtime
from release.models.load import loaded, read_tokenizer
from release.progress import Console
from release.values import DataSource, Reading
from tests import checkpoints

CPU = torch.device("cpu")
READINGS: tuple[Reading, ...] = ("letters", "answers", "generate")
Bbq = tuple[tuple[Item, ...], DataSource]


def script_of(bbq: Bbq, folder: Path, reading: Reading, amount: str = "12") -> Script:
    return prepare(draw(bbq[0], amount, 0), read_tokenizer(folder), folder, reading)


def subject_of(folder: Path, console: Console, dtype: torch.dtype = torch.float32) -> EvaluatedModel:
    return EvaluatedModel("dense", folder, Runtime(CPU, dtype), console)


def plain(module: torch.nn.Module, ids: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        return torch.log_softmax(module(torch.tensor([ids])).logits[0].double(), dim=-1)


@pytest.mark.parametrize(("architecture", "amount"), [("llama", "4"), ("qwen2", "14")])
def test_letters_are_read_at_the_answers_place(
    bbq: Bbq, tiny: dict[str, Path], console: Console, architecture: str, amount: str
) -> None:
    """Of Qwen2 42 prompts: 14 items in three orders, each beside a plain forward pass."""
    script = script_of(bbq, tiny[architecture], "letters", amount)
    with subject_of(tiny[architecture], console) as subject:
        found = ask(subject, script)
    assert found.letters is not None
    assert found.values is not None
    prompter = script.prompter
    with loaded(tiny[architecture], CPU, torch.float32) as model:
        for index, item in enumerate(script.task.items):
            by_answer: dict[int, list[float]] = {0: [], 1: [], 2: []}
            for rotation in range(ROTATIONS):
                text = prompter.text(item, rotation)
                last = plain(model, prompter.encode([text])[0])[-1]
                for place, token in enumerate(prompter.letters(text)):
                    assert found.letters[index, rotation, place] == pytest.approx(float(last[token]), abs=1e-4)
                    by_answer[(place + rotation) % 3].append(float(last[token]))
            averages = [sum(by_answer[answer]) / ROTATIONS for answer in range(3)]
            assert found.values[index] == pytest.approx(averages, abs=1e-4)
            assert found.choices[index, 0] == int(np.argmax(found.values[index]))


def test_answers_are_scored_by_their_mean_token(bbq: Bbq, tiny: dict[str, Path], console: Console) -> None:
    script = script_of(bbq, tiny["qwen3"], "answers", "4")
    with subject_of(tiny["qwen3"], console) as subject:
        found = ask(subject, script)
    assert found.values is not None
    assert found.letters is None
    prompter = script.prompter
    with loaded(tiny["qwen3"], CPU, torch.float32) as model:
        for index, item in enumerate(script.task.items):
            for answer, words in enumerate(item.answers):
                averages = []
                for rotation in range(ROTATIONS):
                    prompt = prompter.encode([prompter.text(item, rotation)])[0]
                    said = prompter.continuation(words)
                    logp = plain(model, prompt + said)
                    each = [float(logp[len(prompt) + i - 1, token]) for i, token in enumerate(said)]
                    averages.append(sum(each) / len(each))
                assert found.values[index, answer] == pytest.approx(sum(averages) / ROTATIONS, abs=1e-4)


@pytest.mark.quick_rows(1)
@pytest.mark.parametrize(
    "reading", [name if name != "generate" else pytest.param(name, marks=pytest.mark.long) for name in READINGS]
)
def test_alone_or_shared_the_answers_are_the_same(
    bbq: Bbq, tiny: dict[str, Path], console: Console, reading: Reading
) -> None:
    script = script_of(bbq, tiny["phi3"], reading)
    with subject_of(tiny["phi3"], console) as subject:
        together, alone = ask(subject, script), ask(subject, script, alone=True)
        assert alone.recalled == 0
        again = ask(subject, script)
    assert np.array_equal(together.choices, alone.choices)
    assert np.array_equal(together.choices, again.choices)
    assert again.recalled == len(script.prompts)


def test_a_token_is_drawn_as_often_as_it_is_likely(tiny: dict[str, Path], console: Console) -> None:
    """With a small vocabulary kept likely by a high temperature: shares within five standard deviations."""
    seeds = tuple(range(3000))
    sampling = STUDY.model_copy(update={"seeds": seeds, "new_tokens": 1, "temperature": 0.05})
    prompt = (5, 6, 7, 8)
    with subject_of(tiny["llama"], console) as subject:
        drawn = generate(subject, [prompt], sampling, frozenset(), "x", alone=False).tokens[0, :, 0]
    with loaded(tiny["llama"], CPU, torch.float32) as model:
        shares = torch.softmax(plain(model, list(prompt))[-1] / sampling.temperature, dim=-1).numpy()
    likely = np.argsort(shares)[-5:]
    for token in likely:
        spread = np.sqrt(shares[token] * (1 - shares[token]) / len(seeds))
        assert abs(np.mean(drawn == token) - shares[token]) < 5 * spread
    assert len(set(drawn.tolist())) > 5


def test_an_ending_token_ends_an_answer_and_is_no_part_of_it(tiny: dict[str, Path], console: Console) -> None:
    sampling = STUDY.model_copy(update={"seeds": tuple(range(40)), "temperature": 0.2})
    prompts = [(5, 6, 7), (9, 9, 4, 2)]
    with subject_of(tiny["llama"], console) as subject:
        free = generate(subject, prompts, sampling, frozenset(), "x", alone=False).tokens
        ends = frozenset(free[:, :, 1].ravel().tolist()[:30])
        cut = generate(subject, prompts, sampling, ends, "x", alone=False).tokens
    assert (free != NOTHING).all()
    for one, other in zip(free.reshape(-1, 5).tolist(), cut.reshape(-1, 5).tolist(), strict=True):
        stop = next((i for i, token in enumerate(one) if token in ends), 5)
        assert other == one[:stop] + [NOTHING] * (5 - stop)
    assert NOTHING in cut


def test_draws_depend_on_seed_and_prompt_alone(tiny: dict[str, Path], console: Console) -> None:
    prompts = [(5, 6, 7), (9, 9, 4, 2), (5, 6)]
    with subject_of(tiny["llama"], console) as subject:
        together = generate(subject, prompts, STUDY, frozenset(), "x", alone=False).tokens
        turned = STUDY.model_copy(update={"seeds": STUDY.seeds[::-1]})
        other = generate(subject, prompts[::-1], turned, frozenset(), "x", alone=False).tokens
    assert np.array_equal(together, other[::-1, ::-1])


@pytest.mark.long
def test_in_float32_rounding_changes_no_answer_and_in_bfloat16_it_is_counted(
    bbq: Bbq, tiny: dict[str, Path], console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FLOOR", 8)
    script = script_of(bbq, tiny["llama"], "letters", "24")
    for dtype in (torch.float32, torch.bfloat16):
        with subject_of(tiny["llama"], console, dtype) as subject:
            known = ask(subject, script)
            found = rounding(subject, script, known)
            turned = known.choices.copy()
            turned[:] = (turned + 1) % 3
            wrong = rounding(subject, script, type(known)(turned, None, None, None, 0, 0))
        assert (found.n, wrong.n) == (8, 8)
        assert wrong.count > found.count
        if dtype == torch.float32:
            assert (found.count, wrong.count) == (0, 8)


@pytest.mark.quick_rows(1)
@pytest.mark.parametrize("reading", READINGS)
def test_the_table_says_what_each_run_answered(
    bbq: Bbq, tiny: dict[str, Path], console: Console, tmp_path: Path, reading: Reading
) -> None:
    script = script_of(bbq, tiny["llama"], reading)
    with subject_of(tiny["llama"], console) as subject:
        found = ask(subject, script)
    write_answers(tmp_path / "bbq.parquet", script.task, {"dense": found, "pruned": found}, script.sampling)
    rows = pq.read_table(tmp_path / "bbq.parquet").to_pylist()
    runs = len(STUDY.seeds) if reading == "generate" else 1
    assert len(rows) == 2 * runs * len(script.task.items)
    assert ("text" in rows[0], "logp_ans0" in rows[0], "logp_a_r0" in rows[0]) == (
        reading == "generate",
        reading != "generate",
        reading == "letters",
    )
    if reading == "generate":
        assert [row["seed"] for row in rows[:: len(script.task.items)]] == list(STUDY.seeds) * 2
        assert {row["choice"] for row in rows} <= {UNPARSED, 0, 1, 2}
        assert found.texts is not None
        assert [row["text"] for row in rows[: len(script.task.items)]] == found.texts[:, 0].tolist()


def test_generated_letters_are_those_of_the_first_rotation() -> None:
    assert AS_SHOWN == {"A": 0, "B": 1, "C": 2}
    assert tuple(AS_SHOWN) == tuple(LETTERS)


def test_letters_of_several_tokens_are_refused_where_letters_are_read_alone(
    bbq: Bbq, tiny: dict[str, Path], tmp_path: Path
) -> None:
    from release.errors import UnusableBase

    folder = checkpoints.copy(tiny["llama"], tmp_path / "model")
    tokenizer = read_tokenizer(folder)
    tokenizer.add_tokens(["<assistant>A"])
    sample = draw(bbq[0], "4", 0)
    with pytest.raises(UnusableBase, match="--bbq-scoring answers"):
        prepare(sample, tokenizer, folder, "letters")
    assert prepare(sample, tokenizer, folder, "answers").asks
    assert prepare(sample, tokenizer, folder, "generate").sampling == STUDY
