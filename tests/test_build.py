"""One bench builds any number of plans, and each release is what its plan makes alone."""

from decimal import Decimal
from pathlib import Path

import pytest

from release.build import Bench, PlannedRelease, build, claimed, open_bench
from release.errors import BadOption, OutputConflict
from release.plan import Plan
from release.pruning.recipe import Recipe
from release.release_folder import ReleaseFolder
from release.schema.record import Record
from release.settings.measuring import Measuring
from release.workspace import Workspace

OFF = Measuring(bbq="off", perplexity="off", latency="off")
GRID = [("random", "0.2"), ("magnitude", "0.5"), ("random", "0.6"), ("magnitude", "0.25")]


def plan(base: Path, out: Path, method: str, sparsity: str) -> Plan:
    recipe = Recipe.of(method, Decimal(sparsity), 42)
    return Plan(model=str(base), recipe=recipe, measuring=OFF, out=out, local=True)


def planned(bench: Bench, plans: list[Plan], alone: bool) -> list[PlannedRelease]:
    folders = [ReleaseFolder(each.out / each.name(bench.base.slug), alone) for each in plans]
    return [PlannedRelease(each, Workspace(folder)) for each, folder in zip(plans, folders, strict=True)]


@pytest.mark.quick_rows(1)
@pytest.mark.parametrize("alone", [True, False])
def test_every_release_of_a_grid_is_what_its_plan_makes_alone(alone, base_folders, tmp_path, console):
    plans = [plan(base_folders["llama"], tmp_path / "grid", *each) for each in GRID]
    bench = open_bench(plans, console, measured=not alone)
    wanted = planned(bench, plans, alone)
    with claimed(bench, wanted):
        releases = list(build(bench, wanted))
    assert sorted(r.folder.name for r in releases) == sorted(each.name("llama") for each in plans)
    assert {r.record.pruning.together for r in releases} == {2}
    for each in plans[:2]:
        one = plan(base_folders["llama"], tmp_path / "one", each.recipe.method, f"{each.recipe.sparsity}")
        [single] = planned(bench, [one], alone)
        with claimed(bench, [single]):
            made = next(build(bench, [single]))
        record = Record.read(ReleaseFolder(tmp_path / "grid" / made.folder.name, alone).model)
        assert record.audit == made.record.audit
        assert record.measurements == made.record.measurements
        assert (made.folder / "space" / "app.py").is_file() is not alone


def test_a_release_is_whole_before_the_next_read_begins(base_folders, tmp_path, console):
    plans = [plan(base_folders["llama"], tmp_path, *each) for each in GRID[:2]]
    bench = open_bench(plans, console, measured=False)
    wanted = planned(bench, plans, alone=True)
    with claimed(bench, wanted):
        first = next(build(bench, wanted))
    assert (first.folder / "release.json").is_file()
    assert not list(wanted[1].workspace.model.glob("*.safetensors"))


def test_no_folder_of_a_grid_is_touched_where_one_is_taken(base_folders, tmp_path, console):
    plans = [plan(base_folders["llama"], tmp_path, *each) for each in GRID]
    bench = open_bench(plans, console, measured=False)
    wanted = planned(bench, plans, alone=True)
    taken = wanted[-1].workspace.model
    taken.mkdir()
    (taken / "mine.txt").write_text("mine")
    with pytest.raises(OutputConflict, match="holds something else"), claimed(bench, wanted):
        pass
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()] == [
        f"{taken.name}/mine.txt"
    ]


def test_plans_of_several_bases_are_refused_with_a_remedy(base_folders, tmp_path, console):
    plans = [plan(base_folders[name], tmp_path, *GRID[0]) for name in ("llama", "qwen2")]
    with pytest.raises(BadOption, match="several bases") as refused:
        open_bench(plans, console)
    assert "share model" in refused.value.remedy


@pytest.mark.parametrize(
    ("there", "model", "work"),
    [
        ([], "model", "work"),
        (["model"], "model", "work"),
        (["model", "space", "work"], "model", "work"),
        (["evaluation", ".release"], ".", ".release"),
    ],
    ids=str,
)
def test_a_release_is_found_in_the_layout_that_it_has(there, model, work, tmp_path):
    root = tmp_path / "release"
    for name in there:
        (root / name).mkdir(parents=True)
    found = ReleaseFolder.found(root)
    assert (found.model, found.work) == (root / model, root / work)
