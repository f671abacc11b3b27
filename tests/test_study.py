"""A study's file: read whole, refused with the field's name, and nothing about one study is wired in."""

from decimal import Decimal

import pytest
import yaml

from release.card.render import references, render
from release.errors import UnusableData
from release.plan import release_name
from release.pruning.recipe import Recipe
from release.schema.study import NONE, Study, default_study, read_study, study_of
from tests.records import example_record

FILE = {
    "title": "Sparse and | strange",
    "authors": "A. Writer, B. <b>Reader</b>",
    "bibtex": "@article{writer2027,\n  title = {Sparse}\n}\n",
    "url": "https://example.org/paper",
    "results": [{"what": "Found", "setting": "everywhere", "value": "much", "headline": True}],
    "suffix": "edge",
}


def written(tmp_path, **changes):
    path = tmp_path / "study.yaml"
    fields = {key: value for key, value in (FILE | changes).items() if value is not None}
    path.write_text(yaml.safe_dump(fields), encoding="utf-8")
    return path


def test_the_study_that_ships_is_the_default_and_none_leaves_it_out():
    assert study_of(None) is default_study()
    assert default_study().arxiv == "2605.08137"
    assert study_of(NONE) is None


def test_another_study_takes_its_place_on_the_card(tmp_path):
    card = render(example_record(study=study_of(str(written(tmp_path)))))
    assert (
        "**Sparse and \\| strange.** A. Writer, B. &lt;b&gt;Reader&lt;/b&gt;. [Read it](https://example.org/paper)"
        in card
    )
    assert "| Found | everywhere | see Caveats |" in card
    assert "*The study, not measured here:* everywhere: much." in card
    assert "@article{writer2027," in card
    for word in ("Rath", "2605.08137", "IEEE", "study's configurations"):
        assert word not in card


def test_without_a_study_no_section_speaks_of_one():
    record = example_record(study=None)
    card = render(record)
    assert "## Reported by the study" not in card
    assert "the study" not in card
    assert "arxiv:" not in card
    assert not any("rath2026" in entry for entry in references(record))


def test_a_study_without_results_has_no_table_of_them(tmp_path):
    assert "Reported by the study" not in render(example_record(study=read_study(written(tmp_path, results=[]))))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"title": None}, "title: Field required"),
        ({"title": " "}, "title: "),
        ({"bibtex": "no entry"}, "bibtex: "),
        ({"arxiv": "2605.08137](x"}, "arxiv: "),
        ({"url": "javascript:alert(1)"}, "url: "),
        ({"suffix": "../up"}, "suffix: "),
        ({"venu": "a typo"}, "venu: "),
        ({"results": [{"what": "x"}]}, "results.0.setting: Field required"),
        ({"sparsities": ["much"]}, "sparsities.0: "),
    ],
)
def test_a_field_that_is_missing_or_wrong_is_named(tmp_path, changes, named):
    with pytest.raises(UnusableData, match=r"docs/study\.md") as caught:
        read_study(written(tmp_path, **changes))
    assert named in caught.value.seen


@pytest.mark.parametrize(
    ("content", "says"), [("a: [", "is no YAML"), ("- a\n", "holds no fields"), (None, "cannot be read")]
)
def test_what_is_no_study_is_refused(tmp_path, content, says):
    path = tmp_path / "study.yaml"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(UnusableData, match=says):
        read_study(path)


CELL = ("a/b", "random", "0.1")


@pytest.mark.parametrize(
    ("asked", "covered"),
    [(CELL, True), (("a/c", *CELL[1:]), False), (("a/b", "wanda", "0.1"), False), (("a/b", "random", "0.2"), False)],
)
def test_a_release_is_a_cell_where_base_method_and_sparsity_are(asked, covered):
    cells = {"models": ("a/b",), "methods": ("random",), "sparsities": (Decimal("0.10"),)}
    study = Study(title="t", authors="a", bibtex="@a{b}", **cells)
    assert study.covers(*asked[:2], Decimal(asked[2])) == covered


def test_the_suffix_ends_the_name_of_a_release():
    recipe = Recipe.of("random", Decimal("0.1"), 7)
    assert release_name("base", recipe, "edge") == "base-random-s10-seed7-edge"
    assert release_name("base", recipe) == "base-random-s10-seed7"
