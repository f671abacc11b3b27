"""The Space's sparsity slider: copies made from the dense weights, byte for byte what pruning would have published."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from hypothesis import given
from hypothesis import strategies as st

from release.__main__ import run
from release.pruning.budget import uniform
from release.schema.record import Record
from tests import checkpoints
from tests.space_fixtures import module

NAMES = ("compare", "conversation", "copies", "lens", "lineup", "models", "page", "reading", "rebuild")
compare, conversation, copies, lens, lineup, models, page, reading, rebuild = map(module, NAMES)
slider_html, slider_tab = map(module, ("slider_html", "slider_tab"))

PUBLISHED = {
    "random": ("random", "0.3"),
    "magnitude": ("magnitude", "0.5"),
    "random in rows": ("random", "0.45", "--scope", "row"),
    "magnitude in rows": ("magnitude", "0.333", "--scope", "row"),
    "magnitude across layers": ("magnitude", "0.6", "--scope", "global"),
    "wanda": ("wanda", "0.5", *checkpoints.CALIBRATION),
    "finer": ("random", "0.12345"),
}
SCHEMES = list(PUBLISHED)[:-2]


@pytest.fixture(scope="module")
def line_up(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A dense model of several files, and releases of it."""
    root = tmp_path_factory.mktemp("slider")
    base = checkpoints.make(root / "base", "llama", shard="30KB")
    (base / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    for name, (method, sparsity, *more) in PUBLISHED.items():
        command = ["prune", str(base), "--method", method, "--sparsity", sparsity, *more]
        assert run([*command, "--out", str(root / name)]) == 0
    pruned = tuple(lineup.Source(f"me/{name.replace(' ', '-')}", str(root / name)) for name in PUBLISHED)
    return lineup.Lineup(lineup.Source("me/base", str(base)), pruned)


@pytest.fixture
def maker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(copies.tempfile, "gettempdir", lambda: str(tmp_path))
    made = copies.Maker()
    monkeypatch.setattr(slider_tab, "MAKER", made)
    monkeypatch.setattr(models, "MAKER", made)
    return made


def copy(line_up: Any, scheme: str, percent: float) -> Any:
    return lineup.LocalCopy(line_up.dense, line_up.pruned, scheme, percent)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_copy_at_a_published_sparsity_is_the_published_files_byte_for_byte(
    line_up: Any, maker: Any, scheme: str
) -> None:
    percent = round(float(PUBLISHED[scheme][1]) * 100, 2)
    published = copies.prunable(line_up.pruned).at(scheme, percent)
    made = maker.make(copy(line_up, scheme, percent))
    assert dict(made.digests) == dict(published.digests)
    assert len(made.digests) > 1
    for name in made.digests:
        assert (made.folder / name).read_bytes() == (Path(published.source.path) / name).read_bytes()


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=12), st.integers(1, 900))
def test_budgets_are_those_of_the_release(counts: list[int], thousandths: int) -> None:
    sizes, share = {f"layer.{index}": count for index, count in enumerate(counts)}, Decimal(thousandths) / 1000
    assert rebuild.budgets(sizes, share) == uniform(sizes, share).zeros


@pytest.mark.parametrize(
    ("scheme", "percent"), [("random", 0), ("random", 42.5), ("magnitude", 90), *((scheme, 70) for scheme in SCHEMES)]
)
def test_a_copy_has_the_zeros_asked_for_and_loads_under_its_name(
    line_up: Any, maker: Any, scheme: str, percent: float
) -> None:
    asked = copy(line_up, scheme, percent)
    source = line_up.variant(asked.source.id)
    assert source == asked.source
    sizes, dense = copies.prunable(line_up.pruned).sizes, checkpoints.tensors(Path(line_up.dense.path))
    before = sum(int((dense[name] == 0).sum()) for name in sizes)
    models.load(source)
    found = checkpoints.tensors(maker.make(asked).folder)
    zeros = sum(int((found[name] == 0).sum()) for name in sizes)
    assert zeros == max(before, round(sum(sizes.values()) * percent / 100))


def test_only_two_copies_lie_on_the_disk(line_up: Any, maker: Any, tmp_path: Path) -> None:
    for percent in (10, 20, 30):
        made = maker.make(copy(line_up, "random", percent))
    assert len(list(made.folder.parent.iterdir())) == copies.KEPT


@pytest.mark.parametrize(
    "name",
    [
        "random, 90.5 % zeros, made here",
        "random, 30.125 % zeros, made here",
        "wanda, 10 % zeros, made here",
        "random, 1e1 % zeros, made here",
        "x",
    ],
)
def test_no_other_name_makes_a_copy(line_up: Any, name: str) -> None:
    with pytest.raises(KeyError):
        line_up.variant(name)


def test_nothing_measured_is_said_of_a_copy(line_up: Any) -> None:
    source = copy(line_up, "random", 40).source
    found = reading.facts(source)
    assert found.numbers == {}
    assert found.measurements == ()
    assert "Made here, not measured" in page.headline(found, live=True)
    assert "40 %" in page.about(source, found)
    assert "Its card" not in page.about(source, found)
    assert "not measured" in lens.lens(source).trouble


def test_a_copy_has_the_license_of_the_releases_that_were_made_of_the_same_weights(line_up: Any) -> None:
    source = copy(line_up, "random", 40).source
    assert "research only; license apache-2.0" in page.about(source, reading.facts(source))
    assert "no license is stated" in page.about(source, replace(reading.facts(source), license=None))


def drawn(line_up: Any) -> Any:
    talk = conversation.Conversation(compare.SideBySide(line_up, True))
    talk.draw_head()
    tab = slider_tab.SliderTab(talk, {})
    tab.draw()
    return tab


@pytest.fixture
def tab(line_up: Any, maker: Any) -> Callable[..., list[Any]]:
    """The tab's step to a place of the slider: its lines, whether it asks first, and the variant that it chooses."""
    with gr.Blocks():
        shown = drawn(line_up)

    def move(method: str, percent: float) -> tuple[str, bool, str | None]:
        said, ask, _, variant, *_ = list(shown.moved(method, percent))[-1]
        return said, ask.visible, getattr(variant, "value", None)

    return move


def test_a_place_that_is_published_is_checked_and_any_other_is_called_not_measured(tab: Any, maker: Any) -> None:
    said, ask, chosen = tab("random", 30)
    assert (ask, chosen) == (False, "me/random")
    assert "✓ Random 30 % is me/random" in said
    said, _, chosen = tab("random", 30.5)
    assert chosen == "random, 30.5 % zeros, made here"
    assert "made here, not measured" in said


def test_what_is_said_of_a_copy_comes_together_with_it(line_up: Any, maker: Any) -> None:
    with gr.Blocks():
        *_, last = drawn(line_up).moved("random", 30.5)
    sentence, heading, *_ = last[-4:]
    assert "random, 30.5 % zeros, made here" in heading
    assert "not measured" in sentence


def test_where_a_step_takes_long_the_slider_says_how_long_and_asks_first(tab: Any, maker: Any, tmp_path: Path) -> None:
    maker.rate = 100.0
    said, ask, chosen = tab("magnitude", 40)
    assert (ask, chosen) == (True, None)
    assert re.search(r"takes about \d+ min \d+ s on this machine", said)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_copies_of_other_dense_weights_are_not_called_the_release(line_up: Any, maker: Any, tmp_path: Path) -> None:
    other = checkpoints.copy(Path(line_up.dense.path), tmp_path / "other")
    weights = bytearray((other / "model-00001-of-00002.safetensors").read_bytes())
    weights[-1] ^= 1
    (other / "model-00001-of-00002.safetensors").write_bytes(weights)
    swapped = lineup.Lineup(lineup.Source("me/base", str(other)), line_up.pruned)
    with gr.Blocks():
        shown = drawn(swapped)
    said, _, _, variant, *_ = list(shown.moved("random", 30))[-1]
    assert "It is not me/random" in said
    assert variant.value == "random, 30 % zeros, made here"


@pytest.mark.parametrize("harm", ["no record", "broken", "no table", "foreign"])
def test_without_a_release_beside_it_there_is_a_sentence_instead_of_a_slider(
    line_up: Any, tmp_path: Path, harm: str
) -> None:
    record = json.loads(Record.read(Path(line_up.pruned[0].path)).to_json())
    texts = {"broken": "{", "no table": json.dumps(record), "foreign": '{"pruning": 3}'}
    (tmp_path / "m").mkdir()
    if harm in texts:
        (tmp_path / "m" / "release.json").write_text(texts[harm])
    with pytest.raises(copies.CopyError, match="None of the pruned models"):
        copies.prunable((lineup.Source("me/m", str(tmp_path / "m")),))


def test_copies_of_an_app_that_was_killed_go_when_the_next_one_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies.tempfile, "gettempdir", lambda: str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    names = {f"copies-{dead.pid}-x": False, f"copies-{os.getpid()}-x": True, "copies-of-mine": True, "other": True}
    for name in names:
        (tmp_path / name / "random-30").mkdir(parents=True)
    copies.forget_left_over()
    assert {name: (tmp_path / name).exists() for name in names} == names


def linked(line_up: Any, name: str, live: bool = True) -> tuple[str, Any, str]:
    with gr.Blocks():
        talk = conversation.Conversation(compare.SideBySide(line_up, live))
        talk.draw_head()
    return talk._linked(name)


def test_a_link_to_a_copy_leads_to_it_unless_making_it_takes_long(
    line_up: Any, maker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "MAKER", maker)
    name = copy(line_up, "random", 40).source.id
    maker.rate = 1e12
    variant, menu, _ = linked(line_up, name)
    assert (variant, menu.value, menu.choices[-1][1]) == (name, name, name)
    maker.rate = 100.0
    variant, _, words = linked(line_up, name)
    assert variant == "me/random"
    assert re.search(r"takes about [\d,]+ s here", words)
    assert linked(line_up, name, live=False)[0] == "me/random"
    assert linked(line_up, "random, 95 % zeros, made here") == ("me/random", "me/random", "")


def test_the_page_names_the_releases_that_the_slider_cannot_make(line_up: Any) -> None:
    words = slider_html.intro(copies.prunable(line_up.pruned))
    assert "not on the slider: me/wanda (wanda); me/finer (random, between two places)" in words
    assert "me/random" not in words


def test_the_slider_has_a_place_for_every_release_that_can_be_made(line_up: Any) -> None:
    found = copies.prunable(line_up.pruned)
    assert found.schemes == tuple(SCHEMES)
    assert found.step == 0.1
    assert copies.prunable(line_up.pruned[:2]).schemes == ("random", "magnitude")
    assert copies.prunable(line_up.pruned[:2]).step == 0.5


def test_a_way_in_which_no_release_was_pruned_is_refused(line_up: Any, maker: Any) -> None:
    few = lineup.Lineup(line_up.dense, line_up.pruned[:2])
    for act in (maker.make, maker.seconds):
        with pytest.raises(copies.CopyError, match="No release here was pruned “random in rows”"):
            act(copy(few, "random in rows", 40))
