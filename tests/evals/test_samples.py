"""The log in lm-evaluation-harness's per-sample form (as its version 0.4.13 writes `samples_*.jsonl`)."""

import hashlib
import json
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from release.evals.bbq.answers import UNPARSED, Answers, Task, by_answer
from release.evals.bbq.compare import BbqFacts, compare
from release.evals.bbq.items import Item
from release.evals.bbq.lm_eval_log import FILE_NAMES, INVALID, write_samples
from release.evals.bbq.prompts import ROTATIONS, Prompter
from release.evals.bbq.result import Bbq
from release.evals.bbq.sample import Sample, draw
from release.evals.engine.generate import STUDY
from release.models.load import read_tokenizer
from release.values import DataSource, Reading

pytestmark = pytest.mark.long  # three measured releases are made before the first test

READINGS: tuple[Reading, ...] = ("letters", "answers", "generate")
SIDES = ("dense", "pruned")
FORM = {
    "doc_id": int,
    "doc": dict,
    "target": str,
    "arguments": dict,
    "resps": list,
    "filtered_resps": list,
    "filter": str,
    "metrics": list,
    "doc_hash": str,
    "prompt_hash": str,
    "target_hash": str,
}
"""Key → type of one line, before the metrics."""
DOC = {
    "example_id": int,
    "question_index": str,
    "question_polarity": str,
    "context_condition": str,
    "category": str,
    "context": str,
    "question": str,
    "ans0": str,
    "ans1": str,
    "ans2": str,
    "label": int,
    "biased_answers": list,
}
"""The harness's `bbq` documents, without `answer_info` and `additional_metadata`."""


class Logged(NamedTuple):
    task: Task
    answers: dict[str, Answers]
    record: Bbq
    prompts: list[str]
    lines: dict[str, list[dict[str, Any]]]


def answered(items: tuple[Item, ...], reading: Reading, seed: int) -> Answers:
    """Answers at random, as the three readings leave them."""
    rng = np.random.default_rng(seed)
    if reading == "generate":
        choices = rng.integers(UNPARSED, 3, (len(items), len(STUDY.seeds)))
        texts = np.array([[f"said {choice}" for choice in row] for row in choices], dtype=object)
        return Answers(choices, None, None, texts, 0, 1.0)
    letters = rng.normal(-2, 1, (len(items), ROTATIONS, 3)).astype(np.float32)
    values = by_answer(letters)
    choices = values.argmax(axis=1)[:, None]
    return Answers(choices, values, letters if reading == "letters" else None, None, 0, 1.0)


@pytest.fixture(scope="module", params=READINGS)
def logged(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    bbq: tuple[tuple[Item, ...], DataSource],
    tiny: dict[str, Path],
) -> Logged:
    prompter = Prompter(read_tokenizer(tiny["llama"]))
    task = Task(draw(bbq[0], "200", 0), request.param, prompter.style)
    answers = {side: answered(task.items, request.param, seed) for seed, side in enumerate(SIDES)}
    sampling = STUDY if request.param == "generate" else None
    record = compare(task, *answers.values(), BbqFacts(bbq[1], sampling=sampling), 0)
    folder = tmp_path_factory.mktemp("log") / "evaluation"
    prompts = [prompter.text(item, 0) for item in task.items]
    write_samples(folder, task, *answers.values(), prompts)
    lines = {side: [json.loads(line) for line in (folder / FILE_NAMES[side]).open(encoding="utf-8")] for side in SIDES}
    return Logged(task, answers, record, prompts, lines)


def test_every_line_has_the_keys_and_types_of_the_harness(logged: Logged) -> None:
    for side in SIDES:
        assert [line["doc_id"] for line in logged.lines[side]] == list(range(len(logged.task.items)))
        for line in logged.lines[side]:
            assert {key: type(line[key]) for key in list(line)[: len(FORM)]} == FORM
            assert list(line)[len(FORM) :] == line["metrics"]
            assert {key: type(value) for key, value in line["doc"].items()} == DOC
            assert all(set(request) == {"arg_0", "arg_1"} for request in line["arguments"].values())
            assert len(line["arguments"]) == len(line["resps"]) == len(line["filtered_resps"])


def test_hashes_are_those_that_the_harness_takes(logged: Logged) -> None:
    for line, prompt in zip(logged.lines["dense"], logged.prompts, strict=True):
        texts = {
            "doc_hash": json.dumps(line["doc"], indent=2, ensure_ascii=False),
            "prompt_hash": prompt,
            "target_hash": line["target"],
        }
        for name, text in texts.items():
            assert line[name] == hashlib.sha256(text.encode()).hexdigest()
        assert line["arguments"]["gen_args_0"]["arg_0"] == prompt


def test_accuracy_taken_from_the_file_is_the_records(logged: Logged) -> None:
    for condition, name in (("ambig", "accuracy_ambiguous"), ("disambig", "accuracy_disambiguated")):
        [score] = [s for s in logged.record.scores if (s.name, s.over) == (name, "macro")]
        for side in SIDES:
            by_category = defaultdict(list)
            for line in logged.lines[side]:
                right, settled = line["accuracy_amb"]
                assert settled == (line["doc"]["context_condition"] == "disambig")
                if line["doc"]["context_condition"] == condition:
                    by_category[line["doc"]["category"]].append(line["acc"])
                    assert right == line["acc"]
            averages = [sum(values) / len(values) for values in by_category.values()]
            assert getattr(score, side).value == pytest.approx(sum(averages) / len(averages))
    assert logged.lines["dense"] != logged.lines["pruned"]


def test_the_answer_follows_from_the_filtered_responses(logged: Logged) -> None:
    for side in SIDES:
        choices = logged.answers[side].choices
        for line, chosen in zip(logged.lines[side], choices.tolist(), strict=True):
            if logged.task.reading == "generate":
                shown = [INVALID if choice == UNPARSED else line["doc"][f"ans{choice}"] for choice in chosen]
                assert line["filtered_resps"] == [shown]
                assert len(line["resps"][0]) == len(STUDY.seeds)
                found = [float(INVALID != text == line["doc"][f"ans{line['target']}"]) for text in shown]
                assert line["acc"] == pytest.approx(np.mean(found))
            else:
                values = [float(value) for value, greedy in line["filtered_resps"] if greedy == "None"]
                assert int(np.argmax(values)) == chosen[0]
                assert line["acc"] == float(chosen[0] == int(line["target"]))


@pytest.mark.parametrize("logged", ["letters"], indirect=True)
def test_letters_have_one_response_per_rotation_and_their_mean(logged: Logged) -> None:
    assert logged.answers["pruned"].letters is not None
    for line, letters in zip(logged.lines["pruned"], logged.answers["pruned"].letters, strict=True):
        assert [line["arguments"][f"gen_args_{i}"]["arg_1"] for i in range(3)] == ["A", "B", "C"]
        assert [float(turns[0][0]) for turns in line["resps"]] == letters[0].tolist()
        for turns, (mean, _) in zip(line["resps"], line["filtered_resps"], strict=True):
            assert np.mean([float(value) for value, _ in turns]) == pytest.approx(float(mean), abs=1e-5)


def test_an_item_without_target_has_no_bias_score(tmp_path: Path, bbq: tuple[tuple[Item, ...], DataSource]) -> None:
    item = next(item for item in bbq[0] if item.target is None)
    found = Answers(np.array([[item.label]]), np.zeros((1, 3), dtype=np.float32), None, None, 0, 1.0)
    write_samples(tmp_path, Task(Sample((item,), {item.category: 1}, None), "answers", "plain"), found, found, ["?"])
    line = json.loads((tmp_path / FILE_NAMES["dense"]).read_text(encoding="utf-8"))
    assert line["doc"]["biased_answers"] == []
    assert line["amb_bias_score"] == [1.0, None, None, item.condition == "disambig"]
