import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from PIL import Image

from release.card.render import render
from release.digests import FileDigest
from release.evals.bbq.items import Item
from release.evals.crows_pairs.compare import compare as crows_pairs
from release.evals.crows_pairs.data import SentencePair
from release.evals.divergence.compare import AskedPositions
from release.evals.divergence.compare import compare as divergence
from release.evals.divergence.table import write_positions
from release.evals.drawing import COLOURS, FILLS, INK, LINES, MARKERS, WIDTH
from release.evals.figures import draw
from release.evals.forms import digits_of
from release.evals.latency.result import Load
from release.evals.latency.table import Timings, file_name, record_of, write_timings
from release.evals.sentences.compare import AskedSentences, SentenceLikelihoods
from release.evals.stereoset.compare import compare as stereoset
from release.evals.stereoset.data import StereoItem
from release.evals.winobias.compare import compare as winobias
from release.evals.winobias.data import WinoPair
from release.format import fixed, interval, signed, signed_interval
from release.schema.measurements import Measurements
from tests import records

BACKGROUNDS = {"white": "#ffffff", "dark": "#0b0f19"}
NASTY = "<Age> & $x^2_{\\frac{1}{0}}$ -- \x07\u202e ]]>"
NAMES = ("bias-by-category", "letters", "crows-pairs", "stereoset", "winobias", "divergence", "latency")
"""In the order of the evaluations."""
FURTHER = {"crows_pairs": None, "stereoset": None, "winobias": None, "divergence": None}
NO_LETTERS = {"bbq": records.example_bbq(letters_dense=None, letters_pruned=None)}
ITEM = Item("Age", 0, "1", "neg", "ambig", "", "", ("a", "b", "c"), ("x", "y", "unknown"), 2, 2, 0)


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluation")
    write_timings(folder / file_name("transformers"), (ITEM,) * 26, timings())
    write_positions(folder / "divergence.parquet", list(range(32)), positions())
    return folder


@pytest.fixture(scope="module")
def figures(evaluation: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """Every figure there is, drawn once; not to be changed."""
    return draw(measured(), evaluation, tmp_path_factory.mktemp("figures"))


def timings() -> Timings:
    rng = np.random.default_rng(0)
    return Timings(rng.lognormal(-2, 0.2, (26, 2, 2)), "cpu", "bfloat16", 2, Load(others=0.02, switches=3.0))


def positions() -> np.ndarray:
    rng = np.random.default_rng(2)
    found = np.zeros((32, 40, 4), np.float32)
    found[:, :, 0] = rng.lognormal(-1, 2, (32, 40))
    found[:, :, 1] = rng.random((32, 40)) < 0.8
    found[:, :, 2:] = -rng.random((32, 40, 2)) * 3
    return found


def sentences() -> dict[str, Any]:
    """Results of the three benchmarks of sentences, as invented likelihoods give them."""
    rng = np.random.default_rng(3)
    pairs = [SentencePair(n, ("age", "physical-appearance")[n % 2]) for n in range(60)]
    kinds = ("gender", "profession", "race", "religion")
    items = [
        StereoItem(n, ("intrasentence", "intersentence")[n % 2], kinds[n // 2 % 4], f"term-{n % 40}")
        for n in range(160)
    ]
    winos = [WinoPair(n, f"type {n % 2 + 1}", f"a, {n % 30}") for n in range(90)]
    asked = {
        "crows_pairs": (crows_pairs, pairs, 2),
        "stereoset": (stereoset, items, 3),
        "winobias": (winobias, winos, 4),
    }
    return {
        key: compare(
            AskedSentences(each, records.bbq_data(), 42, 1, "float32"),
            *(SentenceLikelihoods(rng.normal(-5, 1, (len(each), width))) for _ in range(2)),
        )
        for key, (compare, each, width) in asked.items()
    }


@cache
def further() -> dict[str, Any]:
    return sentences() | {"divergence": divergence(AskedPositions(32, 49_152, "float32"), positions())}


def measured(**changes: Any) -> Measurements:
    latency = record_of(timings(), records.bbq_data(), 3.0)
    return records.example_measurements(**{"latency": latency} | further() | changes)


def names(paths: tuple[Path, ...]) -> set[str]:
    return {path.name for path in paths}


def both(*stems: str) -> set[str]:
    return {f"{stem}.{form}" for stem in stems for form in ("svg", "png")}


@pytest.mark.quick_rows(2)
@pytest.mark.parametrize(
    ("changes", "drawn"),
    [
        (FURTHER | {"latency": None} | NO_LETTERS, both("bias-by-category")),
        (FURTHER | {"bbq": records.example_bbq(scores=(), by_category=())}, both("letters", "latency")),
        (FURTHER | {"bbq": None, "latency": None}, set()),
        ({"bbq": None, "latency": None, "stereoset": None}, both("crows-pairs", "winobias", "divergence")),
        (FURTHER | {"bbq": None, "latency": None, "stereoset": further()["stereoset"]}, both("stereoset")),
    ],
)
def test_only_what_was_measured_is_drawn(
    tmp_path: Path, evaluation: Path, figures: tuple[Path, ...], changes: dict[str, Any], drawn: set[str]
) -> None:
    assert names(figures) == both(*NAMES)
    for path in figures:
        shutil.copy(path, tmp_path)
    written = draw(measured(**changes), evaluation, tmp_path)
    assert names(written) == {path.name for path in tmp_path.iterdir()} == drawn


@pytest.mark.long
def test_drawing_twice_gives_the_same_bytes(tmp_path: Path, evaluation: Path, figures: tuple[Path, ...]) -> None:
    with matplotlib.rc_context({"lines.linewidth": 7, "text.color": "red", "svg.hashsalt": "other"}):
        again = draw(measured(), evaluation, tmp_path)
    for one, other in zip(figures, again, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_a_figure_fits_a_card_and_names_no_day_and_no_version(figures: tuple[Path, ...]) -> None:
    for path in figures:
        content = path.read_bytes()
        assert matplotlib.__version__.encode() not in content
        if path.suffix == ".png":
            assert len(content) < 100_000
            with Image.open(path) as image:
                assert image.width == WIDTH * 150
                assert set(image.info) <= {"dpi"}
                assert image.convert("RGBA").getpixel((0, 0))[3] == 0
        else:
            assert b"<dc:date>" not in content


def luminance(colour: str) -> float:
    """Relative luminance, as WCAG 2 defines it."""
    values = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("background", BACKGROUNDS.values(), ids=BACKGROUNDS)
@pytest.mark.parametrize("colour", [INK, *COLOURS.values()])
def test_every_colour_is_readable_on_a_light_and_on_a_dark_page(colour: str, background: str) -> None:
    dark, light = sorted((luminance(colour), luminance(background)))
    assert (light + 0.05) / (dark + 0.05) >= 4


def test_no_other_colour_is_drawn(figures: tuple[Path, ...]) -> None:
    allowed = {INK, *COLOURS.values(), "none"}
    for path in figures:
        if path.suffix == ".svg":
            assert _colours(path) <= allowed
            assert INK in _colours(path)


def _colours(path: Path) -> set[str]:
    found = set()
    for element in ElementTree.parse(path).iter():
        for rule in element.get("style", "").split(";"):
            name, _, value = rule.partition(":")
            if name.strip() in ("fill", "stroke") and not value.strip().startswith("url"):  # a hatch, drawn elsewhere
                found.add(value.strip())
    return found


MACHADO = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
"""How a colour is seen, in linear RGB (Machado, Oliveira and Fernandes 2009, severity 1)."""


@pytest.mark.parametrize("vision", MACHADO)
def test_dense_and_pruned_are_apart_for_every_colour_vision(vision: str) -> None:
    seen = [np.array(MACHADO[vision]) @ _linear(colour) for colour in COLOURS.values()]
    assert np.abs(np.subtract(*seen)).max() > 0.15


def _linear(colour: str) -> np.ndarray:
    values = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("shapes", [MARKERS, LINES, FILLS], ids=["markers", "lines", "fills"])
def test_dense_and_pruned_differ_in_shape_too(shapes: dict[str, object]) -> None:
    assert shapes["dense"] != shapes["pruned"]


@pytest.mark.long
def test_text_from_a_record_is_drawn_literally(tmp_path: Path, evaluation: Path) -> None:
    scores = tuple(records.score("srs", over, 0.4, 0.5) for over in (NASTY, "Age"))
    bbq = records.example_bbq(by_category=scores)
    latency = record_of(timings(), records.bbq_data(), 3.0).model_copy(update={"device": NASTY})
    for path in draw(measured(bbq=bbq, latency=latency), evaluation, tmp_path):
        if path.suffix == ".svg":
            ElementTree.parse(path)
    assert "$x^2_" in (tmp_path / "bias-by-category.svg").read_text(encoding="utf-8")
    assert "$x^2_" in (tmp_path / "latency.svg").read_text(encoding="utf-8")


@pytest.mark.long
def test_drawing_leaves_matplotlibs_settings_and_needs_no_display(
    tmp_path: Path, evaluation: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # importing it fails
    before = settings()
    assert draw(measured(bbq=None), evaluation, tmp_path)
    assert settings() == before


def settings() -> dict[str, object]:
    names = set(matplotlib.rcParams) - {"backend"}  # reading that one chooses one
    return {name: matplotlib.rcParams[name] for name in names}


def drawn_card(drawn: tuple[str, ...], forms: tuple[str, ...] = ("png", "svg")) -> str:
    """The card of a release that holds some of the figures."""
    files = [f"figures/{name}.{form}" for name in drawn for form in forms]
    digests = tuple(FileDigest(name=name, bytes=1, sha256=records.digest("a")) for name in files)
    return render(records.example_record(measurements=measured(), files=digests))


@pytest.mark.parametrize("count", range(len(NAMES) + 1))
def test_the_card_shows_the_figures_that_the_release_holds(count: int) -> None:
    card = drawn_card(NAMES[:count])
    assert [f"](figures/{name}.png)](figures/{name}.svg)" in card for name in NAMES] == [
        index < count for index in range(len(NAMES))
    ]
    assert card.index("<summary>All tables and figures") > card.find("figures/bias-by-category.png")


def test_a_figure_without_svg_links_to_itself() -> None:
    assert "](figures/letters.png)](figures/letters.png)" in drawn_card(("letters",), ("png",))


def test_the_words_beside_a_figure_give_its_numbers() -> None:
    words = re.findall(r"^\[!\[(.*)\]\(figures/", drawn_card(NAMES), re.MULTILINE)
    latency = measured().latency
    assert latency is not None
    digits = digits_of(latency.ratio)
    for text, expected in zip(
        words,
        (
            "Mean over categories: +0.005 (−0.005 to +0.015). Age: +0.005 (−0.005 to +0.015), 100 items.",
            "A: dense 203, pruned 201. B: dense 205, pruned 208. C: dense 192, pruned 191.",
            f"All pairs: {in_words('crows_pairs', 'pct_stereotype', 'items')}. age: ",
            f"intrasentence: {in_words('stereoset', 'stereotype_score', 'intrasentence')}. ",
            f"All, with it: {in_words('winobias', 'winobias_pro', 'items')}. ",
            f"Median {fixed(further()['divergence'].median.value, 4)}, 99th percentile ",
            f"{fixed(latency.ratio.value, digits)} ({interval(latency.ratio, digits)})",
        ),
        strict=True,
    ):
        assert expected in text


def in_words(key: str, name: str, over: str) -> str:
    found = next(each for each in further()[key].scores if (each.name, each.over) == (name, over))
    digits = digits_of(found.difference)
    sides = f"{fixed(found.dense.value, digits)} → {fixed(found.pruned.value, digits)}"
    change = f"{signed(found.difference.value, digits)} ({signed_interval(found.difference, digits)})"
    return f"{sides}, {change}"


def test_a_model_beside_itself_has_no_figure_of_the_divergence(tmp_path: Path, evaluation: Path) -> None:
    same = further()["divergence"].model_copy(update={"largest": 0.0})
    assert draw(measured(**FURTHER | {"bbq": None, "latency": None, "divergence": same}), evaluation, tmp_path) == ()


@pytest.mark.quick_rows(1)
@pytest.mark.parametrize("module", ["release.cli", "release.card.render", "release.report"])
def test_matplotlib_is_loaded_for_drawing_alone(module: str) -> None:
    code = f"import sys, {module}; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
