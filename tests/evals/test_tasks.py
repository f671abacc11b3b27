"""Tasks of harnesses: logs are paired item by item or refused, and every number follows from the items."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from release.card.render import render
from release.errors import BadOption, UnusableData
from release.evals.tasks import archive as archive_of_tasks
from release.evals.tasks import inspect_log, lm_eval_results
from release.evals.tasks.again import again
from release.evals.tasks.archive import Archive
from release.evals.tasks.claims import CLAIMS
from release.evals.tasks.compare import compare
from release.evals.tasks.imported import read_pair
from release.evals.tasks.log import Log, pair
from release.evals.tasks.options import _tasks
from release.evals.tasks.result import Tasks
from release.evals.tasks.table import FILE_NAME, write_scores
from release.evals.tasks.work import ImportedTask
from release.outside import Unfit
from release.settings.measuring import Measuring
from release.values import Package, Score
from tests import harness_logs
from tests.commands import run
from tests.records import example_measurements, example_record

LOGS = Path(__file__).parent / "logs"
"""What inspect_ai 0.3.285 wrote of 16 sums, of a model that knows 12 and one that knows 8."""
HITS = st.lists(st.booleans(), min_size=14, max_size=40)
PAIRS = HITS.flatmap(
    lambda dense: st.tuples(st.just(dense), st.lists(st.booleans(), min_size=len(dense), max_size=len(dense)))
)
FACTS = {"imported": False, "harness": Package(name="lm_eval", version="0"), "precision": None, "sample_seed": None}


def logs_of(dense: Any, pruned: Any, passages: int = 0) -> list[Log]:
    """Two logs; each side is the scores of task `a`, or those of several by their names."""
    sides = (side if isinstance(side, dict) else {"a": side} for side in (dense, pruned))
    return [lm_eval_results.log_of(*harness_logs.log(side, passages), "x.json") for side in sides]


def found_of(dense: Any, pruned: Any, passages: int = 0) -> Tasks:
    logs = logs_of(dense, pruned, passages)
    return compare(pair(*logs), logs[0].groups, FACTS | {"seconds": 0.0})


def score_of(found: Tasks, over: str) -> Score:
    [score] = (each for each in found.scores if each.over == over)
    return score


@pytest.mark.long
@given(PAIRS)
def test_scores_of_independent_items_are_those_of_a_paired_t_test(both):
    dense, pruned = (np.array(side, dtype=float) for side in both)
    score = score_of(found_of(dense, pruned), "a")
    assert (score.dense.value, score.pruned.value) == pytest.approx((dense.mean(), pruned.mean()))
    assert score.difference.value == pytest.approx((pruned - dense).mean())
    if score.difference.low is not None:
        due = stats.ttest_1samp(pruned - dense, 0).confidence_interval(0.95)
        assert (score.difference.low, score.difference.high) == pytest.approx((due.low, due.high))
    if score.ratio and score.ratio.value:
        assert score.ratio.value == pytest.approx(pruned.mean() / dense.mean())


def test_items_about_one_passage_are_one_draw():
    rng = np.random.default_rng(7)
    dense, lost = np.ones((40, 3)), rng.random(40) < 0.3
    pruned = dense - lost[:, None]  # who loses a passage loses all of its items
    alone, together = (found_of(dense.ravel(), pruned.ravel(), each) for each in (0, 3))
    due = stats.ttest_1samp((pruned - dense).mean(axis=1), 0).confidence_interval(0.95)
    found = score_of(together, "a").difference
    assert (found.low, found.high) == pytest.approx((due.low, due.high))
    assert found.spread > 1.5 * score_of(alone, "a").difference.spread
    assert (together.runs[0].cluster, together.runs[0].clusters, alone.runs[0].clusters) == ("passage", 40, 120)


def test_a_group_is_the_mean_over_the_items_of_its_tasks_and_stands_for_them():
    rng = np.random.default_rng(3)
    sides = [{"a": rng.integers(0, 2, 30), "b": rng.integers(0, 2, 50)} for _ in range(2)]
    found = found_of(*sides)
    every = [np.concatenate([side["a"], side["b"]]) for side in sides]
    score = score_of(found, "all_of_them")
    assert (score.dense.value, score.pruned.value) == pytest.approx(tuple(each.mean() for each in every))
    variance = sum(
        (len(sides[0][n]) / 80) ** 2 * np.var(sides[1][n] - sides[0][n], ddof=1) / len(sides[0][n]) for n in "ab"
    )
    assert stats.t.ppf(0.975, score.difference.df) * variance**0.5 == pytest.approx(score.difference.spread)
    assert found.headlines == (score,)


def forge_of(*path: Any, value: Any) -> harness_logs.Forge:
    def forge(results: Any, _: Any) -> None:
        *places, last = path
        for place in places:
            results = results[place]
        results[last] = value

    return forge


def of_sample(**changes: Any) -> harness_logs.Forge:
    return lambda _, samples: samples["a"][3].update(changes)


def renamed(results: Any, samples: Any) -> None:
    samples["b"] = samples.pop("a")
    for each in (results[name] for name in ("results", "configs", "versions", "n-samples")):
        each["b"] = each.pop("a")


def shortened(results: Any, samples: Any) -> None:
    del samples["a"][12:]
    results["results"]["a"]["acc,none"] = sum(row["acc"] for row in samples["a"]) / 12
    results["config"]["limit"] = 12


REFUSED = {
    "another version of the task": (forge_of("versions", "a", value=2.0), "a is version 1.0 in one and 2.0"),
    "another version of the harness": (forge_of("lm_eval_version", value="0.4.9"), "lm_eval 0.4.13 and the other by"),
    "another template": (forge_of("configs", "a", "doc_to_text", value="Q: {{question}}"), "doc_to_text of a differ"),
    "more shots": (forge_of("configs", "a", "num_fewshot", value=5), "num_fewshot of a differ"),
    "a chat template": (forge_of("chat_template_sha", value="x"), "chat_template_sha of the run differ"),
    "a limit": (shortened, "limit of the run differ"),
    "other arithmetic": (
        forge_of("config", "model_dtype", value="torch.bfloat16"),
        "float32 and the other in bfloat16",
    ),
    "another text": (of_sample(doc_hash="0" * 64), "item 3 of a is not the same in both"),
    "another prompt": (of_sample(prompt_hash="0" * 64), "item 3 of a is not the same in both"),
    "another task": (renamed, "only one of them holds a; b"),
    "an item twice": (of_sample(doc_id=4), "holds an item of a twice"),
    "NaN": (of_sample(resps=[[["nan", "False"]]]), "holds NaN or an infinity for item 3 of a"),
    "a score that is not its items'": (forge_of("results", "a", "acc,none", value=0.99), "its items' mean is"),
    "no scores": (forge_of("results", "a", value={}), "no score of a that is the mean"),
    "no configs": (forge_of("configs", value=None), "is no results file"),
    "nonsense": (forge_of("n-samples", value=[1]), "is not what lm-evaluation-harness writes"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_logs_that_cannot_be_paired_are_refused_by_what_they_differ_in(name, tmp_path):
    made, (forge, words) = harness_logs.log({"a": [1, 0] * 10}), REFUSED[name]
    paths = harness_logs.write(tmp_path / "dense", made), harness_logs.write(tmp_path / "pruned", made, forge)
    with pytest.raises(UnusableData, match=words) as refused:
        read_pair(paths)
    assert refused.value.remedy


def test_samples_are_those_of_the_same_date_and_of_that_very_task(tmp_path):
    path = harness_logs.write(tmp_path, harness_logs.log({"arc": [1, 0] * 7, "arc_easy": [0, 1] * 8}))
    (tmp_path / "samples_arc_2020-01-01T00-00-00.0.jsonl").write_text("{}\n")
    assert {name: len(task.items) for name, task in lm_eval_results.read(path).tasks.items()} == {
        "arc": 14,
        "arc_easy": 16,
    }
    next(tmp_path.glob("samples_arc_2026*")).unlink()
    with pytest.raises(UnusableData, match="no samples of arc beside it"):
        lm_eval_results.read(path)


def test_a_log_beside_itself_is_refused_and_so_is_a_file_that_is_none(tmp_path):
    path = harness_logs.write(tmp_path, harness_logs.log({"a": [1, 0] * 10}))
    for pair_of, words in (((path, path), "given twice"), ((path, tmp_path / "x.json"), "missing")):
        with pytest.raises(UnusableData, match=words):
            read_pair(pair_of)
    with pytest.raises(UnusableData, match="no log that is known"):
        read_pair((path, Path(__file__)))


def test_a_log_of_inspect_ai_is_read_without_it():
    found = ImportedTask(read_pair((LOGS / "dense.eval", LOGS / "pruned.eval"))).compare(None, None)
    assert (found.harness.name, found.harness.version, found.imported) == ("inspect_ai", "0.3.285", True)
    [run_], [score] = found.runs, found.scores
    assert (run_.name, run_.version, run_.items, run_.cluster, run_.clusters) == ("sums", "2", 16, "passage", 8)
    assert (score.name, score.dense.value, score.pruned.value) == ("match", 0.75, 0.5)
    assert [log.name for log in found.logs] == ["dense.eval", "pruned.eval"]


def archive(path: Path, **members: Any) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, value in members.items():
            file.writestr(name.replace("__", "/"), value if isinstance(value, bytes) else json.dumps(value))
    return path


EVAL = {"task": "t", "packages": {"inspect_ai": "1"}}
SAMPLE = {"id": 0, "epoch": 1, "input": "x", "target": "y", "scores": {"match": {"value": "C"}}}
HEADER = {"status": "success", "eval": EVAL, "results": {"total_samples": 1, "scores": []}}
BROKEN = {
    "not finished": ({"header.json": HEADER | {"status": "cancelled"}, "samples__0.json": SAMPLE}, "was not finished"),
    "samples lacking": ({"header.json": HEADER}, "lacks samples"),
    "cut short": ({"header.json": HEADER, "samples__0.json": SAMPLE | {"limit": {"type": "token"}}}, "cut short: 0"),
    "failed": (
        {"header.json": HEADER, "samples__0.json": SAMPLE | {"error": {}} | {"error": {"message": "x"}}},
        "failed",
    ),
    "epochs": ({"header.json": HEADER, "samples__0.json": SAMPLE | {"epoch": 2}}, "several epochs"),
    "no score": ({"header.json": HEADER, "samples__0.json": SAMPLE | {"scores": {}}}, "no score"),
    "no header": ({"samples__0.json": SAMPLE}, "has no header.json"),
    "no JSON": ({"header.json": b"{"}, "is not JSON"),
    "a bomb": ({"header.json": b" " * 10_001}, "unpacks to more than"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_log_of_inspect_ai_that_is_unfinished_or_broken_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.setattr(archive_of_tasks, "LARGEST", 10_000)
    members, words = BROKEN[name]
    with pytest.raises(UnusableData, match=words):
        inspect_log.read(archive(tmp_path / "x.eval", **members))


@given(st.binary(max_size=200), st.integers(0, 2000))
def test_a_broken_archive_is_an_error_and_no_crash(noise, at):
    data = bytearray((LOGS / "dense.eval").read_bytes())
    at = len(data) - 1 - at
    data[at : at + len(noise)] = noise
    path = LOGS / "dense.eval"
    broken = io.BytesIO(bytes(data))
    try:
        with Archive(path) as kept:
            kept._file.close()
            kept._file = broken
            for name in kept.names[:3]:
                kept.read(name)
    except Unfit:
        pass


def test_numbers_follow_from_the_table_and_from_no_other(tmp_path):
    rng = np.random.default_rng(5)
    sides = [{"a": rng.integers(0, 2, 30), "b": rng.integers(0, 2, 40)} for _ in range(2)]
    logs = logs_of(*sides, passages=2)
    tasks, known = pair(*logs), found_of(*sides, passages=2)
    write_scores(tmp_path / FILE_NAME, tasks)
    data = (tmp_path / FILE_NAME).read_bytes()
    assert again(known, data) == known
    write_scores(tmp_path / "again", tasks)
    assert (tmp_path / "again").read_bytes() == data
    tasks[0].pruned["acc"][0] = 1 - tasks[0].pruned["acc"][0]
    write_scores(tmp_path / "forged", tasks)
    assert again(known, (tmp_path / "forged").read_bytes()).scores != known.scores
    fewer = known.model_copy(update={"runs": (known.runs[0].model_copy(update={"items": 29}), known.runs[1])})
    with pytest.raises(UnusableData):
        again(fewer, data)
    with pytest.raises(UnusableData, match="rows where"):
        again(known.model_copy(update={"runs": known.runs[:1], "groups": ()}), data)


RIGHT = [1.0] * 80 + [0.0] * 20
VERDICTS = {
    "lost": (RIGHT, [1.0] * 50 + [0.0] * 50, {}, "supported", "lost on a acc 0.8000 → 0.5000"),
    "gained": ([1.0] * 50 + [0.0] * 50, RIGHT, {}, "contradicted", "accuracy: a"),
    "alike": (RIGHT, RIGHT, {}, "inconclusive", "accuracy: a"),
    "guesses": ([1.0] * 25 + [0.0] * 75, [0.0] * 100, {}, "inconclusive", "no better than guessing"),
    "imported": (RIGHT, [1.0] * 50 + [0.0] * 50, {"imported": True}, "inconclusive", "the answers were imported"),
}


@pytest.mark.parametrize("name", VERDICTS)
def test_a_capability_is_lost_where_one_task_falls_beyond_doubt_and_was_there_to_lose(name):
    dense, pruned, changes, verdict, words = VERDICTS[name]
    found = found_of(dense, pruned).model_copy(update=changes)
    decided = CLAIMS[0].found(None, example_measurements(tasks=found))
    assert decided.verdict == verdict
    assert words in decided.evidence


def test_of_many_tasks_a_fall_counts_after_holm_over_all_of_them():
    rng = np.random.default_rng(1)
    dense = {f"t{n}": (rng.random(200) < 0.8).astype(float) for n in range(30)}
    fallen = dense["t0"].copy()
    fallen[np.flatnonzero(fallen)[:6]] = 0  # p is 0.014 alone, and 0.4 among thirty
    pruned = {name: rng.permutation(side) for name, side in dense.items()} | {"t0": fallen}
    alone, among = (
        CLAIMS[0].found(None, example_measurements(tasks=found_of(*sides).model_copy(update={"groups": ()})))
        for sides in (({"t0": dense["t0"]}, {"t0": fallen}), (dense, pruned))
    )
    assert (alone.verdict, among.verdict) == ("supported", "inconclusive")
    assert 0.01 < alone.p_value < 0.02


def test_a_card_says_what_was_imported_and_what_was_cut_short():
    found = found_of(RIGHT, [1.0] * 70 + [0.0] * 30)
    run_ = found.runs[0].model_copy(update={"taken": "first", "of": 2376})
    card = render(example_record(measurements=example_measurements(tasks=found)))
    assert "Task accuracy, a (acc)" in card
    assert "Imported, not measured here" not in card
    assert "Cut short" not in card
    changed = found.model_copy(update={"runs": (run_,), "imported": True})
    card = render(example_record(measurements=example_measurements(tasks=changed)))
    assert "**Imported, not measured here.**" in card
    assert "a was asked 100 of 2,376 items, its first ones, by the harness’s limit" in card.replace("\u00a0", " ")


@pytest.mark.long
def test_imported_logs_are_measured_by_the_command(release, base_folders, tmp_path, capsys):
    sides = [harness_logs.log({"a": side}) for side in (RIGHT, [1.0] * 50 + [0.0] * 50)]
    paths = [str(harness_logs.write(tmp_path / str(n), each)) for n, each in enumerate(sides)]
    command = ["measure", str(release), "--base", str(base_folders["llama"]), "--bbq", "off", "--perplexity", "off"]
    assert (
        run([*command, "--latency", "off", "--import-lm-eval", *paths, "--out", str(tmp_path / "out"), "--json"]) == 0
    )
    found = json.loads(capsys.readouterr().out)["tasks"]
    assert (found["imported"], found["scores"][0]["difference"]["value"]) == (True, pytest.approx(-0.3))
    assert (tmp_path / "out" / "evaluation" / FILE_NAME).is_file()


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"tasks": "a", "import_lm_eval": (Path("x"), Path("y"))}, "exclude each other"),
        ({"tasks_limit": 3}, "no --tasks"),
        ({"tasks_path": Path()}, "no --tasks"),
    ],
)
def test_options_that_contradict_each_other_are_refused(asked, words):
    with pytest.raises(BadOption, match=words):
        Measuring.of(**asked)


@pytest.mark.parametrize("text", ["", ",", "a,a", "a,off", "../x", "a/b", "é", "a" * 201])
def test_names_of_tasks_that_are_none_are_refused(text):
    with pytest.raises(BadOption, match="not understood"):
        _tasks(text)
