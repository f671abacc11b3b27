"""A claim follows from its own evidence, at every boundary."""

import re
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings

from release.claims import CLAIMS, HALF_WAY, decide, wording
from release.measure.answers import Answers, Task
from release.measure.compare import compare
from release.measure.sample import draw
from release.measurements import Estimate, Mcnemar, Measurements, Rate, Score, Storage
from release.progress import Console
from release.record import Audit, Verdict
from release.sources.bbq import read_bbq
from tests.random_records import audits, measurements
from tests.records import (
    dense_against_dense,
    estimate,
    example_audit,
    example_bbq,
    example_latency,
    example_measurements,
    example_perplexity,
    example_record,
    rate,
    score,
)

VERDICTS: tuple[Verdict, ...] = ("supported", "contradicted", "inconclusive", "not measured")
NOTHING = example_measurements(bbq=None, perplexity=None, latency=None)


def verdict(key: str, measured: Measurements | None = None, audit: Audit | None = None) -> Verdict:
    claims = decide(audit or example_audit(), measured or example_measurements())
    return {claim.key: claim for claim in claims}[key].verdict


def between(low: float | None, high: float | None) -> Estimate:
    value = None if low is None or high is None else (low + high) / 2
    return Estimate(value=value, low=low, high=high)


def with_score(name: str, over: str = "macro", **parts: Estimate) -> Measurements:
    """Measurements with one BBQ score whose parts are as given."""
    return example_measurements(bbq=example_bbq(scores=(score(name, over, 0.1, 0.1).model_copy(update=parts),)))


@pytest.mark.parametrize(
    ("low", "high", "amplified", "reduced"),
    [
        (0.001, 0.02, "supported", "contradicted"),
        (0.0, 0.02, "inconclusive", "contradicted"),
        (-0.01, 0.01, "inconclusive", "inconclusive"),
        (-0.02, 0.0, "contradicted", "inconclusive"),
        (-0.02, -0.001, "contradicted", "supported"),
        (0.0, 0.0, "contradicted", "contradicted"),
        (None, None, "inconclusive", "inconclusive"),
    ],
)
def test_bias_is_decided_by_the_interval_of_the_srs_difference(low, high, amplified, reduced):
    measured = with_score("srs", difference=between(low, high))
    assert verdict("bias_amplified", measured) == amplified
    assert verdict("bias_reduced", measured) == reduced


def test_the_item_weighted_score_decides_nothing():
    assert verdict("bias_amplified", with_score("srs", "items", difference=between(0.1, 0.2))) == "not measured"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(-0.2, -0.1, "supported"), (-0.2, 0.0, "inconclusive"), (0.0, 0.1, "contradicted"), (-0.1, 0.1, "inconclusive")],
)
def test_accuracy_is_lost_where_its_difference_lies_below_nil(low, high, expected):
    assert verdict("accuracy_lost", with_score("accuracy_disambiguated", difference=between(low, high))) == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(1.01, 1.2, "supported"), (1.0, 1.2, "inconclusive"), (0.9, 1.0, "contradicted"), (None, None, "inconclusive")],
)
def test_perplexity_is_raised_where_its_ratio_lies_above_one(low, high, expected):
    measured = example_measurements(perplexity=example_perplexity(ratio=between(low, high)))
    assert verdict("perplexity_raised", measured) == expected


@pytest.mark.parametrize(
    ("srs", "reach", "ratio", "ratio_reach", "expected"),
    [
        ((0.05, 0.09), 0.01, 1.035, 0.01, "supported"),
        ((0.05, 0.09), 0.01, 0.9, 0.01, "supported"),
        ((0.05, 0.051), 0.0001, 1.5, 0.01, "contradicted"),
        ((0.05, 0.05), 0.0, 1.5, 0.01, "contradicted"),
        ((0.05, 0.04), 0.001, 1.5, 0.01, "contradicted"),
        ((0.05, 0.06), 0.02, 1.035, 0.01, "inconclusive"),
        ((0.05, 0.09), 0.01, 1.005, 0.01, "inconclusive"),
        ((0.0, 0.09), 0.01, 1.035, 0.01, "inconclusive"),
    ],
)
def test_the_paradox_needs_two_changes_and_the_larger_rise_in_srs(srs, reach, ratio, ratio_reach, expected):
    measured = example_measurements(
        bbq=example_bbq(scores=(score("srs", "macro", *srs, reach=reach),)),
        perplexity=example_perplexity(ratio=estimate(ratio, ratio_reach)),
    )
    assert verdict("perplexity_hides_bias", measured) == expected


def paradox(srs: tuple[float, float], reach: float, ratio: float, *others: Score) -> str:
    """The evidence on the paradox for these changes; the ratio of perplexities has an interval of ± 0.01."""
    measured = example_measurements(
        bbq=example_bbq(scores=(score("srs", "macro", *srs, reach=reach), *others)),
        perplexity=example_perplexity(ratio=estimate(ratio, 0.01)),
    )
    return {claim.key: claim for claim in decide(example_audit(), measured)}["perplexity_hides_bias"].evidence


def test_the_paradox_sets_three_changes_beside_each_other():
    evidence = paradox((0.0652, 0.1198), 0.01, 1.035, score("s_amb", "macro", 0.03, 0.07))
    assert evidence.startswith(
        "SRS +83.7 %, difference +0.0446 to +0.0646; s_AMB +0.0400, difference +0.0300 to +0.0500"
    )
    assert "; perplexity +3.5 %, ratio 1.0250 to 1.0450; " in evidence
    assert "s_AMB" not in paradox((0.0652, 0.1198), 0.01, 1.035)


@pytest.mark.parametrize(
    ("srs", "reach", "ratio", "times"),
    [
        ((0.0652, 0.1198), 0.01, 1.035, "23.9"),  # 0.8374 / 0.035
        ((0.05, 0.04), 0.001, 1.5, "−0.4"),
        ((0.05, 0.09), 0.01, 0.9, "−8.0"),
        ((0.05, 0.06), 0.02, 1.035, None),  # SRS may not have moved
        ((0.05, 0.09), 0.01, 1.005, None),  # perplexity may not have moved
        ((0.0, 0.09), 0.01, 1.035, None),  # no share of nothing
        ((0.05, 0.05), 0.0, 1.5, None),
    ],
)
def test_how_many_times_is_said_only_of_two_changes_that_are_there(srs, reach, ratio, times):
    found = re.search(r"relative change of SRS over that of perplexity (\S+)$", paradox(srs, reach, ratio))
    assert (found and found[1]) == times


@pytest.mark.parametrize("missing", ["bbq", "perplexity"])
def test_the_paradox_is_not_measured_where_one_half_is_missing(missing):
    assert verdict("perplexity_hides_bias", example_measurements(**{missing: None})) == "not measured"


@pytest.mark.parametrize(
    ("low", "high", "no_gain", "unchanged"),
    [
        (0.99, 1.01, "supported", "supported"),
        (0.951, 1.2, "supported", "inconclusive"),
        (1.06, 1.2, "supported", "contradicted"),
        (0.94, 1.01, "inconclusive", "inconclusive"),
        (0.95, 1.05, "inconclusive", "supported"),
        (0.8, 0.94, "contradicted", "contradicted"),
        (0.8, 0.95, "contradicted", "inconclusive"),
    ],
)
def test_latency_is_decided_against_its_margin(low, high, no_gain, unchanged):
    measured = example_measurements(latency=example_latency(ratio=between(low, high), margin=0.05))
    assert verdict("no_latency_gain", measured) == no_gain
    assert verdict("latency_unchanged", measured) == unchanged


@pytest.mark.parametrize(("pruned", "expected"), [(100, "supported"), (101, "supported"), (99, "contradicted")])
def test_storage_is_decided_by_bytes(pruned, expected):
    measured = example_measurements(storage=Storage(dense_bytes=100, pruned_bytes=pruned))
    assert verdict("no_storage_gain", measured) == expected


@pytest.mark.parametrize(
    ("sparsity", "prunable", "zeros", "expected"),
    [
        ("0.1", 3_623_878_656, 362_387_866, "supported"),
        ("0.1", 3_623_878_656, 362_393_298, "contradicted"),
        ("0.5", 3_623_878_656, 1_207_959_552, "contradicted"),
        ("0.5", 3, 2, "supported"),
        ("0.5", 3, 1, "contradicted"),
    ],
)
def test_counts_are_as_targeted_to_the_last_weight(sparsity, prunable, zeros, expected):
    audit = example_audit(target_sparsity=Decimal(sparsity), prunable_parameters=prunable, zeroed_parameters=zeros)
    assert verdict("counts_as_targeted", audit=audit) == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.36, 0.57, "supported"),
        (0.36, HALF_WAY, "inconclusive"),
        (HALF_WAY, 0.9, "contradicted"),
        (None, None, "inconclusive"),
    ],
)
def test_a_reader_is_weak_below_half_way_from_guessing(low, high, expected):
    assert verdict("weak_reader", with_score("accuracy_disambiguated", dense=between(low, high))) == expected


@pytest.mark.parametrize(
    ("letters", "items", "expected"),
    [
        ((176, 12, 12), 200, "supported"),
        ((75, 74, 51), 200, "inconclusive"),
        ((334, 333, 333), 1000, "contradicted"),
        ((3, 0, 0), 1, "inconclusive"),
        ((0, 0, 0), 0, "inconclusive"),
    ],
)
@pytest.mark.parametrize("side", ["letters_dense", "letters_pruned"])
def test_a_letter_is_preferred_where_its_share_is_surely_above_a_third(letters, items, expected, side):
    even = {"letters_dense": (0, 0, 0), "letters_pruned": (0, 0, 0)}
    measured = example_measurements(bbq=example_bbq(**even | {side: letters, "items": items}))
    assert verdict("position_bias", measured) == expected


@pytest.mark.parametrize("side", ["letters_dense", "letters_pruned"])
def test_preference_for_a_letter_is_not_measured_where_letters_are_not_read(side):
    assert verdict("position_bias", example_measurements(bbq=example_bbq(**{side: None}))) == "not measured"


CHANGES = ("bias_amplified", "bias_reduced", "accuracy_lost", "perplexity_raised", "perplexity_hides_bias")


@pytest.mark.parametrize("key", CHANGES)
def test_a_model_against_itself_supports_no_claim_of_a_change(key):
    assert verdict(key, dense_against_dense()) == "contradicted"


def test_what_was_switched_off_is_not_measured():
    undecided = {claim.key for claim in decide(example_audit(), NOTHING) if claim.verdict == "not measured"}
    assert undecided == {claim.key for claim in CLAIMS} - {"no_storage_gain", "counts_as_targeted"}


@settings(max_examples=40, deadline=None)
@given(audits(), measurements())
def test_every_evidence_decides_every_claim_in_one_line(audit, measured):
    found = decide(audit, measured)
    assert [claim.key for claim in found] == [claim.key for claim in CLAIMS]
    assert all(claim.evidence and "\n" not in claim.evidence and "None" not in claim.evidence for claim in found)


def test_every_claim_has_a_title_and_a_sentence_of_its_own_for_every_verdict():
    assert set(wording()) == {claim.key for claim in CLAIMS}
    for claim in CLAIMS:
        assert set(wording()[claim.key]) == {"title", *VERDICTS}
        assert len({claim.says(each) for each in VERDICTS}) == len(VERDICTS)


@pytest.mark.parametrize("path", sorted({field for claim in CLAIMS for field in claim.fields}))
def test_every_claim_names_fields_that_exist(path):
    whole, _, chosen = path.partition("[")
    found: object = example_record()
    for name in whole.split("."):
        found = getattr(found, name)
    if chosen:
        wanted = tuple(chosen.rstrip("]").split(", "))
        assert wanted in {(score.name, score.over) for score in found}


BIAS_CLAIMS = ("bias_amplified", "bias_reduced", "perplexity_hides_bias")


def read_by(accuracy: float, change: float, changed: int = 13) -> Measurements:
    """Measurements in which SRS moved by `change`, beyond doubt, and the dense model reads with this accuracy."""
    scores = (score("srs", "macro", 0.3, 0.3 + change), score("accuracy_disambiguated", "macro", accuracy, accuracy))
    rate = example_bbq().changed_answers.model_copy(update={"count": changed})
    return example_measurements(bbq=example_bbq(scores=scores, changed_answers=rate))


@pytest.mark.parametrize("change", [-0.2, 0.2])
@pytest.mark.parametrize("key", BIAS_CLAIMS)
def test_no_verdict_on_bias_comes_from_a_weak_reader(key, change):
    assert verdict(key, read_by(0.9, change)) in ("supported", "contradicted")
    assert verdict(key, read_by(0.45, change)) == "inconclusive"


def test_where_no_answer_changed_even_a_weak_reader_shows_no_change():
    exact = estimate(0.0, 0)
    measured = read_by(0.45, 0.0, changed=0)
    scores = tuple(s.model_copy(update={"difference": exact}) for s in measured.bbq.scores)
    same = measured.model_copy(update={"bbq": measured.bbq.model_copy(update={"scores": scores})})
    assert verdict("bias_amplified", same) == verdict("bias_reduced", same) == "contradicted"


def test_a_weak_reader_is_named_in_the_evidence():
    claims = {c.key: c for c in decide(example_audit(), read_by(0.45, -0.2))}
    assert "45.0 %" in claims["bias_reduced"].evidence


ROUNDED = (*BIAS_CLAIMS, "accuracy_lost")


def changed(rate: Rate, rounding: Rate | None) -> Measurements:
    """Measurements by a good reader whose SRS rose and accuracy fell, both beyond doubt."""
    scores = (score("srs", "macro", 0.3, 0.5), score("accuracy_disambiguated", "macro", 0.9, 0.7))
    found = example_bbq(scores=scores, changed_answers=rate, rounding=rounding, precision="bfloat16")
    return example_measurements(bbq=found)


@pytest.mark.parametrize(
    ("rounding", "decided"),
    [
        (None, True),  # float32
        (rate(2, 100), True),  # to 5 %, below 7 %
        (rate(4, 100), False),  # to 7 %: no more than touches
        (rate(10, 100), False),
        (rate(40, 100), False),
        (rate(0, 0), False),  # nothing was read twice, so the floor is not known
    ],
)
@pytest.mark.parametrize("key", ROUNDED)
def test_no_verdict_rests_on_no_more_changes_than_rounding_makes(key, rounding, decided):
    measured = changed(Rate(count=20, n=200, value=0.1, low=0.07, high=0.13), rounding)
    claim = {claim.key: claim for claim in decide(example_audit(), measured)}[key]
    assert (claim.verdict in ("supported", "contradicted")) == decided
    assert ("rounding" in claim.evidence) == (not decided)
    if not decided:
        assert claim.verdict == "inconclusive"
        assert "in bfloat16, rounding alone changes" in claim.evidence


@pytest.mark.parametrize(("clusters", "count", "decided"), [(6, 150, 0), (19, 150, 0), (20, 150, 1), (6, 0, 1)])
@pytest.mark.parametrize("key", ROUNDED)
def test_no_verdict_rests_on_few_question_templates_unless_no_answer_changed(key, clusters, count, decided):
    measured = changed(rate(count, 200), None)
    few = measured.model_copy(update={"bbq": measured.bbq.model_copy(update={"clusters": clusters})})
    claim = {claim.key: claim for claim in decide(example_audit(), few)}[key]
    assert (claim.verdict in ("supported", "contradicted")) == bool(decided)
    assert (f"{clusters} question templates" in claim.evidence) == (not decided)


@pytest.mark.parametrize("key", ["perplexity_raised", "no_latency_gain", "weak_reader", "position_bias"])
def test_rounding_of_answers_decides_no_other_claim(key):
    coarse, fine = (changed(rate(20, 200), floor) for floor in (rate(40, 100), None))
    assert verdict(key, coarse) == verdict(key, fine)


@pytest.mark.parametrize("key", CHANGES)
def test_a_model_against_itself_supports_no_claim_in_any_precision(key):
    measured = dense_against_dense()
    coarse = measured.bbq.model_copy(update={"rounding": rate(20, 60), "precision": "bfloat16"})
    assert verdict(key, measured.model_copy(update={"bbq": coarse})) == "contradicted"


def test_a_measured_model_against_itself_supports_no_claim_of_a_change():
    """The same, of answers that are scored here rather than of a record written by hand."""
    population, data = read_bbq(None, Console())
    items = draw(population, "440", 0)
    choices = np.random.default_rng(0).integers(-1, 3, size=(440, 5))
    answers = Answers(choices, None, None, None, recalled=0, seconds=1.0)
    found = compare(Task(items, "generate", "chat"), answers, answers, data, 0, rate(9, 60), "bfloat16", None)
    assert found.right_answers == Mcnemar(only_dense_right=0, only_pruned_right=0, p_value=1)
    measured = dense_against_dense().model_copy(update={"bbq": found})
    assert {key: verdict(key, measured) for key in CHANGES} == dict.fromkeys(CHANGES, "contradicted")
