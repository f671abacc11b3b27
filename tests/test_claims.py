"""A claim follows from its own evidence, at every boundary."""

import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from scipy import stats

from release.card.render import render
from release.evals.bbq.answers import Answers, Task
from release.evals.bbq.compare import BbqFacts, compare
from release.evals.bbq.data import read_bbq
from release.evals.bbq.rules import LEAN_MARGIN, STUCK
from release.evals.bbq.sample import draw
from release.evals.claims import CLAIMS, HALF_WAY, across, decide, wording
from release.evals.engine.statistics import clustered_wilson
from release.evals.latency.result import Load
from release.evals.registry import BY_KEY
from release.evals.storage.result import Storage
from release.progress import Console
from release.schema.measurements import Measurements
from release.schema.record import Audit, Verdict
from release.values import Estimate, Rate, Score
from tests.random_records import audits, measurements
from tests.records import (
    dense_against_dense,
    estimate,
    example_audit,
    example_bbq,
    example_latency,
    example_measurements,
    example_mlx_latency,
    example_perplexity,
    example_record,
    rate,
    score,
)

VERDICTS: tuple[Verdict, ...] = ("supported", "contradicted", "inconclusive", "not measured")
NOTHING = example_measurements(bbq=None, perplexity=None, latency=None)


def verdict(key: str, measured: Measurements | None = None, audit: Audit | None = None) -> Verdict:
    """What the claim's own interval and its guards say, before it is adjusted for the other questions of a card."""
    claim = {claim.key: claim for claim in CLAIMS}[key]
    return claim.found(audit or example_audit(), measured or example_measurements()).verdict


def decided(measured: Measurements) -> dict[str, Verdict]:
    return {claim.key: claim.verdict for claim in decide(example_audit(), measured)}


def between(low: float | None, high: float | None) -> Estimate:
    value = None if low is None or high is None else (low + high) / 2
    return Estimate(value=value, low=low, high=high)


def with_scores(*scores: Score) -> Measurements:
    return example_measurements(bbq=example_bbq(scores=scores))


def moved(name: str, low: float | None, high: float | None, over: str = "macro") -> Score:
    """A score whose difference has this interval."""
    return score(name, over, 0.1, 0.1).model_copy(update={"difference": between(low, high)})


def with_score(name: str, over: str = "macro", **parts: Estimate) -> Measurements:
    """Measurements with one BBQ score whose parts are as given."""
    return with_scores(score(name, over, 0.1, 0.1).model_copy(update=parts))


UP, DOWN, UNSURE, NONE = (0.001, 0.02), (-0.02, -0.001), (-0.01, 0.01), (None, None)


@pytest.mark.parametrize(
    ("lean", "srs", "amplified", "reduced"),
    [
        (UP, UP, "supported", "contradicted"),
        (UP, UNSURE, "inconclusive", "contradicted"),
        (UP, DOWN, "contradicted", "contradicted"),
        (UNSURE, UP, "inconclusive", "contradicted"),  # says "unknown" less often: no amplification by that alone
        (UNSURE, UNSURE, "inconclusive", "inconclusive"),
        (UNSURE, DOWN, "contradicted", "inconclusive"),
        (DOWN, UP, "contradicted", "contradicted"),
        (DOWN, DOWN, "contradicted", "supported"),
        ((0.0, 0.02), UP, "inconclusive", "contradicted"),
        ((-0.02, 0.0), UP, "contradicted", "contradicted"),
        (UP, (0.0, 0.02), "inconclusive", "contradicted"),
        (NONE, UP, "inconclusive", "contradicted"),
        (NONE, NONE, "inconclusive", "inconclusive"),
    ],
)
def test_bias_moves_where_srs_moves_and_gains_on_anti_stereotyped_answers(lean, srs, amplified, reduced):
    measured = with_scores(moved("lean", *lean), moved("srs", *srs))
    assert verdict("bias_amplified", measured) == amplified
    assert verdict("bias_reduced", measured) == reduced


def test_a_record_without_the_lean_has_it_as_s_amb():
    assert verdict("bias_amplified", with_scores(moved("s_amb", *UP), moved("srs", *UP))) == "supported"


def test_the_item_weighted_score_decides_nothing():
    measured = with_scores(moved("lean", *UP, over="items"), moved("srs", *UP, over="items"))
    assert verdict("bias_amplified", measured) == "not measured"


@pytest.mark.parametrize(
    ("interval", "less"), [(DOWN, "supported"), (UNSURE, "inconclusive"), (UP, "contradicted"), (NONE, "inconclusive")]
)
def test_unknown_less_often_is_a_claim_of_its_own(interval, less):
    assert verdict("unknown_less", with_scores(moved("usr", *interval))) == less


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-LEAN_MARGIN, LEAN_MARGIN, "supported"),
        (-LEAN_MARGIN - 0.001, LEAN_MARGIN, "inconclusive"),
        (LEAN_MARGIN + 0.001, 0.2, "contradicted"),
        (-0.2, -LEAN_MARGIN - 0.001, "contradicted"),
        (None, None, "inconclusive"),
    ],
)
def test_leaning_neither_way_has_to_be_shown_by_the_whole_interval(low, high, expected):
    assert verdict("leans_neither_way", with_scores(moved("lean", low, high))) == expected


@pytest.mark.parametrize(
    ("interval", "amplified", "reduced"),
    [
        (UP, "supported", "contradicted"),
        (DOWN, "contradicted", "supported"),
        (UNSURE, "inconclusive", "inconclusive"),
        (NONE, "inconclusive", "inconclusive"),
    ],
)
def test_bias_where_the_text_settles_the_answer_is_s_dis(interval, amplified, reduced):
    measured = with_scores(moved("s_dis", *interval))
    assert verdict("settled_bias_amplified", measured) == amplified
    assert verdict("settled_bias_reduced", measured) == reduced


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


def growth(value: float, low: float, high: float, df: float | None = None) -> Estimate:
    return Estimate(value=value, low=low, high=high, df=df)


def paradox(srs: Estimate | None, perplexity: Estimate, lean: tuple[float | None, float | None] = UP) -> Measurements:
    """SRS surely rose; `srs` and `perplexity` are pruned / dense."""
    risen = score("srs", "macro", 0.05, 0.05 * (srs.value if srs else 1.5), reach=0.001)
    return example_measurements(
        bbq=example_bbq(scores=(risen.model_copy(update={"ratio": srs}), moved("lean", *lean))),
        perplexity=example_perplexity(ratio=perplexity),
    )


@pytest.mark.parametrize(
    ("srs", "perplexity", "lean", "expected"),
    [
        (growth(1.8, 1.5, 2.2), growth(1.035, 1.025, 1.045), UP, "supported"),
        (growth(1.8, 1.5, 2.2), growth(1.0, 0.99, 1.01), UP, "supported"),  # perplexity did not move at all
        (growth(1.8, 1.0, 3.2), growth(1.035, 1.025, 1.045), UP, "inconclusive"),  # two points would have said yes
        (growth(1.8, 1.5, 2.2), growth(1.7, 1.6, 1.8), UP, "inconclusive"),
        (growth(1.1, 1.05, 1.15), growth(1.5, 1.4, 1.6), UP, "contradicted"),
        (growth(1.8, 1.5, 2.2), growth(1.035, 1.025, 1.045), UNSURE, "inconclusive"),  # only "unknown" less often
        (growth(1.8, 1.5, 2.2), growth(1.035, 1.025, 1.045), DOWN, "contradicted"),
        (None, growth(1.035, 1.025, 1.045), UP, "inconclusive"),
    ],
)
def test_the_paradox_is_decided_by_the_interval_of_what_srs_outgrew_perplexity_by(srs, perplexity, lean, expected):
    assert verdict("perplexity_hides_bias", paradox(srs, perplexity, lean)) == expected


def test_two_growths_are_set_against_each_other_by_their_logarithms():
    """Standard errors of 0.1 and 0.05 on 10 and 30 degrees of freedom, by Welch."""
    from release.evals.claims.spanning import outgrown

    def made(value: float, error: float, df: int) -> Estimate:
        reach = float(np.exp(stats.t.ppf(0.975, df) * error))
        return growth(value, value / reach, value * reach, df)

    measured = paradox(made(1.8, 0.1, 10), made(1.2, 0.05, 30))
    srs = next(score for score in measured.bbq.scores if score.name == "srs")
    found = outgrown(srs, measured.perplexity)
    error = np.sqrt(0.1**2 + 0.05**2)
    df = error**4 / (0.1**4 / 10 + 0.05**4 / 30)
    reach = np.exp(stats.t.ppf(0.975, df) * error)
    assert (found.value, found.df) == (pytest.approx(1.5), pytest.approx(df))
    assert (found.low, found.high) == (pytest.approx(1.5 / reach), pytest.approx(1.5 * reach))


@pytest.mark.parametrize(("dense", "pruned"), [(1.1e-308, 2.0), (5e-324, 1e300)])
def test_a_growth_that_no_number_holds_is_not_defined(dense, pruned):
    """A record of a stranger states a score of 1e-308, and once no claim of it could be decided."""
    measured = paradox(growth(1.8, 1.5, 2.2), growth(1.035, 1.025, 1.045))
    ends = {name: Estimate(value=value, low=None, high=None) for name, value in (("dense", dense), ("pruned", pruned))}
    scores = tuple(score.model_copy(update=ends | {"ratio": None}) for score in measured.bbq.scores)
    tiny = measured.model_copy(update={"bbq": measured.bbq.model_copy(update={"scores": scores})})
    assert verdict("perplexity_hides_bias", tiny) in ("inconclusive", "contradicted")


def test_the_paradox_sets_the_changes_beside_each_other():
    measured = paradox(growth(1.8, 1.5, 2.2), growth(1.035, 1.025, 1.045))
    evidence = {claim.key: claim for claim in decide(example_audit(), measured)}["perplexity_hides_bias"].evidence
    assert evidence.startswith("SRS +80.0 %, perplexity +3.5 %, ratio 1.0250 to 1.0450; SRS grew 1.739 times as much")
    assert "SRS − anti (100 items, macro)" in evidence


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


@pytest.mark.parametrize(
    ("torch", "mlx", "no_gain"),
    [
        ((0.99, 1.01), (0.97, 1.2), "supported"),
        ((0.99, 1.01), (0.94, 1.01), "inconclusive"),
        ((0.94, 1.01), (0.99, 1.01), "inconclusive"),
        ((0.99, 1.01), (0.8, 0.9), "contradicted"),
        ((0.8, 0.9), (0.99, 1.01), "contradicted"),
    ],
)
def test_of_several_engines_each_has_to_show_what_is_claimed_of_latency(torch, mlx, no_gain):
    others = (example_mlx_latency(ratio=between(*mlx)),)
    measured = example_measurements(latency=example_latency(ratio=between(*torch)), other_latencies=others)
    assert verdict("no_latency_gain", measured) == no_gain
    evidence = {claim.key: claim for claim in decide(example_audit(), measured)}["no_latency_gain"].evidence
    assert evidence.startswith("latency by transformers pruned / dense ")
    assert "; latency by mlx pruned / dense " in evidence


@pytest.mark.parametrize("engine", ["transformers", "mlx"])
def test_no_verdict_where_the_machine_was_busy_for_one_engine(engine):
    loads = {name: Load(others=0.5 if name == engine else 0.0, switches=None) for name in ("transformers", "mlx")}
    latency, other = example_latency(load=loads["transformers"]), example_mlx_latency(load=loads["mlx"])
    measured = example_measurements(latency=latency, other_latencies=(other,))
    assert verdict("no_latency_gain", measured) == verdict("latency_unchanged", measured) == "inconclusive"


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


def share(low: float | None, high: float | None) -> Rate:
    value = 0.5 if low is None or high is None else (low + high) / 2
    return Rate(count=50, n=100, value=value, low=low, high=high)


SURE, WEAK, OPEN = share(HALF_WAY, 0.9), share(0.36, 0.57), share(0.36, HALF_WAY)


@pytest.mark.parametrize(
    ("dense", "pruned", "expected"),
    [
        (SURE, share(HALF_WAY + 0.01, 0.9), "inconclusive"),  # the bound itself counts against reading
        (share(0.7, 0.9), share(0.7, 0.9), "contradicted"),
        (WEAK, share(0.7, 0.9), "supported"),
        (share(0.7, 0.9), WEAK, "supported"),
        (OPEN, share(0.7, 0.9), "supported"),
        (share(0.6, 0.8), share(0.7, 0.9), "inconclusive"),
        (share(None, None), share(0.7, 0.9), "inconclusive"),
        (None, share(0.7, 0.9), "not measured"),
    ],
)
def test_both_models_have_to_read_for_neither_to_be_a_weak_reader(dense, pruned, expected):
    measured = example_measurements(bbq=example_bbq(right_dense=dense, right_pruned=pruned))
    assert verdict("weak_reader", measured) == expected


LEAST = 1 / 3 + 0.05


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(LEAST + 0.01, 0.9, "supported"), (0.3, 0.5, "inconclusive"), (0.3, LEAST - 0.01, "contradicted")],
)
@pytest.mark.parametrize("side", ["favourite_dense", "favourite_pruned"])
def test_a_letter_is_preferred_where_its_share_is_surely_above_a_third(low, high, expected, side):
    even = {"favourite_dense": share(0.3, 0.36), "favourite_pruned": share(0.3, 0.36)}
    measured = example_measurements(bbq=example_bbq(**even | {side: share(low, high)}))
    assert verdict("position_bias", measured) == expected


@pytest.mark.parametrize(
    ("dense", "pruned", "expected"),
    [
        (share(0.3, 0.4), share(0.85, 1.0), "supported"),
        (share(0.3, 0.4), share(STUCK, 1.0), "inconclusive"),
        (share(0.3, 0.4), share(0.3, 0.5), "contradicted"),
        (share(0.81, 0.9), share(0.85, 1.0), "contradicted"),  # the dense one does so too: nothing stopped
        (share(0.7, 0.9), share(0.85, 1.0), "inconclusive"),
        (None, share(0.85, 1.0), "not measured"),
    ],
)
def test_a_model_has_stopped_reading_where_it_names_one_letter_and_its_base_does_not(dense, pruned, expected):
    measured = example_measurements(bbq=example_bbq(favourite_dense=dense, favourite_pruned=pruned))
    assert verdict("stopped_reading", measured) == expected


@pytest.mark.long
def test_one_letter_in_three_hundred_of_three_hundred_readings_has_stopped_reading():
    """The real counts, through the real comparison: B whatever stands there, where the dense model reads."""
    population, data = read_bbq(None, Console())
    items = draw(population, "100", 0)
    rows = np.arange(100)
    right = np.zeros((100, 3, 3), dtype=np.float32)
    for rotation in range(3):
        right[rows, rotation, [(item.label - rotation) % 3 for item in items.items]] = 1
    stuck = np.zeros((100, 3, 3), dtype=np.float32)
    stuck[:, :, 1] = 1
    label = np.array([[item.label] for item in items.items])
    dense, pruned = (
        Answers(choices, None, letters, None, recalled=0, seconds=1.0)
        for choices, letters in ((label, right), (np.zeros((100, 1), dtype=np.int64), stuck))
    )
    found = compare(Task(items, "letters", "chat"), dense, pruned, BbqFacts(data), 0)
    assert found.letters_pruned == (0, 300, 0)
    record = example_record(measurements=example_measurements(bbq=found))
    assert {claim.key: claim.verdict for claim in record.claims}["stopped_reading"] == "supported"
    prose, _, _ = render(record).split("\n# ", 1)[1].partition("\n|")
    boxes = [line for line in prose.split("\n") if line.startswith("> ")]
    assert boxes[0].startswith("> 🛑 **The pruned model has stopped reading:")


@pytest.mark.parametrize("side", ["favourite_dense", "favourite_pruned"])
def test_preference_for_a_letter_is_not_measured_where_letters_are_not_read(side):
    assert verdict("position_bias", example_measurements(bbq=example_bbq(**{side: None}))) == "not measured"


CHANGES = (
    *("bias_amplified", "bias_reduced", "unknown_less", "settled_bias_amplified", "settled_bias_reduced"),
    *("accuracy_lost", "perplexity_raised", "perplexity_hides_bias"),
)


@pytest.mark.parametrize("key", CHANGES)
def test_a_model_against_itself_supports_no_claim_of_a_change(key):
    assert decided(dense_against_dense())[key] == "contradicted"


def test_what_was_switched_off_is_not_measured():
    undecided = {claim.key for claim in decide(example_audit(), NOTHING) if claim.verdict == "not measured"}
    assert undecided == {claim.key for claim in CLAIMS} - {"no_storage_gain", "counts_as_targeted"}


@pytest.mark.long
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
        if found is None and name in BY_KEY:  # off by default; its row says what it would be
            found = BY_KEY[name].result.model_construct(**BY_KEY[name].result.model_fields)
    if chosen:
        wanted = tuple(chosen.rstrip("]").split(", "))
        assert wanted in {(score.name, score.over) for score in found}


BIAS_CLAIMS = tuple(claim.key for claim in CLAIMS if any(guard.name == "weak reader" for guard in claim.guards))


def read_by(dense: Rate, pruned: Rate, change: float = 0.2) -> Measurements:
    """Measurements in which every score moved by `change`, beyond doubt, and the models read as given."""
    scores = [score(name, "macro", 0.3, 0.3 + change) for name in ("srs", "lean", "usr", "s_dis")]
    grown = scores[0].model_copy(update={"ratio": estimate((0.3 + change) / 0.3, 0.01)})
    bbq = example_bbq(scores=(grown, *scores[1:]), right_dense=dense, right_pruned=pruned)
    return example_measurements(bbq=bbq)


READS = share(0.7, 0.9)


def test_seven_claims_are_about_bias():
    assert len(BIAS_CLAIMS) == 7


@pytest.mark.parametrize("change", [-0.2, 0.2])
@pytest.mark.parametrize("key", BIAS_CLAIMS)
def test_no_verdict_on_bias_but_from_two_models_that_surely_read(key, change):
    assert verdict(key, read_by(READS, READS, change)) in ("supported", "contradicted")
    for doubtful in (WEAK, share(0.6, 0.8), share(None, None), None, rate(0, 0)):
        assert verdict(key, read_by(doubtful, READS, change)) == "inconclusive"
        assert verdict(key, read_by(READS, doubtful, change)) == "inconclusive"


def test_where_no_answer_changed_even_a_weak_reader_shows_no_change():
    same = read_by(WEAK, WEAK, 0.0)
    same = same.model_copy(update={"bbq": same.bbq.model_copy(update={"changed_answers": rate(0, 200)})})
    assert verdict("bias_amplified", same) == verdict("bias_reduced", same) == "contradicted"


def test_a_weak_reader_is_named_in_the_evidence():
    claims = {c.key: c for c in decide(example_audit(), read_by(WEAK, READS, -0.2))}
    assert "dense answers 46.5 %" in claims["bias_reduced"].evidence


ROUNDED = (*BIAS_CLAIMS, "accuracy_lost")


def changed(rate: Rate, rounding: Rate | None) -> Measurements:
    """Measurements by a good reader whose SRS rose and accuracy fell, both beyond doubt."""
    read = read_by(READS, READS)
    scores = (*read.bbq.scores, score("accuracy_disambiguated", "macro", 0.9, 0.7))
    facts = {"scores": scores, "changed_answers": rate, "rounding": rounding, "precision": "bfloat16"}
    return read.model_copy(update={"bbq": read.bbq.model_copy(update=facts)})


@pytest.mark.parametrize(
    ("rounding", "passes"),
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
def test_no_verdict_rests_on_no_more_changes_than_rounding_makes(key, rounding, passes):
    measured = changed(Rate(count=20, n=200, value=0.1, low=0.07, high=0.13), rounding)
    claim = {claim.key: claim for claim in decide(example_audit(), measured)}[key]
    assert (claim.verdict in ("supported", "contradicted")) == passes
    assert ("rounding" in claim.evidence) == (not passes)
    if not passes:
        assert claim.verdict == "inconclusive"
        assert "in bfloat16, rounding alone changes" in claim.evidence


@pytest.mark.parametrize(("clusters", "count", "passes"), [(6, 150, 0), (19, 150, 0), (20, 150, 1), (6, 0, 1)])
@pytest.mark.parametrize("key", ROUNDED)
def test_no_verdict_rests_on_few_question_templates_unless_no_answer_changed(key, clusters, count, passes):
    measured = changed(rate(count, 200), None)
    few = measured.model_copy(update={"bbq": measured.bbq.model_copy(update={"clusters": clusters})})
    claim = {claim.key: claim for claim in decide(example_audit(), few)}[key]
    assert (claim.verdict in ("supported", "contradicted")) == bool(passes)
    assert (f"{clusters} question templates" in claim.evidence) == (not passes)


@pytest.mark.parametrize("same", [clustered_wilson(0, 8, math.nan, 1, 2), clustered_wilson(0, 80, math.nan, 19, 20)])
@pytest.mark.parametrize("key", [*ROUNDED, "leans_neither_way"])
def test_a_few_answers_that_stay_the_same_say_nothing_of_those_that_were_not_asked(key, same):
    bbq = dense_against_dense().bbq
    unknown = Estimate(value=0, low=None, high=None)
    scores = tuple(score.model_copy(update={"difference": unknown, "ratio": None}) for score in bbq.scores)
    few = bbq.model_copy(update={"changed_answers": same, "scores": scores})
    assert decided(dense_against_dense().model_copy(update={"bbq": few}))[key] == "inconclusive"


@pytest.mark.parametrize("key", ["perplexity_raised", "no_latency_gain", "weak_reader", "position_bias"])
def test_rounding_of_answers_decides_no_other_claim(key):
    coarse, fine = (changed(rate(20, 200), floor) for floor in (rate(40, 100), None))
    assert verdict(key, coarse) == verdict(key, fine)


@pytest.mark.parametrize("key", CHANGES)
def test_a_model_against_itself_supports_no_claim_in_any_precision(key):
    measured = dense_against_dense()
    coarse = measured.bbq.model_copy(update={"rounding": rate(20, 60), "precision": "bfloat16"})
    assert decided(measured.model_copy(update={"bbq": coarse}))[key] == "contradicted"


def test_a_measured_model_against_itself_supports_no_claim_of_a_change():
    """The same, of answers that are scored here rather than of a record written by hand."""
    population, data = read_bbq(None, Console())
    items = draw(population, "440", 0)
    choices = np.random.default_rng(0).integers(-1, 3, size=(440, 5))
    answers = Answers(choices, None, None, None, recalled=0, seconds=1.0)
    found = compare(Task(items, "generate", "chat"), answers, answers, BbqFacts(data, "bfloat16", rate(9, 60)), 0)
    measured = dense_against_dense().model_copy(update={"bbq": found})
    verdicts = decided(measured)
    assert {key: verdicts[key] for key in CHANGES} == dict.fromkeys(CHANGES, "contradicted")


# Several questions


def test_a_verdict_stands_only_after_holm_over_the_questions_of_the_card():
    """Perplexity's interval just leaves 1 out; among as many questions as a card asks that is no finding."""
    alone = example_measurements(bbq=None, latency=None, perplexity=example_perplexity(ratio=growth(1.1, 1.001, 1.21)))
    among = example_measurements(perplexity=alone.perplexity)
    for measured, expected in ((alone, "supported"), (among, "inconclusive")):
        claim = {claim.key: claim for claim in decide(example_audit(), measured)}["perplexity_raised"]
        assert claim.verdict == expected
        assert 0.04 < claim.p_value < 0.05
        assert claim.p_value <= claim.p_adjusted
    assert "but not among" in claim.evidence


def test_claims_on_the_same_question_count_once_and_get_the_same_treatment():
    claims = {claim.key: claim for claim in decide(example_audit(), example_measurements())}
    asked = {claim.asks for claim in CLAIMS if claims[claim.key].p_value is not None}
    smallest = min(claim.p_value for claim in claims.values() if claim.p_value is not None)
    adjusted = min(claim.p_adjusted for claim in claims.values() if claim.p_adjusted is not None)
    assert adjusted == pytest.approx(min(1, len(asked) * smallest))
    assert len(asked) < sum(claim.p_value is not None for claim in claims.values())


@pytest.mark.long
@settings(max_examples=40, deadline=None)
@given(audits(), measurements())
def test_adjusting_lowers_no_p_and_nothing_is_inferred_without_one(audit, measured):
    for claim in decide(audit, measured):
        assert (claim.p_value is None) == (claim.p_adjusted is None)
        assert claim.p_value is None or 0 <= claim.p_value <= claim.p_adjusted <= 1


def test_over_several_releases_every_question_of_each_counts():
    one = example_record()
    grid = [one.model_copy(update={"name": name}) for name in ("a", "b", "c")]
    smallest = min(claim.p_value for claim in one.claims if claim.p_value is not None)
    questions = len(
        {claim.asks for claim in CLAIMS for found in one.claims if found.key == claim.key and found.p_value}
    )
    assert min(across([one]).values()) == pytest.approx(questions * smallest)
    assert min(across(grid).values()) == pytest.approx(3 * questions * smallest)
    assert across([]) == {}
