"""What is said of two models' answers: counts by hand, laws, and intervals that cover the truth."""

import time
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from release.evals.bbq.answers import UNPARSED, Answers, Task
from release.evals.bbq.compare import BbqFacts, category_tests, compare, guessing_level
from release.evals.bbq.items import Item
from release.evals.bbq.result import Bbq, Sampling
from release.evals.bbq.sample import draw
from release.evals.bbq.scores import Comparison
from release.evals.engine.statistics import cohens_h, wilson
from release.values import DataSource, Rate
from tests.evals.items import item_of, sample_of

DATA = DataSource(name="BBQ", origin="here", revision=None, licence=None, sha256="0")
SAMPLING = Sampling(temperature=0.3, new_tokens=5, seeds=(42, 123, 456))
TARGET, OTHER, UNKNOWN = 0, 1, 2


def made(category: str, template: int, index: int, condition: str = "ambig", target: int | None = TARGET) -> Item:
    """One item; where it is settled, its right answer is OTHER."""
    label = UNKNOWN if condition == "ambig" else OTHER
    return item_of(category, template, index, condition=condition, target=target, unknown=UNKNOWN, label=label)


def answered(choices, letters: bool = False, recalled: int = 0, seconds: float = 1.0) -> Answers:
    found = np.array(choices)
    shown = np.zeros((len(found), 3, 3), dtype=np.float32)
    shown[:, :, 1] = 1
    return Answers(found, None, shown if letters else None, None, recalled, seconds)


def compared(items: list[Item], dense, pruned, reading="generate", **facts) -> Bbq:
    task = Task(sample_of(items), reading, "plain")
    letters = reading == "letters"
    sides = [side if isinstance(side, Answers) else answered(side, letters) for side in (dense, pruned)]
    return compare(task, *sides, BbqFacts(DATA, **facts), 0)


ITEMS = [
    *(made("Age", index, index) for index in range(5)),
    made("Age", 5, 5, condition="disambig"),
    made("Age", 6, 6, condition="disambig"),
    made("Age", 7, 7, target=None),
]
DENSE = [[0, 1, 2], [2, 2, 2], [1, -1, 1], [0, 0, 0], [2, 2, -1], [1, 1, 0], [0, 1, 0], [2, 2, 2]]
PRUNED = [[1, 2, 2], [2, 0, 2], [1, -1, 1], [0, 0, 1], [-1, 0, 2], [1, 0, 0], [1, 1, -1], [0, 0, 0]]


def counted(rate: Rate) -> tuple[int, int]:
    return rate.count, rate.n


def right(bbq: Bbq) -> dict[str, tuple[int, int, int]]:
    return {test.condition: (test.only_dense_right, test.only_pruned_right, test.items) for test in bbq.right_answers}


def test_changes_by_hand() -> None:
    bbq = compared(ITEMS, DENSE, PRUNED)
    assert counted(bbq.changed_answers) == (7, 8)  # all but the third
    # Items 1, 2 and 4 never choose the target; of these 1 and 4 come to. Items 0 and 3 do, and 0 ceases to. The last
    # item has no target, and the two disambiguated ones do not count here.
    assert counted(bbq.newly_biased) == (2, 3)
    assert counted(bbq.newly_unbiased) == (1, 2)
    # Right twice of three: dense 1, 4, 5 and 7; pruned 0, 1 and 6. Items 5 and 6 are settled.
    assert right(bbq) == {"ambig": (2, 1, 6), "disambig": (1, 1, 2)}
    assert (counted(bbq.right_dense), counted(bbq.right_pruned)) == ((1, 2), (1, 2))
    assert bbq.guessing_level == pytest.approx(1 - 8 / 27)


def test_half_of_the_answers_right_is_not_right() -> None:
    bbq = compared(ITEMS[:2], [[2, 0], [2, 2]], [[2, 2], [2, 0]])
    assert right(bbq)["ambig"] == (1, 1, 2)


@pytest.mark.parametrize(("runs", "level"), [(1, 1 / 3), (2, 5 / 9), (5, 211 / 243)])
def test_the_guessing_level_is_what_guessing_gives(runs: int, level: float) -> None:
    assert guessing_level(runs) == pytest.approx(level)
    items = [made("Age", index % 20, index) for index in range(20_000)]
    dense, pruned = np.random.default_rng(runs).integers(3, size=(2, 20_000, runs))
    bbq = compared(items, dense, pruned)
    assert bbq.newly_biased.low <= level <= bbq.newly_biased.high


@pytest.mark.parametrize(
    ("reading", "rotations", "letters"), [("letters", 3, (0, 24, 0)), ("answers", 3, None), ("generate", 1, None)]
)
def test_a_reading_brings_its_own_facts(reading: str, rotations: int, letters: tuple[int, int, int] | None) -> None:
    dense, pruned = (np.array(side)[:, :1] for side in (DENSE, PRUNED))
    bbq = compared(ITEMS, dense, pruned, reading)
    assert (bbq.reading, bbq.rotations, bbq.letters_dense, bbq.letters_pruned) == (reading, rotations, letters, letters)
    assert (bbq.items, bbq.ambiguous_items, bbq.disambiguated_items, bbq.clusters) == (8, 6, 2, 8)


def test_what_is_given_is_recorded() -> None:
    floor = wilson(3, 60)
    sides = answered(DENSE, recalled=5, seconds=2.0), answered(PRUNED, recalled=3, seconds=0.5)
    bbq = compared(ITEMS, *sides, rounding=floor, precision="bfloat16", sampling=SAMPLING)
    assert (bbq.rounding, bbq.precision, bbq.sampling) == (floor, "bfloat16", SAMPLING)
    assert (bbq.recalled, bbq.seconds) == (8, 2.5)
    assert Bbq.model_validate_json(bbq.model_dump_json()) == bbq


# Tests of every category


def test_a_model_beside_itself_changed_nothing(bbq) -> None:
    sample = draw(bbq[0], "880", 0)
    same = np.random.default_rng(0).integers(-1, 3, size=(880, 3))
    found = compared(list(sample.items), same, same)
    assert (found.changed_answers.count, found.newly_biased.count, found.newly_unbiased.count) == (0, 0, 0)
    assert {(test.p_value, test.p_templates) for test in found.right_answers} == {(1, None)}
    assert {test.category for test in found.tests} == set(found.categories)
    assert {(test.cohens_h, test.p_value, test.p_adjusted) for test in found.tests} == {(0, None, None)}
    assert {(s.difference.value, s.difference.low) for s in found.scores} == {(0, None)}


def test_every_category_is_tested_on_its_own_srs() -> None:
    """Of four categories the first turns to the target in every template, the second in one, the third in none."""
    templates = {"Age": 12, "SES": 12, "Sex": 12, "Religion": 11}
    items = [
        made(c, template, 4 * template + i) for c, n in templates.items() for template in range(n) for i in range(4)
    ]
    turned = {"Age": 48, "SES": 4, "Sex": 0, "Religion": 44}
    dense = np.array([[TARGET if item.example_id % 4 == 0 else OTHER] for item in items])
    goes = [item.example_id < turned[item.category] and item.example_id % 4 < 2 for item in items]
    pruned = np.where(np.array(goes)[:, None], TARGET, dense)
    bbq = compared(items, dense, pruned)
    found = {test.category: test for test in bbq.tests}
    assert found["Age"].cohens_h == pytest.approx(cohens_h(0.25, 0.5)) == pytest.approx(np.pi / 6)
    assert found["Age"].p_value == 2 / 2**12
    assert found["Age"].p_adjusted == 4 / 2**12  # one of two that could be tested
    assert (found["SES"].p_value, found["SES"].p_adjusted, bbq.tested_categories) == (1, 1, 2)
    assert (found["Sex"].cohens_h, found["Sex"].p_value) == (0, None)
    few = found["Religion"]
    assert (few.items, few.templates, few.p_value, few.p_adjusted) == (44, 11, None, None)


def test_the_favourite_letter_is_counted_by_templates() -> None:
    items = [made("Age", index // 4, index) for index in range(100)]
    choices = np.zeros((100, 1), dtype=np.int64)
    bbq = compared(items, choices, choices, "letters")
    assert (counted(bbq.favourite_dense), bbq.favourite_dense.templates) == ((300, 300), 25)
    count = 25 * (stats.t.ppf(0.975, 299) / stats.t.ppf(0.975, 24)) ** 2
    assert bbq.favourite_dense.low == pytest.approx(count / (count + stats.norm.ppf(0.975) ** 2))


def test_where_nothing_parses_no_category_is_tested() -> None:
    silent = np.full((8, 1), UNPARSED)
    bbq = compared(ITEMS, silent, np.array(PRUNED)[:, :1])
    assert [(test.cohens_h, test.p_adjusted) for test in bbq.tests] == [(None, None)]
    assert {s.name: s.dense.value for s in bbq.scores}["unparsed"] == 1


def test_all_of_bbq_is_compared_in_seconds(bbq) -> None:
    sample = draw(bbq[0], "full", 0)
    dense, pruned = np.random.default_rng(0).integers(-1, 3, size=(2, len(sample.items), 5))
    started = time.process_time()
    found = compare(
        Task(sample, "generate", "plain"), answered(dense), answered(pruned), BbqFacts(DATA, sampling=SAMPLING), 0
    )
    assert time.process_time() - started < 10
    assert (found.items, found.tested_categories) == (58_492, 11)


# Coverage

CATEGORIES, TEMPLATES, EACH = 11, 25, 4
WORLDS = 600
KEPT = 0.4
"""Share of answers that pruning leaves as they are; the others are drawn anew from the pruned model's own shares."""


class World:
    """Eleven categories of 25 templates of four ambiguous items, which are alike within a template.

    Each template has its own shares of target, other and unknown, drawn from its category's Dirichlet distribution,
    once for the dense model and once for what pruning draws anew. So the mean over categories is known exactly.
    """

    dense = np.resize([[0.3, 0.2, 0.5], [0.15, 0.15, 0.7], [0.5, 0.25, 0.25], [0.4, 0.2, 0.4]], (CATEGORIES, 3))
    anew = np.resize([[0.45, 0.2, 0.35], [0.4, 0.2, 0.4], [0.6, 0.2, 0.2], [0.2, 0.3, 0.5]], (CATEGORIES, 3))

    def __init__(self) -> None:
        names = [f"c{index}" for index in range(CATEGORIES)]
        self.sample = sample_of(
            [made(name, t, t * EACH + i) for name in names for t in range(TEMPLATES) for i in range(EACH)]
        )
        before, after = (shares[:, TARGET] / shares.sum(axis=1) for shares in (self.dense, self.anew))
        self.difference = float(((1 - KEPT) * (after - before)).mean())

    def answers(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw the answers of both models, (items,) each."""
        dense, anew = (self._drawn(shares, rng) for shares in (self.dense, self.anew))
        return dense, np.where(rng.random(dense.shape) < KEPT, dense, anew)

    @staticmethod
    def _drawn(shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        own = np.concatenate([rng.dirichlet(each, TEMPLATES) for each in shares])  # (templates, 3)
        edges = own.cumsum(axis=1)[:, None, :2]
        return (rng.random((len(own), EACH, 1)) > edges).sum(axis=2).ravel()


@pytest.fixture(scope="module")
def covered() -> dict[str, float]:
    """In what share of the worlds each interval holds the truth."""
    world, rng = World(), np.random.default_rng(0)
    hits = Counter()
    for _ in range(WORLDS):
        dense, pruned = world.answers(rng)
        srs = Comparison(world.sample, dense[:, None], pruned[:, None]).score("srs", "macro")
        hits["by templates"] += srs.difference.low <= world.difference <= srs.difference.high
        moved = (pruned == TARGET).astype(float) - (dense == TARGET)
        hits["by rows"] += by_rows(moved, world.difference)
    return {name: times / WORLDS for name, times in hits.items()}


def by_rows(values: np.ndarray, truth: float) -> bool:
    """Whether the normal interval of a mean holds the truth, taking every row for independent within its category."""
    rows = values.reshape(CATEGORIES, -1)
    error = np.sqrt((rows.var(axis=1, ddof=1) / rows.shape[1]).sum()) / CATEGORIES
    return bool(abs(rows.mean() - truth) <= stats.norm.ppf(0.975) * error)


@pytest.mark.long
def test_the_interval_holds_the_truth_as_often_as_it_says(covered: dict[str, float]) -> None:
    assert 0.93 < covered["by templates"] < 0.97


@pytest.mark.long
def test_an_interval_that_takes_rows_for_independent_does_not(covered: dict[str, float]) -> None:
    assert covered["by rows"] < 0.90


@pytest.mark.long
def test_where_nothing_changes_on_average_few_categories_seem_to() -> None:
    """Dense and pruned answers from the same distribution: a p-value below 0.05 comes up in at most 5 of 100."""
    world, rng = World(), np.random.default_rng(1)
    world.anew = world.dense
    p_values = []
    for number in range(50):
        dense, pruned = world.answers(rng)
        comparison = Comparison(world.sample, dense[:, None], pruned[:, None])
        scores = tuple(comparison.score("srs", name) for name in comparison.templates.categories)
        p_values += [test.p_value or 1.0 for test in category_tests(comparison, scores, number)]
    assert 0.02 < np.mean(np.array(p_values) < 0.05) < 0.07
    assert np.mean(np.array(p_values) < 0.01) < 0.02
