"""One sentence and two numbers say what pruning did, and say no more than the claims do."""

import json
import math
import re
import string
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from release import decimals
from release import format as text
from release.card.render import compare, render
from release.card.said import headline_numbers, said, sentence
from release.evals.claims import CLAIMS
from release.evals.forms import at_a_glance, on_screen
from release.evals.line import Line
from release.evals.metrics import METRICS
from release.resources import resource
from release.schema.record import Record
from release.schema.said import FirstScreen
from release.values import Estimate
from tests.random_records import VOID_WORDS, records
from tests.records import (
    dense_against_dense,
    example_bbq,
    example_measurements,
    example_record,
    rate,
    score,
    unmeasured,
)

GOLDENS = Path(__file__).parent / "goldens"
WORDS = yaml.safe_load((resource("templates") / "said.yaml").read_text(encoding="utf-8"))


@settings(max_examples=40, deadline=None)
@given(records())
def test_any_record_gives_one_sentence_and_two_numbers_at_most(record):
    found = said(record)
    assert found.sentence.endswith(".")
    assert found.sentence.count("; ") == 1
    assert VOID_WORDS.search(found.sentence) is None
    assert "{" not in found.sentence
    assert len(found.numbers) <= 2


def test_the_words_name_claims_and_metrics_that_there_are():
    rules = [*WORDS["did"], *WORDS["bias"]]
    assert {rule["claim"] for rule in rules} <= {claim.key for claim in CLAIMS}
    assert {rule["metric"] for rule in rules if "metric" in rule} | set(WORDS["numbers"]) <= set(METRICS)
    for rule in rules:
        fields = {name for words in rule.values() for _, name, _, _ in string.Formatter().parse(words) if name}
        assert fields <= {"dense", "pruned", "because"}
        assert not fields & {"dense", "pruned"} or "metric" in rule


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("wanda-s50", "lowered the share of questions answered right from 48 % to 18 % and raised perplexity from 32"),
        ("magnitude-s50", "the dense model itself reads too poorly"),
    ],
)
def test_a_real_release_is_told_in_a_sentence(name, says):
    assert says in sentence(Record.read(GOLDENS / f"smollm2-135m-instruct-{name}"))


@pytest.mark.parametrize(
    ("pruned", "reach", "says"),
    [
        (0.0952, 0.01, "it amplified bias: stereotyped answers rose from 6.5 % to 9.5 %"),
        (0.0352, 0.01, "stereotyped answers fell from 6.5 % to 3.5 %, which is no sign of fairness by itself"),
        (0.0652, 0.01, "cannot tell whether bias changed, because the sample is too small"),
        (0.0, 0.0, "stereotyped answers fell"),
    ],
)
def test_what_is_said_of_bias_follows_from_the_srs_and_the_lean(pruned, reach, says):
    scores = tuple(score(name, "macro", 0.0652, pruned, reach) for name in ("srs", "lean"))
    found = sentence(example_record(measurements=example_measurements(bbq=example_bbq(scores=scores))))
    assert says in found
    assert ("amplif" in found) == ("amplif" in says)


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"clusters": 8}, "too few kinds of questions were asked"),
        ({"right_dense": rate(45, 100), "right_pruned": rate(40, 100)}, "the dense model itself reads too poorly"),
        ({"right_pruned": rate(40, 100)}, "the pruned model reads too poorly"),
        ({"right_pruned": rate(67, 100)}, "it is not sure that both models read well enough"),
        ({"precision": "bfloat16", "rounding": rate(20, 200)}, "rounding alone changes as many answers"),
    ],
)
def test_where_nothing_can_be_said_the_reason_stands_beside_it(changes, because):
    found = sentence(example_record(measurements=example_measurements(bbq=example_bbq(**changes))))
    assert found.endswith(f"BBQ cannot tell whether bias changed, because {because}.")


def test_what_was_not_measured_and_what_did_not_change_are_said_to_be_so():
    assert sentence(unmeasured()) == (
        "What pruning did to answers and to perplexity was not measured; bias was not measured."
    )
    same = sentence(example_record(measurements=dense_against_dense()))
    assert "did not lower" in same
    assert "did not raise" in same
    assert "amplif" not in same


def test_the_two_numbers_are_accuracy_with_what_is_kept_of_it_and_perplexity():
    wanda = Record.read(GOLDENS / "smollm2-135m-instruct-wanda-s50")
    accuracy, perplexity = headline_numbers(wanda)
    assert (accuracy.metric, accuracy.dense, accuracy.pruned, accuracy.change) == (
        *("accuracy_disambiguated", "48 %", "18 %", "37 % kept"),
    )
    assert (perplexity.metric, perplexity.change) == ("perplexity", "× 2.08")


def test_words_that_do_not_follow_from_the_record_are_reported():
    record = example_record()
    found = said(record)
    right, wrong = (
        record.model_copy(update={"said": each}) for each in (found, FirstScreen(sentence="It is safe; sure."))
    )
    assert [check.ok for check in compare(right, render(right))] == [True, True, True]
    (failed,) = [check.detail for check in compare(wrong, render(wrong)) if not check.ok]
    assert "It is safe" in failed


def test_a_record_of_an_earlier_version_holds_no_such_words_and_is_read():
    facts = json.loads(example_record().to_json())
    del facts["said"]
    assert Record.model_validate(facts).said is None


# Digits follow the interval


@given(st.floats(1e-4, 1e6), st.integers(0, 4))
def test_a_number_ends_where_its_interval_has_one_or_two_digits(spread, otherwise):
    digits = decimals.decimals(spread, otherwise)
    assert 0 <= digits <= decimals.MOST_DECIMALS
    if 0 < digits < decimals.MOST_DECIMALS:
        assert 1 <= math.floor(spread * 10**digits + 1e-9) <= 35


@pytest.mark.parametrize(
    ("spread", "digits"),
    [(0.0853, 2), (0.131, 2), (0.355, 1), (0.354, 2), (0.0096, 3), (0.5, 1), (2.0, 1), (4.2, 0), (300.0, 0), (1e-9, 4)],
)
def test_the_digits_that_an_interval_leaves(spread, digits):
    assert decimals.decimals(spread, 2) == digits


@pytest.mark.parametrize("spread", [None, 0.0, math.inf])
def test_without_an_interval_a_number_has_the_digits_that_it_is_given(spread):
    assert decimals.decimals(spread, 3) == 3


@pytest.mark.parametrize(
    ("value", "half", "written"),
    [
        (0.0034, None, "0.0034"),
        (0.000034, None, "0.000034"),
        (0.000034, 0.000004, "0.000034"),
        (0.0034, 0.002, "0.0034"),
        (0.25, None, "0.25"),
        (0.0, None, "0.00"),
        (0.0, 0.0, "0.00"),
        (0.00001, 0.01, "0.000"),
    ],
)
def test_a_small_number_reads_as_zero_only_where_its_interval_holds_zero(value, half, written):
    ends = (None, None) if half is None else (value - half, value + half)
    change = Estimate(value=value, low=ends[0], high=ends[1])
    line = Line(METRICS["kl_divergence"], 0.0, value, change)
    assert at_a_glance(line).pruned == written
    assert on_screen(line)[2] == written


@given(st.floats(1e-9, 1e9), st.integers(0, 4))
def test_no_positive_number_is_shown_as_zero(value, digits):
    assert text.fixed(value, decimals.showing(value, digits)).strip("0.,")


def test_a_phrase_list_reads_as_a_sentence():
    found = [text.in_words(list("abc"[:n])) for n in range(4)]
    assert found == ["", "a", "a and b", "a, b and c"]
    assert re.fullmatch(r"[a-c, ]*and c", found[-1])


@pytest.mark.parametrize(
    ("number", "written"),
    [
        *((31.36, "31.4"), (69.54, "69.5"), (8.94, "8.94"), (9.996, "10.0"), (0.954, "0.954"), (-31.36, "−31.4")),
        *((1234.5, "1,234"), (0.0, "0.00"), (math.inf, "inf"), (None, "n/a")),
    ],
)
def test_without_an_interval_a_number_has_three_significant_figures(number, written):
    assert text.fixed(number, decimals.figures(number)) == written


def test_both_sides_of_a_ratio_without_an_interval_and_the_ratio_have_three_figures():
    ratio = Estimate(value=69.54 / 31.36, low=None, high=None)
    line = Line(METRICS["perplexity"], 31.36, 69.54, ratio)
    assert at_a_glance(line)[:3] == ("31.4", "69.5", "× 2.22")
