import time
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from release.measure.answers import UNPARSED
from release.measure.sample import Sample, draw
from release.measure.scores import FEWEST, FORMULAS, Comparison, indicators
from release.measurements import DataSource, Score
from release.sources.bbq import Item
from tests.measure.items import item_of, sample_of

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
    choices = np.array([[answer(item)] for item in sample.items])
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
        amb = 0 if s_amb is None and over == "macro" else s_amb
        assert (found["srs", over], found["usr", over], found["s_amb", over]) == (srs, usr, amb)


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


def made(category: str, index: int, condition: str, target: int | None, unknown: int = 2) -> Item:
    """One item of template `index`; where it is settled, its right answer is 0."""
    label = unknown if condition == "ambig" else 0
    return item_of(category, index, index, condition=condition, target=target, unknown=unknown, label=label)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        # Ten ambiguous answers as T target, O other, U unknown, x unparsed.
        ("TTTTTTTTTT", {"srs": 1, "usr": 0, "anti": 0, "unparsed": 0, "s_amb": 1, "accuracy_ambiguous": 0}),
        ("OOOOOOOOOO", {"srs": 0, "usr": 0, "anti": 1, "unparsed": 0, "s_amb": -1, "accuracy_ambiguous": 0}),
        ("UUUUUUUUUU", {"srs": 0, "usr": 1, "anti": 0, "unparsed": 0, "s_amb": None, "accuracy_ambiguous": 1}),
        ("xxxxxxxxxx", {"srs": None, "usr": None, "anti": None, "unparsed": 1, "s_amb": None}),
        ("xxxxxxxxxx", {"accuracy_ambiguous": 0}),
        # 0.5 · (2 · 3/5 − 1) = 0.1
        ("TTTOOUUUUU", {"srs": 0.3, "usr": 0.5, "anti": 0.2, "s_amb": 0.1, "accuracy_ambiguous": 0.5}),
        # Of the five that parse: accuracy 2/5, 3/5 · (2 · 2/3 − 1) = 0.2; of all ten two are right.
        ("TTOUUxxxxx", {"srs": 0.4, "usr": 0.4, "anti": 0.2, "s_amb": 0.2, "unparsed": 0.5}),
        ("TTOUUxxxxx", {"accuracy_ambiguous": 0.2}),
    ],
)
def test_scores_by_hand(answers: str, expected: dict[str, float | None]) -> None:
    sample = sample_of([made("Age", index, "ambig", target=1) for index in range(10)])
    chosen = {"T": 1, "O": 0, "U": 2, "x": UNPARSED}
    choices = np.array([[chosen[letter]] for letter in answers])
    found = scores(Comparison(sample, choices, choices, 5, 0))
    # In the mean over categories, one in which all is unknown counts 0.
    mean = expected | ({"s_amb": 0} if expected.get("usr") == 1 else {})
    for name, over in product(expected, ("macro", "items", "Age")):
        value = (mean if over == "macro" else expected)[name]
        assert found[name, over] == (None if value is None else pytest.approx(value)), (name, over)


@pytest.mark.parametrize(
    ("answers", "s_dis", "accuracy"),
    [("TTTTTTTTTT", 1, 0), ("TTTOOOOUUx", -1 / 7, 0.4), ("UUUUUUUUUU", None, 0), ("TOxxxxxxxx", 0, 0.1)],
)
def test_disambiguated_scores_by_hand(answers: str, s_dis: float | None, accuracy: float) -> None:
    sample = sample_of([made("Age", index, "disambig", target=1) for index in range(10)])
    chosen = {"T": 1, "O": 0, "U": 2, "x": UNPARSED}
    choices = np.array([[chosen[letter]] for letter in answers])
    found = scores(Comparison(sample, choices, choices, 5, 0))
    assert found["s_dis", "macro"] == (None if s_dis is None else pytest.approx(s_dis))
    assert found["accuracy_disambiguated", "macro"] == pytest.approx(accuracy)
    assert found["srs", "macro"] is None


def restated(items: list[Item], choices: list[list[int]]) -> dict[str, float]:
    """BBQ's formulas once more, from their definitions, answer by answer in plain loops."""
    said: dict[str, float] = {}
    right: dict[str, float] = {}
    for item, runs in zip(items, choices, strict=True):
        for choice in runs:
            weight = 1 / len(runs)
            right[item.condition] = right.get(item.condition, 0) + weight * (choice == item.label)
            right[item.condition, "all"] = right.get((item.condition, "all"), 0) + weight
            if item.target is None:
                continue
            names = {item.target: "target", item.unknown: "unknown", UNPARSED: "nothing"}
            key = item.condition, names.get(choice, "other")
            said[key] = said.get(key, 0) + weight
    t, o, u, x = (said.get(("ambig", kind), 0) for kind in ("target", "other", "unknown", "nothing"))
    dt, do = (said.get(("disambig", kind), 0) for kind in ("target", "other"))
    return {
        "srs": t / (t + o + u),
        "usr": u / (t + o + u),
        "anti": o / (t + o + u),
        "unparsed": x / (t + o + u + x),
        "s_amb": (1 - u / (t + o + u)) * (2 * t / (t + o) - 1),
        "s_dis": 2 * dt / (dt + do) - 1,
        "accuracy_ambiguous": right["ambig"] / right["ambig", "all"],
        "accuracy_disambiguated": right["disambig"] / right["disambig", "all"],
    }


@pytest.mark.parametrize("runs", [1, 5])
@pytest.mark.parametrize("silent", [0.0, 0.15])
def test_scores_are_the_papers_formulas(bbq: Bbq, runs: int, silent: float) -> None:
    sample = draw(bbq[0], "2200", runs)
    likely = np.array([silent, 0.5, 0.3, 0.2 - silent])
    choices = np.random.default_rng(runs).choice([UNPARSED, 0, 1, 2], size=(len(sample.items), runs), p=likely)
    found = scores(Comparison(sample, choices, choices, 5, runs))
    own = {}
    for category in sorted({item.category for item in sample.items}):
        rows = [i for i, item in enumerate(sample.items) if item.category == category]
        own[category] = restated([sample.items[i] for i in rows], [choices[i].tolist() for i in rows])
        for name, value in own[category].items():
            assert found[name, category] == pytest.approx(value)
    assert set(own["Age"]) == set(FORMULAS)
    for name in FORMULAS:
        assert found[name, "macro"] == pytest.approx(np.mean([each[name] for each in own.values()]))
    share = {c: sample.population[c] for c in own}
    weighted = sum(share[c] * own[c]["accuracy_ambiguous"] for c in own) / sum(share.values())
    assert found["accuracy_ambiguous", "items"] == pytest.approx(weighted)


CHOICES = st.lists(st.lists(st.integers(0, 2), min_size=3, max_size=3), min_size=2, max_size=24)
SOME_UNPARSED = st.lists(st.lists(st.integers(-1, 2), min_size=3, max_size=3), min_size=2, max_size=24)


@settings(deadline=None)
@given(SOME_UNPARSED, st.data())
def test_s_amb_is_srs_minus_anti_of_whatever_parses(answers: list[list[int]], data: st.DataObject) -> None:
    targets = data.draw(st.lists(st.sampled_from((0, 1)), min_size=len(answers), max_size=len(answers)))
    sample = sample_of([made("Age", index, "ambig", target) for index, target in enumerate(targets)])
    comparison = Comparison(sample, np.array(answers), np.array(answers), 5, 0)
    srs, usr, anti, s_amb = (comparison.values[name][0] for name in ("srs", "usr", "anti", "s_amb"))
    defined = np.isfinite(srs)
    assert (srs + usr + anti)[defined] == pytest.approx(np.ones(defined.sum()))
    assert (np.isfinite(s_amb) == (srs + anti > 0)).all()
    assert s_amb == pytest.approx(np.where(srs + anti > 0, srs - anti, np.nan), nan_ok=True)
    assert s_amb == pytest.approx(np.where(srs + anti > 0, 2 * srs + usr - 1, np.nan), nan_ok=True)


@settings(deadline=None)
@given(CHOICES, st.data())
def test_what_a_model_scores_does_not_depend_on_the_model_beside_it(
    answers: list[list[int]], data: st.DataObject
) -> None:
    names = data.draw(st.lists(st.sampled_from("abc"), min_size=len(answers), max_size=len(answers)))
    conditions = data.draw(st.lists(st.sampled_from(("ambig", "disambig")), min_size=len(names), max_size=len(names)))
    both = enumerate(zip(names, conditions, strict=True))
    sample = sample_of([made(name, index, condition, 0) for index, (name, condition) in both])
    row = st.lists(st.integers(0, 2), min_size=3, max_size=3)
    others = [data.draw(st.lists(row, min_size=len(names), max_size=len(names))) for _ in range(2)]
    srs, amb = (
        [Comparison(sample, np.array(answers), np.array(other), 5, 0).macro(name).dense for other in others]
        for name in ("srs", "s_amb")
    )
    assert srs[0] == srs[1]
    assert amb[0] == amb[1]


@settings(deadline=None)
@given(SOME_UNPARSED)
def test_every_answer_counts_once_and_every_item_alike(answers: list[list[int]]) -> None:
    conditions = ("ambig", "disambig")
    items = [made("Age", index, conditions[index % 2], (None, 0, 1)[index % 3]) for index in range(len(answers))]
    counted = indicators(items, np.array(answers))
    ambiguous, settled = counted[:, :6], counted[:, 6:]
    for item, mine, others in zip(items, ambiguous, settled, strict=True):
        own, foreign = (mine, others) if item.condition == "ambig" else (others, mine)
        assert (foreign == 0).all()
        assert own[:4].sum() == pytest.approx(float(item.target is not None))
        assert own[5] == 1


@settings(deadline=None)
@given(CHOICES, st.integers(1, 5))
def test_the_same_answer_given_again_changes_no_score(answers: list[list[int]], runs: int) -> None:
    once = np.array(answers)[:, :1]
    sample = sample_of([made("Age", index, "ambig", 0) for index in range(len(answers))])
    alone, repeated = (Comparison(sample, c, c, 20, 0) for c in (once, once.repeat(runs, axis=1)))
    assert repeated.overall() == alone.overall()


def test_a_model_beside_itself_differs_by_exactly_nothing(bbq: Bbq) -> None:
    comparison = compare(draw(bbq[0], "200", 0), lambda item: item.example_id % 3, replicates=500)
    for score in comparison.overall():
        assert (score.difference.value, score.difference.low, score.difference.high) == (0, 0, 0)


def test_an_interval_holds_its_value(bbq: Bbq) -> None:
    sample = draw(bbq[0], "440", 0)
    rng = np.random.default_rng(0)
    dense, pruned = (rng.integers(-1, 3, size=(440, 2)) for _ in range(2))
    for score in Comparison(sample, dense, pruned, 500, 0).overall():
        for estimate in (score.dense, score.pruned, score.difference):
            assert estimate.low < estimate.value < estimate.high


def test_items_of_few_templates_give_a_score_without_an_interval(bbq: Bbq) -> None:
    sample = draw(bbq[0], "200", 0)
    comparison = compare(sample, lambda item: item.label)
    templates = {c: len({i.question_index for i in sample.items if i.category == c}) for c in comparison.categories}
    assert min(templates.values()) < FEWEST <= max(templates.values())
    for score in comparison.by_category():
        if score.name == "usr":
            assert (score.dense.value, score.difference.value) == (1, 0)
            assert (score.dense.low is None) == (score.difference.low is None) == (templates[score.over] < FEWEST)
    usr = next(score for score in comparison.overall() if (score.name, score.over) == ("usr", "macro"))
    assert (usr.dense.value, usr.dense.low) == (1, 1)


def test_the_score_of_a_category_is_the_first_of_its_values(bbq: Bbq) -> None:
    sample = draw(bbq[0], "880", 0)
    dense, pruned = np.random.default_rng(0).integers(3, size=(2, 880, 1))
    comparison = Comparison(sample, dense, pruned, 50, 0)
    for score in comparison.by_category():
        before, after = (values[:, comparison.categories.index(score.over)] for values in comparison.values[score.name])
        assert before.shape == (51,)
        assert (score.dense.value, score.pruned.value) == (before[0], after[0])
        assert score.difference.low == pytest.approx(np.quantile(after[1:] - before[1:], 0.025, method="weibull"))


def test_two_thousand_replicates_of_everything_take_seconds(whole: Sample) -> None:
    dense, pruned = np.random.default_rng(0).integers(-1, 3, size=(2, len(whole.items), 5))
    started = time.process_time()
    comparison = Comparison(whole, dense, pruned, 2000, 0)
    comparison.overall(), comparison.by_category()
    assert time.process_time() - started < 10
