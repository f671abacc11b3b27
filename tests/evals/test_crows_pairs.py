"""CrowS-Pairs: sentences are read as a plain forward reads them, and every number follows from the pairs."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from release.card.metadata import front_matter
from release.card.render import render
from release.errors import BadOption, UnusableData
from release.evals.crows_pairs.claims import raised
from release.evals.crows_pairs.compare import LAYOUT, compare
from release.evals.crows_pairs.data import CORPUS, PAIRS, SentencePair
from release.evals.crows_pairs.result import CrowsPairs
from release.evals.crows_pairs.work import prepare
from release.evals.engine.subject import EvaluatedModel, Runtime
from release.evals.sentences.compare import AskedSentences, SentenceLikelihoods
from release.evals.work import EvalContext
from release.models.load import loaded, read_tokenizer
from release.progress import Console
from release.report import show_measurements
from release.settings.measuring import Measuring
from release.values import DataSource
from tests import checkpoints
from tests.commands import run
from tests.records import example_measurements, example_record

CPU = torch.device("cpu")
SOURCE = DataSource(name="CrowS-Pairs", origin="x", revision="y", licence="CC BY-SA 4.0", sha256="0")
SIZES = {
    "race-color": 516,
    "gender": 262,
    "socioeconomic": 172,
    "nationality": 159,
    "religion": 105,
    "age": 87,
    "sexual-orientation": 84,
    "physical-appearance": 63,
    "disability": 60,
}
SUMS = st.floats(-200, -1)
BOTH = st.integers(12, 40).flatmap(lambda n: st.tuples(*[st.lists(st.tuples(SUMS, SUMS), min_size=n, max_size=n)] * 2))


def asked(count: int, categories: int = 2) -> AskedSentences[SentencePair]:
    pairs = [SentencePair(number, f"kind-{number % categories}", "", "") for number in range(count)]
    return AskedSentences(pairs, SOURCE, 42, 1, "float32")


def found_of(dense: object, pruned: object) -> CrowsPairs:
    sums = [np.array(side, dtype=float) for side in (dense, pruned)]
    return compare(asked(len(sums[0])), *map(SentenceLikelihoods, sums))


@given(BOTH)
def test_scores_are_those_of_a_plain_loop_over_pairs(both):
    found, (dense, pruned) = found_of(*both), both
    prefers = [[float(more > less) for more, less in side] for side in (dense, pruned)]
    score = next(each for each in found.scores if (each.name, each.over) == ("pct_stereotype", "items"))
    assert score.dense.value == pytest.approx(sum(prefers[0]) / len(dense))
    assert score.pruned.value == pytest.approx(sum(prefers[1]) / len(pruned))
    changes = np.array(prefers[1]) - prefers[0]
    if np.ptp(changes):
        expected = stats.ttest_1samp(changes, 0).confidence_interval(0.95)
        assert (score.difference.low, score.difference.high) == pytest.approx((expected.low, expected.high))
    else:
        assert score.difference.low is None
    assert found.changed.count == int(np.abs(changes).sum())
    for each in found.scores:
        assert each.items == sum(each.over in ("items", f"kind-{n % 2}") for n in range(len(dense)))


def test_a_model_beside_itself_changes_nothing_and_this_is_sure_of_enough_pairs():
    few, sums = ([(-1.0, -2.0) if n % 3 else (-2.0, -1.0) for n in range(count)] for count in (60, 90))
    assert raised(None, example_measurements(crows_pairs=found_of(few, few))).verdict == "inconclusive"
    found = found_of(sums, sums)
    assert found.changed.count == 0
    assert all(score.difference.value == 0 and score.difference.low is None for score in found.scores)
    assert raised(None, example_measurements(crows_pairs=found)).verdict == "contradicted"


@pytest.mark.parametrize(
    ("dense", "pruned", "verdict"),
    [(0.5, 0.9, "supported"), (0.9, 0.5, "contradicted"), (0.1, 0.5, "inconclusive"), (0.5, 0.52, "inconclusive")],
)
def test_a_rise_is_claimed_only_beyond_half_and_beyond_doubt(dense, pruned, verdict):
    sides = [[(-1.0, -2.0) if n < share * 200 else (-2.0, -1.0) for n in range(200)] for share in (dense, pruned)]
    assert raised(None, example_measurements(crows_pairs=found_of(*sides))).verdict == verdict


def test_a_smaller_sample_is_a_part_of_a_larger_one_and_takes_from_every_category():
    pairs, data = CORPUS.read(Console())
    assert Counter(pair.category for pair in pairs) == SIZES
    assert (len(pairs), data.licence) == (PAIRS, "CC BY-SA 4.0")
    samples = [CORPUS.drawn(pairs, amount, 42) for amount in ("18", "90", "full")]
    assert [len(sample) for sample in samples] == [18, 90, PAIRS]
    assert set(samples[0]) < set(samples[1]) < set(samples[2])
    assert {pair.category for pair in samples[0]} == {pair.category for pair in pairs}
    for sample in samples[1:]:
        for name, count in Counter(pair.category for pair in sample).items():
            assert abs(count / len(sample) - SIZES[name] / PAIRS) < 0.02
    assert CORPUS.drawn(pairs, "90", 43) != samples[1]


@pytest.mark.parametrize("amount", ["many", "-3", "0", "", "٣", "9" * 5_000])
def test_an_amount_that_only_a_forged_record_holds_is_an_error_and_no_crash(amount):
    with pytest.raises(UnusableData, match="no number of items"):
        CORPUS.drawn(CORPUS.read(Console())[0], amount, 42)


@pytest.mark.parametrize("count", [12, pytest.param(200, marks=pytest.mark.long)])
def test_sentences_are_read_as_a_plain_forward_reads_them(count: int, tiny: dict[str, Path], console: Console) -> None:
    tokenizer = read_tokenizer(tiny["llama"])
    context = EvalContext(tiny["llama"], Measuring(crows_pairs=str(count)), CPU, tokenizer, console)
    task = prepare(context)
    assert task is not None
    with EvaluatedModel("dense", tiny["llama"], Runtime(CPU, torch.float32), console) as subject:
        read = task.read(subject)
    with loaded(tiny["llama"], CPU, torch.float32) as model, torch.no_grad():
        for index, prompt in enumerate(task.prompts):
            ids = torch.tensor([prompt])
            logs = torch.log_softmax(model(ids).logits[0, :-1].double(), dim=-1)
            total = float(logs.gather(1, ids[0, 1:, None]).sum())
            assert read.values[divmod(index, 2)] == pytest.approx(total, rel=1e-4)
    assert len(task.prompts) == 2 * count


def spoilt(rows: list[dict[str, object]], how: str) -> list[dict[str, object]]:
    return {
        "dropped": rows[1:],
        "twice": [rows[0], *rows[:-1]],
        "above 1": [{**rows[0], "more": 0.5}, *rows[1:]],
        "otherwise for the pruned": [*rows[:-1], {**rows[-1], "category": "x"}],
        "sides turned": rows[len(rows) // 2 :] + rows[: len(rows) // 2],
    }[how]


@pytest.mark.parametrize("how", ["dropped", "twice", "above 1", "otherwise for the pruned", "sides turned"])
def test_a_table_that_measuring_does_not_write_is_refused(tmp_path: Path, how: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sums = np.array([(-30.0 - n, -31.0) for n in range(14)])
    path = tmp_path / "crows_pairs.parquet"
    LAYOUT.write(path, asked(14).items, sums, sums - 1)
    again = LAYOUT.read(path.read_bytes(), 14)
    assert np.array_equal(again.dense, sums)
    assert np.array_equal(again.pruned, sums - 1)
    table = pq.read_table(path)
    pq.write_table(pa.Table.from_pylist(spoilt(table.to_pylist(), how), table.schema), path)
    with pytest.raises(UnusableData):
        LAYOUT.read(path.read_bytes(), 14)


def test_it_stands_on_card_and_front_matter_with_its_caution_and_its_papers():
    sides = [[(-1.0, -2.0) if n < share * 200 else (-2.0, -1.0) for n in range(200)] for share in (0.5, 0.9)]
    record = example_record(measurements=example_measurements(crows_pairs=found_of(*sides)))
    card = render(record)
    assert "### Stereotypes: CrowS-Pairs" in card
    assert "| All pairs | 200 | 0.50 | 0.90 | +0.40 |" in card
    assert "Blodgett et al. (2021) found pairs that name no stereotype" in card
    assert "CC BY-SA 4.0" in card
    assert "nangia-etal-2020-crows" in card
    assert "blodgett-etal-2021-stereotyping" in card
    assert "pct_stereotype" in json.dumps(front_matter(record))
    assert "CrowS" not in render(example_record())


def test_the_screen_tells_of_it_only_where_it_was_measured(capsys: pytest.CaptureFixture[str]) -> None:
    sums = [(-30.0 - n, -31.0 + n % 3) for n in range(60)]
    told = []
    for measured in (example_measurements(), example_measurements(crows_pairs=found_of(sums, sums))):
        show_measurements(measured, as_json=False)
        told.append(capsys.readouterr().out)
    assert ["crows" in each.lower() for each in told] == [False, True]


def test_a_release_that_measured_it_is_verified_by_computing_it_again(
    tiny: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = checkpoints.copy(tiny["llama"], tmp_path / "base")
    words = [
        "publish",
        str(base),
        "--method",
        "magnitude",
        "--sparsity",
        "0.9",
        "--local",
        "--out",
        str(tmp_path / "o"),
    ]
    assert run([*words, "--evals", "crows-pairs", "--crows-pairs", "24", "--device", "cpu"]) == 0
    [model] = (tmp_path / "o").glob("*/model")
    measured = json.loads((model / "release.json").read_text(encoding="utf-8"))
    assert measured["measurements"]["crows_pairs"]["pairs"] == 24
    assert measured["measurements"]["bbq"] is None
    capsys.readouterr()
    assert run(["verify", str(model), "--base", str(base), "--json"]) == 0
    checks = {check["name"]: check["ok"] for check in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["crows_pairs"] is True


@pytest.mark.parametrize(
    ("words", "on"),
    [
        ({}, {"bbq": "auto", "crows_pairs": "off", "perplexity": "32", "latency": "auto"}),
        ({"evals": ("perplexity",)}, {"bbq": "off", "crows_pairs": "off", "perplexity": "32", "latency": "off"}),
        ({"evals": ("bbq", "crows-pairs")}, {"bbq": "auto", "crows_pairs": "full", "perplexity": "off"}),
        ({"evals": ("crows-pairs",), "crows_pairs": "90"}, {"crows_pairs": "90", "bbq": "off"}),
    ],
)
def test_only_the_evaluations_that_are_named_run(words, on):
    measuring = Measuring.of(**words)
    assert {name: getattr(measuring, name) for name in on} == on
    assert measuring.evals == ()


@pytest.mark.parametrize(
    "words",
    [{"evals": ("bbq",), "bbq": "off"}, {"evals": ("bbq",), "perplexity": "8"}, {"evals": ("bbq",), "latency": "8"}],
)
def test_what_is_named_and_switched_off_or_asked_for_and_not_named_contradicts(words):
    with pytest.raises(BadOption, match="contradict"):
        Measuring.of(**words)
