"""`--precision`: looks at growing samples."""

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from release.evals.bbq.answers import Answers, Task
from release.evals.bbq.items import Item
from release.evals.bbq.looks import Round, amount, constant, look, planned, widened
from release.evals.bbq.result import Looks
from release.evals.bbq.sample import draw
from release.evals.run import measure, prepare
from release.evals.work import ModelPair
from release.progress import Console
from release.settings.measuring import Measuring
from release.values import DataSource, Estimate

Bbq = tuple[tuple[Item, ...], DataSource]


@pytest.mark.parametrize(("looks", "published"), [(1, 1.960), (2, 2.178), (3, 2.289), (5, 2.413)])
def test_the_constant_is_pocock_s(looks: int, published: float) -> None:
    """Pocock 1977, table 1, for equally spaced looks at a level of 5 %."""
    assert constant(tuple(range(100, 100 * looks + 1, 100))) == pytest.approx(published, abs=0.015)


@pytest.mark.parametrize(("available", "sizes"), [(150, (150,)), (200, (200,)), (900, (200, 400, 800, 900))])
def test_the_last_look_is_at_all_items(available: int, sizes: tuple[int, ...]) -> None:
    assert planned(available) == sizes


def test_both_sides_of_an_interval_are_widened() -> None:
    normal = widened(Estimate(value=1.0, low=0.5, high=2.0), 0.99)
    assert (normal.low, normal.high) == pytest.approx((1 - 0.5 * 2.5758 / 1.96, 1 + 2.5758 / 1.96), abs=1e-4)
    student = widened(Estimate(value=1.0, low=0.5, high=2.0, df=5), 0.99)
    assert student.high == pytest.approx(1 + 4.0321 / 2.5706, abs=1e-4)
    undefined = Estimate(value=None, low=None, high=None)
    assert widened(undefined, 0.99) == undefined


def looked(items: tuple[Item, ...], wanted: float, console: Console, known: int = 0) -> tuple[Round, Looks, list[int]]:
    """Look at two guessers, who had answered the first `known` items before."""
    asked: list[int] = []
    read = known

    def ask(size: int) -> Round:
        nonlocal read
        asked.append(size)
        rng = np.random.default_rng(0)
        recalled, read = min(read, size), max(read, size)
        answers = {
            name: Answers(rng.integers(0, 3, (size, 1)), None, None, None, 3 * recalled, 1.0)
            for name in ("dense", "pruned")
        }
        return Round(Task(draw(items, amount(size, len(items)), 0), "letters", "plain"), answers, 3 * size)

    return *look(wanted, len(items), ask, console), asked


def test_looking_ends_at_the_first_width_that_is_narrow_enough(bbq: Bbq, console: Console) -> None:
    last, looks, asked = looked(bbq[0], 0.08, console)
    widths = [each.half_width for each in looks.taken]
    assert looks.reached
    assert widths[-1] <= 0.08 < min(widths[:-1])
    assert looks.change.high - looks.change.low == pytest.approx(2 * widths[-1])
    sizes = [each.items for each in looks.taken]
    assert tuple(sizes) == looks.planned[: len(sizes)]
    assert asked == sizes
    assert len(last.task.items) == sizes[-1]


def test_all_items_are_the_end_where_they_are_too_few(bbq: Bbq, console: Console) -> None:
    religion = tuple(item for item in bbq[0] if item.category == "Religion")
    _, looks, _ = looked(religion, 0.001, console)
    assert not looks.reached
    assert looks.taken[-1].items == len(religion) == looks.planned[-1]


@pytest.mark.quick_rows(1)
@pytest.mark.parametrize("known", [0, 100, 200, 300])
def test_only_what_was_known_before_counts_as_recalled(bbq: Bbq, console: Console, known: int) -> None:
    last, looks, _ = looked(bbq[0], 0.08, console, known)
    assert len(looks.taken) > 1
    assert {answers.recalled for answers in last.answers.values()} == {3 * known}
    assert {answers.seconds for answers in last.answers.values()} == {len(looks.taken)}


@pytest.mark.long
def test_real_models_are_read_look_by_look_and_never_twice(
    tmp_path: Path, tiny: dict[str, Path], console: Console
) -> None:
    plan = Measuring(
        perplexity="off", latency="off", device="cpu", bbq_categories=("Religion",), precision=Decimal("0.5")
    )
    eval_plan, models = prepare(tiny["llama"], plan, console), ModelPair(tiny["llama"], tiny["qwen3"])
    found = measure(eval_plan, models, tmp_path / "one", console).bbq
    assert found.looks.reached
    assert (found.items, found.recalled) == (found.looks.taken[-1].items, 0)
    again = measure(eval_plan, models, tmp_path / "two", console).bbq
    assert again.recalled == 2 * 3 * found.items
    assert again.looks == found.looks
