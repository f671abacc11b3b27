"""The Space's bias lens and its grid of variants."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from gradio import Error
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pyarrow import parquet

from release.card.render import statements
from release.evals.bbq import examples
from release.evals.bbq.answers import by_answer
from release.evals.bbq.items import Item
from release.evals.bbq.prompts import Prompter, question_text
from release.evals.bbq.rendering import SYSTEM
from tests.records import example_record
from tests.space_fixtures import (
    ITEMS,
    TEMPLATE,
    module,
    tokenizer,
    write_answers,
)

NAMES = ("axes", "cards", "compare", "facts", "grid", "lens", "lens_html", "lens_live", "lineup", "page", "records")
axes, cards, compare, facts, grid, lens, lens_html, lens_live, lineup, page, records = map(module, NAMES)

WITH_SYSTEM = "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}<|assistant|>"

# The bias lens and the grid


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A variant with answers to the items of a Space."""
    texts = tmp_path / "examples.json"
    texts.write_text(json.dumps({"attribution": "BBQ", "examples": ITEMS}))
    monkeypatch.setattr(lens, "TEXTS", texts)
    lens.texts.cache_clear()
    yield lineup.Source("me/pruned", str(write_answers(tmp_path / "pruned")))
    lens.texts.cache_clear()


def test_items_are_sorted_by_what_became_of_their_answer(measured: Any) -> None:
    found = lens.lens(measured)
    kinds = {each.item.example_id: each.kind for each in found.asked}
    assert kinds == {0: "to", 1: "away", 2: "other", 3: "same"}
    assert [each.item.example_id for each in found.select("to")] == [0]
    assert [each.item.example_id for each in found.select(category="SES")] == [3]
    assert found.categories == ["Age", "SES"]


def test_shares_are_probabilities_whose_largest_is_the_choice(measured: Any) -> None:
    for asked in lens.lens(measured).asked:
        for side in lens.SIDES:
            assert sum(asked.shares[side]) == pytest.approx(1)
            assert asked.shares[side].index(max(asked.shares[side])) == asked.choices[side]


def test_the_items_whose_probabilities_moved_farthest_come_first(measured: Any) -> None:
    moved = [each.moved for each in lens.lens(measured).asked]
    assert moved == sorted(moved, reverse=True)
    assert moved[-1] == 0 < moved[0] <= 1


@pytest.mark.parametrize(
    ("dense", "pruned", "kind"),
    [
        ((0.323, 0.359, 0.318), (0.342, 0.341, 0.317), "close"),
        ((0.339, 0.341, 0.320), (0.7, 0.2, 0.1), "close"),
        ((0.30, 0.40, 0.30), (0.40, 0.30, 0.30), "to"),
        ((0.40, 0.30, 0.30), (0.30, 0.40, 0.30), "away"),
        ((0.35, 0.34, 0.31), (0.34, 0.33, 0.33), "same"),
    ],
)
def test_a_change_by_less_than_two_points_is_a_close_call_and_no_flip(
    dense: tuple[float, ...], pruned: tuple[float, ...], kind: str
) -> None:
    shares = {"dense": dense, "pruned": pruned}
    choices = {side: found.index(max(found)) for side, found in shares.items()}
    assert lens._kind(choices, shares, 0) == kind


BBQ_ITEM = Item(
    "Age", 7, "1", "neg", "ambig", "two met", "Who?", ("one", "two", "three"), ("old", "unknown", "young"), 1, 1, 0
)


@pytest.mark.parametrize("template", [TEMPLATE, WITH_SYSTEM, None])
def test_an_item_asked_live_is_the_very_tokens_of_the_measurement(template: str | None) -> None:
    words = tokenizer(template)
    prompter, (item,) = Prompter(words), lens._items([examples.example(BBQ_ITEM)])
    for order in range(3):
        text = lens_live.prompt(words, prompter.style, SYSTEM, lens_live.question(item, order))
        assert text == prompter.text(BBQ_ITEM, order)
        assert [lens_live.encoded(words, text)] == prompter.encode([text])
        assert lens_live.letters(words, text) == prompter.letters(text)
    assert prompter.style in lens.STYLES


@given(arrays(np.float32, (1, 3, 3), elements=st.floats(-20, 0, width=32)))
def test_a_live_reading_averages_over_the_orders_as_the_measurement_does(letters: np.ndarray) -> None:
    reading = lens_live._averaged(letters[0].tolist())
    wanted = by_answer(letters)[0]
    assert reading.shares == pytest.approx(np.exp(wanted) / np.exp(wanted).sum(), abs=1e-5)


def test_a_live_reading_is_held_against_the_stored_one(measured: Any) -> None:
    found = lens.lens(measured)
    asked = next(each for each in found.asked if each.kind == "to")
    now = {
        "dense": lens_live.LiveReading(asked.shares["dense"], asked.choices["dense"]),
        "pruned": lens_live.LiveReading((0.2, 0.5, 0.3), 1),
    }
    shown = lens_html.item(lens.Lens(found.asked, None, "chat"), [asked], 0, now)
    assert "Original (dense): “the young one”, as stored; each probability is within 0.0 points" in shown
    assert "Pruned: “cannot tell”; stored is “the old one”" in shown
    assert "need not agree" not in shown
    assert "need not agree" in lens_html.item(lens.Lens(found.asked, None, "chat, read by generate"), [asked], 0, now)


def test_generated_answers_are_counted(measured: Any) -> None:
    runs = [{"choice": choice} for choice in (0, 2, 2, -1, 2)]
    assert lens._shares(runs) == (0.2, 0, 0.6)
    assert lens._choice(runs) == 2


def test_a_release_states_of_an_item_what_the_app_reads() -> None:
    (read,) = lens._items([examples.example(BBQ_ITEM)])
    assert (read.category, read.example_id, read.target, read.answers) == ("Age", 7, 0, ("one", "two", "three"))
    assert read.prompt == question_text(BBQ_ITEM, 0)


@pytest.mark.parametrize("harm", ["missing", "text", "foreign"])
def test_answers_that_cannot_be_read_are_said_not_raised(measured: Any, harm: str) -> None:
    table = Path(measured.path) / lens.ANSWERS
    table.unlink()
    if harm == "text":
        table.write_text("no table")
    if harm == "foreign":
        parquet.write_table(pyarrow.table({"a": [1]}), table)
    assert "can be read" in lens.lens(measured).trouble


def test_the_items_of_a_program_are_those_of_the_page(measured: Any) -> None:
    comparison = compare.SideBySide(lineup.Lineup(None, (measured,)))
    found = comparison.items(kind="to")
    assert (found["total"], found["items"][0]["choices"]) == (1, {"dense": 2, "pruned": 0})
    assert comparison.items(limit=1, offset=3)["items"][0]["category"] == "SES"
    for wrong in ({"kind": "x"}, {"category": "x"}, {"limit": 0}, {"offset": -1}, {"variant": "x"}, {"kind": [1]}):
        with pytest.raises(Error):
            comparison.items(**wrong)


def test_a_records_numbers_become_points_with_their_intervals() -> None:
    found = records.read(example_record().to_json())
    srs, perplexity = found.numbers["srs"], found.numbers["perplexity"]
    assert (srs.dense, srs.pruned) == (0.0652, 0.0704)
    assert srs.low == pytest.approx(0.0652 + 0.0052 - 0.01)
    assert perplexity.low < perplexity.pruned < perplexity.high
    assert (found.method, found.sparsity) == ("random", pytest.approx(0.1))
    drawn = grid.picture({"me/pruned": found}) + grid.table({"me/pruned": found})
    assert drawn.count('role="img"') == len(grid.panels_of({"me/pruned": found}))
    assert "0.070" in drawn


@pytest.mark.parametrize(
    ("text", "value"), [("1,374.92", 1374.92), ("−0.35", -0.35), ("10 %", 0.1), ("× 1.5", 1.5), ("n/a", None)]
)
def test_numbers_are_read_as_cards_write_them(text: str, value: float | None) -> None:
    assert cards.number(text) == value


@given(st.floats(1e-6, 1e9), st.floats(1e-6, 1e9), st.booleans())
def test_every_value_of_a_panel_lies_within_it(one: float, other: float, logarithmic: bool) -> None:
    found = [grid.Point("x", "m", 0.5, facts.Measured(one, other))]
    scale = axes.scale_of([each.value for each in found], logarithmic)
    assert all(-1e-6 <= scale(value) <= 1 + 1e-6 for value in (one, other, *scale.ticks()))


def test_the_warning_the_caveats_and_the_verdicts_are_on_the_page() -> None:
    record = example_record()
    about = page.about(lineup.Source("me/pruned"), records.read(record.to_json()))
    wanted = ("Research artifact only", "Do not deploy it", "storage gain", "https://huggingface.co/me/pruned")
    verdicts = (f"{claim.title}: {claim.verdict}" for claim in statements(record))
    for words in (*wanted, *verdicts):
        assert words in about


def test_a_strangers_limits_are_caveats() -> None:
    assert cards.read("# x\n## Limits\n- a limit.\n").caveats == ("a limit.",)


# The grid


def variant(method: str, sparsity: float, dense: float, pruned: float, count: int | None) -> Any:
    srs = facts.Measured(pruned, dense, pruned - 0.1, pruned + 0.1, ",.4f", count)
    return facts.Facts(method=method, sparsity=sparsity, numbers={"srs": srs})


def panel(variants: dict[str, Any]) -> str:
    return grid.picture(variants).split("<figure>")[1]


def test_variants_measured_on_other_items_are_held_against_the_original_on_their_own() -> None:
    one, other = variant("random", 0.1, 0.51, 0.27, 100), variant("wanda", 0.5, 0.50, 0.14, 30)
    mixed = panel({"a": one, "b": other})
    assert "n = 30 or 100 questions" in mixed
    assert "Different samples" in mixed
    assert {"original, n = 30", "original, n = 100"} <= set(re.findall(r">(original[^<]*)<", mixed))
    assert "Different samples" not in panel({"a": one})
    assert set(re.findall(r">(original[^<]*)<", panel({"a": one}))) == {"original"}


def test_no_line_joins_variants_of_different_samples() -> None:
    first, second = variant("random", 0.1, 0.51, 0.4, 100), variant("random", 0.5, 0.51, 0.3, 100)
    alien = variant("random", 0.7, 0.50, 0.2, 30)
    lines = re.findall(r'class="curve m0" points="([^"]*)"', panel({"a": first, "b": second, "c": alien}))
    assert sorted(len(line.split()) for line in lines) == [2, 3]


@pytest.mark.parametrize("metric", grid.PANELS, ids=lambda metric: metric.key)
def test_every_panel_says_which_way_is_better_and_where_guessing_stands(metric: Any) -> None:
    measured = facts.Measured(0.3, 0.5, 0.2, 0.4, count=100)
    found = facts.Facts(method="random", sparsity=0.1, numbers={metric.key: measured})
    drawn = next(each for each in grid.picture({"a": found}).split("<figure>") if f"<h3>{metric.label}" in each)
    assert grid.DIRECTIONS[metric.better] in drawn
    assert ("guessing, " in drawn) == (metric.guessing is not None)
    assert f"n = 100 {metric.unit}" in drawn


def test_the_place_of_the_slider_is_a_line_in_every_panel() -> None:
    drawn = grid.picture({"a": variant("random", 0.1, 0.5, 0.3, 100)}, 0.4)
    assert [float(x) for x in re.findall(r'class="here" x1="([^"]*)"', drawn)] == [pytest.approx(axes.x_of(0.4))]
    assert "here" not in panel({"a": variant("random", 0.1, 0.5, 0.3, 100)})
