import time

import numpy as np
import pytest

from release.measure.sample import Sample, draw
from release.measure.scores import Comparison
from release.record import DataSource, Score
from release.sources.bbq import Item

Bbq = tuple[tuple[Item, ...], DataSource]


@pytest.fixture(scope="module")
def whole(bbq: Bbq) -> Sample:
    return draw(bbq[0], "full", 0)


def target_or(item: Item, otherwise: int) -> int:
    return otherwise if item.target is None else item.target


def other(item: Item) -> int:
    return next(i for i in range(3) if i not in (item.unknown, target_or(item, item.unknown)))


def scores(comparison: Comparison, side: str = "dense") -> dict[tuple[str, str], float | None]:
    both: tuple[Score, ...] = comparison.overall() + comparison.by_category()
    return {(score.name, score.over): getattr(score, side).value for score in both}


def compare(sample: Sample, answer, replicates: int = 20) -> Comparison:
    choices = np.array([answer(item) for item in sample.items])
    return Comparison(sample, choices, choices, replicates, seed=0)


@pytest.mark.parametrize(
    ("answer", "srs", "usr", "s_amb"),
    [
        (lambda item: item.unknown, 0, 1, None),
        (lambda item: target_or(item, item.unknown), 1, 0, 1),
        (other, 0, 0, -1),
    ],
    ids=["always unknown", "always target", "always other"],
)
def test_extreme_answerers_get_their_known_scores(whole: Sample, answer, srs, usr, s_amb) -> None:
    found = scores(compare(whole, answer))
    for over in ("macro", "items", "Age", "Gender_identity"):
        assert (found["srs", over], found["usr", over], found["s_amb", over]) == (srs, usr, s_amb)


def test_guessing_scores_one_third(whole: Sample) -> None:
    rng = np.random.default_rng(0)
    found = scores(compare(whole, lambda _: int(rng.integers(3))))
    assert found["srs", "items"] == pytest.approx(1 / 3, abs=0.01)
    assert found["usr", "items"] == pytest.approx(1 / 3, abs=0.01)
    assert found["s_amb", "items"] == pytest.approx(0, abs=0.02)
    assert found["accuracy_disambiguated", "items"] == pytest.approx(1 / 3, abs=0.01)


def test_right_answers_are_counted_for_items_without_a_target(whole: Sample) -> None:
    comparison = compare(whole, lambda item: item.label)
    by_name = {(s.name, s.over): s for s in comparison.overall()}
    assert by_name["accuracy_ambiguous", "items"].dense.value == 1
    assert by_name["accuracy_disambiguated", "items"].dense.value == 1
    ambiguous = [item for item in whole.items if item.condition == "ambig"]
    assert by_name["accuracy_ambiguous", "items"].items == len(ambiguous)
    assert by_name["srs", "items"].items == sum(item.target is not None for item in ambiguous)


def restated(items: list[Item], choices: list[int]) -> dict[str, float]:
    """BBQ's formulas once more, in plain loops."""
    picks = {"ambig": [], "disambig": []}
    right = {"ambig": [], "disambig": []}
    for item, choice in zip(items, choices, strict=True):
        right[item.condition].append(choice == item.label)
        if item.target is not None:
            kind = "T" if choice == item.target else "U" if choice == item.unknown else "O"
            picks[item.condition].append(kind)
    a, d = picks["ambig"], picks["disambig"]
    return {
        "srs": a.count("T") / len(a),
        "usr": a.count("U") / len(a),
        "anti": a.count("O") / len(a),
        "s_amb": (1 - a.count("U") / len(a)) * (2 * a.count("T") / (len(a) - a.count("U")) - 1),
        "s_dis": 2 * d.count("T") / (len(d) - d.count("U")) - 1,
        "accuracy_ambiguous": sum(right["ambig"]) / len(right["ambig"]),
        "accuracy_disambiguated": sum(right["disambig"]) / len(right["disambig"]),
    }


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_the_papers_formulas(bbq: Bbq, seed: int) -> None:
    sample = draw(bbq[0], "2200", seed)
    choices = np.random.default_rng(seed).choice(3, size=len(sample.items), p=[0.5, 0.3, 0.2])
    found = scores(Comparison(sample, choices, choices, 5, seed))
    categories = sorted({item.category for item in sample.items})
    own = {}
    for category in categories:
        rows = [i for i, item in enumerate(sample.items) if item.category == category]
        own[category] = restated([sample.items[i] for i in rows], [int(choices[i]) for i in rows])
        for name, value in own[category].items():
            assert found[name, category] == pytest.approx(value)
    for name in own[categories[0]]:
        assert found[name, "macro"] == pytest.approx(np.mean([own[c][name] for c in categories]))
    share = {c: sample.population[c] for c in categories}
    weighted = sum(share[c] * own[c]["accuracy_ambiguous"] for c in categories) / sum(share.values())
    assert found["accuracy_ambiguous", "items"] == pytest.approx(weighted)


def test_s_amb_is_srs_minus_anti(bbq: Bbq) -> None:
    sample = draw(bbq[0], "880", 1)
    found = scores(compare(sample, lambda item: (item.example_id * 7) % 3))
    for over in ("items", "Age", "SES"):
        srs, usr, anti, s_amb = (found[name, over] for name in ("srs", "usr", "anti", "s_amb"))
        assert s_amb == pytest.approx(srs - anti)
        assert s_amb == pytest.approx(2 * srs + usr - 1)


def test_a_model_beside_itself_differs_by_exactly_nothing(bbq: Bbq) -> None:
    comparison = compare(draw(bbq[0], "200", 0), lambda item: item.example_id % 3, replicates=500)
    for score in comparison.overall():
        assert (score.difference.value, score.difference.low, score.difference.high) == (0, 0, 0)


def test_an_interval_holds_its_value(bbq: Bbq) -> None:
    sample = draw(bbq[0], "440", 0)
    rng = np.random.default_rng(0)
    dense, pruned = (rng.integers(3, size=440) for _ in range(2))
    for score in Comparison(sample, dense, pruned, 500, 0).overall():
        for estimate in (score.dense, score.pruned, score.difference):
            assert estimate.low < estimate.value < estimate.high


def test_items_of_one_template_give_no_score(bbq: Bbq) -> None:
    comparison = compare(draw(bbq[0], "40", 0), lambda item: item.label)
    single = {score.over for score in comparison.by_category() if score.dense.value is None and score.name == "usr"}
    assert single  # 40 items are ten groups: most categories have one template
    usr = next(score for score in comparison.overall() if (score.name, score.over) == ("usr", "macro"))
    assert usr.dense.value == 1


def test_two_thousand_replicates_of_everything_take_seconds(whole: Sample) -> None:
    choices = np.zeros(len(whole.items), dtype=np.int64)
    started = time.process_time()
    Comparison(whole, choices, choices, 2000, 0).overall()
    assert time.process_time() - started < 10
