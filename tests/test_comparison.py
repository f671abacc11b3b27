"""Releases beside each other: the table, what masks differ by, the Pareto front, and cards that their files belie."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.patches import Rectangle

from release.__main__ import run
from release.comparison.curves import _drawn
from release.comparison.fronts import front
from release.comparison.index import _licence
from release.comparison.masks import over_masks
from release.comparison.reported import NOTHING, reported
from release.comparison.rows import ComparedRelease, column
from release.comparison.significance import significance
from release.comparison.table import table
from release.comparison.write import NAMES, write_comparison
from release.evals.engine.statistics import t_interval
from release.evals.line import NO_INTERVAL
from release.schema.record import Check, Licence, Record
from release.schema.study import Study
from release.values import Estimate
from tests import checkpoints
from tests.records import example_record

GOLDENS = sorted((Path(__file__).parent / "goldens").glob("*/release.json"))


def goldens() -> list[ComparedRelease]:
    return [ComparedRelease.built_here(Record.model_validate_json(path.read_bytes())) for path in GOLDENS]


def with_change(record: Record, seed: int, change: Estimate) -> ComparedRelease:
    """The same release of another mask, whose perplexity changed so."""
    perplexity = record.measurements.perplexity.model_copy(update={"ratio": change})
    recipe = record.plan.recipe.model_copy(update={"seed": seed})
    measuring = record.plan.measuring.model_copy(update={"seed": seed, "sample_seed": 42})
    made = record.model_copy(
        update={
            "name": record.name if seed == 42 else f"{record.name}-seed{seed}",
            "plan": record.plan.model_copy(update={"recipe": recipe, "measuring": measuring}),
            "pruning": record.pruning.model_copy(update={"seed": seed}),
            "measurements": record.measurements.model_copy(update={"perplexity": perplexity}),
        }
    )
    return ComparedRelease.built_here(made)


def ratio(logarithm: float, error: float, df: float = 30) -> Estimate:
    found = t_interval(logarithm, error, df)
    value, low, high = (math.exp(end) for end in (logarithm, found.low or 0, found.high or 0))
    return Estimate(value=value, low=low, high=high, df=df)


def perplexity_over(changes: list[Estimate]) -> Estimate:
    record = example_record()
    releases = [with_change(record, 42 + place, change) for place, change in enumerate(changes)]
    [found] = [each for each in over_masks(releases) if each.line.metric.key == "perplexity"]
    return found.mean


@pytest.mark.long
@given(st.floats(-1, 3), st.floats(0.01, 0.5), st.integers(2, 6))
def test_masks_that_do_the_same_leave_the_interval_of_sampling(place: float, error: float, masks: int) -> None:
    """All masks are asked the same samples, so more of them make it no narrower."""
    one = ratio(place, error)
    found = perplexity_over([one] * masks)
    assert found.value == pytest.approx(one.value)
    assert (found.low, found.high) == (pytest.approx(one.low), pytest.approx(one.high))


@pytest.mark.long
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=6, unique=True))
def test_masks_measured_without_error_leave_student_s_interval_over_masks(places: list[float]) -> None:
    values = np.array(places)
    if values.std() < 1e-3:
        return
    found = perplexity_over([ratio(place, 1e-9) for place in places])
    due = t_interval(float(values.mean()), float(values.std(ddof=1)) / math.sqrt(len(values)), len(values) - 1)
    assert math.log(found.low or 1) == pytest.approx(due.low, abs=1e-4)
    assert math.log(found.high or 1) == pytest.approx(due.high, abs=1e-4)


def test_a_single_mask_and_masks_of_other_samples_are_no_group() -> None:
    record = example_record()
    one, other = with_change(record, 42, ratio(0, 0.1)), with_change(record, 43, ratio(0, 0.1))
    assert over_masks([one]) == []
    assert other.record
    measuring = other.record.plan.measuring.model_copy(update={"sample_seed": 43})
    plan = other.record.plan.model_copy(update={"measuring": measuring})
    elsewhere = ComparedRelease.built_here(other.record.model_copy(update={"plan": plan}))
    assert over_masks([one, elsewhere]) == []


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=8))
def test_a_front_holds_all_that_no_other_beats_and_nothing_else(points: list[tuple[int, int]]) -> None:
    record = example_record()
    releases = []
    for place, (zeros, cost) in enumerate(points):
        found = record.measurements.perplexity
        assert found
        pruned = found.pruned.model_copy(update={"value": float(cost)})
        perplexity = found.model_copy(update={"pruned": pruned})
        measurements = record.measurements.model_copy(update={"perplexity": perplexity})
        made = record.model_copy(update={"measurements": measurements, "name": f"m{place}"})
        releases.append(ComparedRelease(made.name, made, zeros / 10, None))
    kept = {each.name for each in front(releases, "perplexity")}
    for place, (zeros, cost) in enumerate(points):
        beaten = any(z >= zeros and c <= cost and (z, c) != (zeros, cost) for z, c in points)
        assert (f"m{place}" in kept) is not beaten


@pytest.mark.long
def test_the_table_is_the_same_in_csv_and_parquet_and_holds_every_metric(tmp_path: Path) -> None:
    releases = goldens()
    write_comparison(releases, tmp_path, "Goldens")
    columns, rows = table(releases)
    with (tmp_path / "report.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    stored = pq.read_table(tmp_path / "report.parquet")
    assert stored.column_names == columns == list(written[0])
    assert stored.to_pylist() == [{name: row.get(name) for name in columns} for row in rows]
    assert [row["release"] for row in written] == [release.name for release in releases]
    for release in releases:
        assert {f"{column(line)}_low" for line in release.lines} <= set(columns)


@pytest.mark.long
def test_the_same_releases_give_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        write_comparison(goldens(), tmp_path / folder, "Goldens")
    for name in NAMES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_page_and_its_markdown_hold_names_from_outside_as_text(tmp_path: Path) -> None:
    stranger = ComparedRelease("<script>alert(1)</script> | `x`", None, 0.5, None)
    write_comparison([stranger], tmp_path, "<b>")
    assert "<script>" not in (tmp_path / "report.html").read_text()
    row = next(line for line in (tmp_path / "report.md").read_text().splitlines() if "alert" in line)
    assert "<script>" not in row
    assert row.replace("\\|", "").count("|") == 3


@pytest.mark.parametrize(
    ("licences", "stated"),
    [
        ([Licence(id="mit")] * 2, {"license": "mit"}),
        ([Licence(id="mit"), Licence(id="apache-2.0")], {"license": ["mit", "apache-2.0"]}),
        ([Licence()] * 2, {"license": "unknown"}),
        ([Licence(id="mit"), Licence()], {"license": ["mit", "unknown"]}),
        (
            [Licence(id="other", name="llama9", file="LICENSE")] * 2,
            {
                "license": "other",
                "license_name": "llama9",
                "license_link": "https://huggingface.co/lab/a/blob/main/LICENSE",
            },
        ),
    ],
)
def test_an_index_card_states_the_licenses_of_its_releases(licences: list[Licence], stated: dict[str, object]) -> None:
    record, releases = example_record(), []
    for name, licence in zip(("lab/a", "lab/b"), licences, strict=True):
        base = record.base.model_copy(update={"licence": licence})
        made = ComparedRelease.built_here(record.model_copy(update={"base": base}))
        releases.append(replace(made, name=name))
    assert _licence(releases) == stated


def test_fewer_claims_stand_where_their_number_is_regarded() -> None:
    found = significance(goldens())
    assert found.asked >= found.alone >= found.card >= found.over_all > 0


def test_what_a_study_reported_stands_beside_the_releases_that_it_tells_of_and_no_others() -> None:
    perplexity = {"what": "Perplexity", "value": "high", "metrics": ("perplexity",)}
    results = [
        {**perplexity, "setting": "random", "method": "random"},
        {**perplexity, "setting": "half", "sparsity": "0.5"},
        {**perplexity, "setting": "another model", "model": "org/other"},
        {**perplexity, "setting": "all", "metrics": ("significance",)},
        {**perplexity, "setting": "a base that is not here", "base": "org/other"},
    ]
    told = {"title": "T", "authors": "A", "bibtex": "@article{a,}", "results": results}
    study = Study.model_validate(told)
    records = [each.record.model_copy(update={"study": study}) for each in goldens() if each.record]
    releases = [ComparedRelease.built_here(record) for record in records]
    [(_, found)] = reported(releases, significance(releases))
    here = {each.setting: [said.split(":")[0] for said in each.here] for each in found}
    assert here.pop("all") == [significance(releases).said]
    assert here == {
        "random": [record.name for record in records if record.pruning.method == "random"],
        "half": [record.name for record in records if str(record.pruning.target_sparsity) == "0.5"],
        "another model": [NOTHING],
    }
    assert len(here["half"]) == 2


def test_a_report_names_the_card_that_its_files_belie(release: Path, tmp_path: Path, capsys) -> None:
    """Two of ours, one of which lost zeros; one of another tool's, whose card promises more than its files hold."""
    belied = checkpoints.copy(release, tmp_path / "belied")
    values = checkpoints.tensors(belied)
    name = next(key for key in values if "mlp" in key)
    values[name][values[name] == 0] = 1.0
    for path in belied.glob("*.safetensors"):
        path.unlink()
    (belied / "model.safetensors.index.json").unlink()
    checkpoints.write(belied, values)
    foreign = checkpoints.make(tmp_path / "foreign", "llama")
    (foreign / "README.md").write_text("# A model\n\nTarget sparsity: 50 %\n")
    code = run(
        [
            "report",
            str(release),
            str(belied),
            str(foreign),
            str(tmp_path / "none"),
            "--out",
            str(tmp_path / "r"),
            "--json",
        ]
    )
    found = {each["name"]: each for each in json.loads(capsys.readouterr().out)["releases"]}
    agrees = {Path(name).name: each["agrees"] for name, each in found.items()}
    assert code == 1
    assert agrees == {release.name: True, "belied": False, "foreign": False, "none": False}
    assert found[str(foreign)]["actual_sparsity"] == 0
    assert found[str(belied)]["actual_sparsity"] < found[str(release)]["actual_sparsity"]
    assert "card and files disagree" in (tmp_path / "r" / "report.html").read_text()


@pytest.mark.parametrize(
    ("checks", "agrees"),
    [
        (None, None),
        ((("weights", True), ("card", None)), None),
        ((("weights", True), ("card", None), ("card", True)), True),
        ((("weights", True), ("card", True), ("card", False)), False),
        ((("weights", False), ("card", None)), False),
    ],
)
def test_a_stranger_s_card_agrees_only_where_something_it_states_could_be_checked(
    checks: tuple[tuple[str, bool | None], ...] | None, agrees: bool | None
) -> None:
    """A card that said “pruned at 50 % sparsity” in a sentence alone counted as one that agrees, over files of 35 %."""
    made = None if checks is None else tuple(Check(name=name, ok=ok, detail="") for name, ok in checks)
    assert ComparedRelease("vera/sparse", None, 0.35, None, made).agrees is agrees


def test_masks_of_a_recipe_and_what_a_study_reported_stand_in_the_table_beside_each_metric() -> None:
    record = example_record()
    told = {"what": "Perplexity", "value": "+3 %", "setting": "all", "metrics": ("perplexity", "significance")}
    other = told | {"value": "+9 %", "method": "no such method"}
    study = Study.model_validate({"title": "T", "authors": "A", "bibtex": "@article{a,}", "results": [told, other]})
    record = record.model_copy(update={"study": study})
    releases = [with_change(record, seed, ratio(0.1 * (seed - 41), 0.02)) for seed in (42, 43)]
    [spread] = [each for each in over_masks(releases) if each.line.metric.key == "perplexity"]
    _, rows = table(releases)
    for row in rows:
        assert row["perplexity_study"] == "+3 % (all)"
        assert "significance_study" not in row
        names = ("", "_mean", "_low", "_high", "_between", "_sampling")
        expected = (2, spread.mean.value, spread.mean.low, spread.mean.high, spread.between, spread.sampling)
        assert tuple(row[f"perplexity_masks{name}"] for name in names) == expected
    _, [alone] = table(releases[:1])
    assert not any("_masks" in name for name in alone)


def test_a_curve_has_the_dense_model_s_own_interval_as_a_band() -> None:
    record = example_record()
    releases = [with_change(record, seed, ratio(0.1, 0.02)) for seed in (42, 43)]
    [line] = [line for line in releases[0].lines if line.metric.key == "perplexity"]
    known = line.dense_interval
    assert known.low is not None
    assert known.high is not None
    figure = _drawn({"random": [(0.1, line), (0.3, line)]})
    [band] = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    assert (band.get_y(), band.get_y() + band.get_height()) == pytest.approx((known.low, known.high))
    bare = line._replace(dense_interval=NO_INTERVAL)
    assert not _drawn({"random": [(0.1, bare), (0.3, bare)]}).axes[0].patches
