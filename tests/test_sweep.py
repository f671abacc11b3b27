"""A grid: its file, its cells, what is known of each, and that it is built whatever happens to one of them."""

import json
import os
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from release.__main__ import run
from release.errors import ReleaseError
from release.progress import Console
from release.schema.record import Record
from release.sweep.grid import Grid, GridCell, Match, Override, cells_of, read_grid
from release.sweep.job import open_sweep
from release.sweep.state import Board, CellState
from release.sweep.task import SweepTask
from release.sweep.worker import run as build
from tests import checkpoints

SCHEMA = Path(__file__).parent.parent / "docs" / "sweep.schema.json"
EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.yaml"))
NOTHING = {"bbq": "off", "perplexity": "off", "latency": "off"}


def grid_file(folder: Path, **fields: Any) -> Path:
    path = folder / "grid.yaml"
    path.write_text(yaml.safe_dump(fields), encoding="utf-8")
    return path


def cells(**fields: Any) -> tuple[GridCell, ...]:
    return cells_of(Grid.model_validate({"models": ["demo"], "methods": ["random"], **fields}), Path("releases"))


def test_the_schema_for_editors_is_the_grid_s(request: pytest.FixtureRequest) -> None:
    text = json.dumps(Grid.model_json_schema(), indent=2) + "\n"
    if request.config.getoption("--refresh"):
        SCHEMA.write_text(text, encoding="utf-8")
    assert SCHEMA.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_a_grid(path: Path) -> None:
    assert cells_of(read_grid(path), Path("releases"))


def test_the_demo_grid_has_eighteen_cells() -> None:
    assert len(cells_of(read_grid(SCHEMA.parent.parent / "examples" / "demo.yaml"), Path("releases"))) == 18


@given(
    st.lists(st.sampled_from(["random", "magnitude", "wanda", "ria"]), min_size=1, unique=True),
    st.lists(st.integers(1, 99), min_size=1, max_size=4, unique=True),
    st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True),
)
def test_cells_are_the_product_of_the_axes_and_have_names_of_their_own(
    methods: list[str], percents: list[int], seeds: list[int]
) -> None:
    """A seed settles no more than ties of magnitude, so one mask of it stands for all."""
    found = cells(methods=methods, sparsities=[f"{each}%" for each in percents], seeds=seeds)
    assert len(found) == len(percents) * sum(1 if method == "magnitude" else len(seeds) for method in methods)
    assert len({cell.key for cell in found}) == len(found)
    assert {cell.plan.measuring.sampling_seed for cell in found} == {seeds[0]}
    assert all(cell.plan.recipe.seed == cell.place.seed for cell in found)


@pytest.mark.parametrize("written", ["off", "'off'"])
def test_off_is_off_whatever_yaml_makes_of_it(written: str, tmp_path: Path) -> None:
    path = tmp_path / "grid.yaml"
    path.write_text(f"models: [demo]\nmethods: [Random]\nsparsities: [10%]\noptions: {{latency: {written}, bbq: 8}}\n")
    [cell] = cells_of(read_grid(path), tmp_path)
    assert (cell.plan.measuring.latency, cell.plan.measuring.bbq, cell.plan.recipe.sparsity) == (
        "off",
        "8",
        Decimal("0.1"),
    )


def test_of_two_overrides_that_fit_the_later_one_counts() -> None:
    overrides = [
        {"when": {"method": "random"}, "options": {"bbq": 8, "perplexity": 4}},
        {"when": {"sparsity": "30%"}, "options": {"bbq": 16}},
    ]
    tenth, third = cells(sparsities=[0.1, 0.3], options={"bbq": 4}, overrides=overrides)
    assert (tenth.plan.measuring.bbq, third.plan.measuring.bbq) == ("8", "16")
    assert third.plan.measuring.perplexity == "4"


def test_what_is_excluded_is_no_cell() -> None:
    found = cells(sparsities=[0.1, 0.3], seeds=[1, 2], exclude=[{"sparsity": 0.3, "seed": 2}])
    assert [(str(cell.place.sparsity), cell.place.seed) for cell in found] == [("0.1", 1), ("0.1", 2), ("0.3", 1)]


@pytest.mark.parametrize(
    ("fields", "seen", "remedy"),
    [
        ({"sparsitys": [0.1]}, "'sparsitys'", "sparsities"),
        ({"sparsities": [0.1], "overrides": [{"when": {"methd": "random"}, "options": {}}]}, "'methd'", "method"),
        ({"sparsities": [0.1], "options": {"perplexty": 3}}, "'perplexty'", "perplexity"),
        ({"sparsities": [0.1], "options": {"seed": 3}}, "seed is an axis", "lists"),
        ({"sparsities": [10]}, "10", "10%"),
        ({"sparsities": [0.1], "methods": ["wands"]}, "'wands'", "wanda"),
        ({"sparsities": [0.1], "options": {"bbq": "some"}}, "--bbq", "full"),
        ({}, "No cell", "sparsities or patterns"),
        ({"patterns": ["2:4"], "methods": ["magnitude"], "options": {"scope": "global"}}, "pattern", "--scope"),
    ],
)
def test_a_grid_that_cannot_be_is_refused_with_a_remedy(
    fields: dict[str, Any], seen: str, remedy: str, tmp_path: Path
) -> None:
    path = grid_file(tmp_path, **{"models": ["demo"], "methods": ["random"], **fields})
    with pytest.raises(ReleaseError) as caught:
        open_sweep(path, tmp_path)
    assert seen in caught.value.seen
    assert remedy in caught.value.remedy


def test_only_cells_that_meet_all_conditions_are_built(tmp_path: Path) -> None:
    path = grid_file(tmp_path, models=["demo"], methods=["random", "magnitude"], sparsities=[0.1, 0.3])
    found = open_sweep(path, tmp_path, ["method=random", "sparsity=30%"])
    assert [cell.key for cell in found.cells] == ["demo-random-s30"]


@pytest.mark.parametrize(
    ("only", "seen"),
    [
        ("method", "no condition"),
        ("seed=some", "'seed=some' is not understood"),
        ("sparsity=most", "'most' is not a number"),
        ("methd=random", "no axis 'methd'"),
        ("method=wanda", "No cell"),
    ],
)
def test_a_condition_that_no_cell_can_meet_is_refused(only: str, seen: str, tmp_path: Path) -> None:
    path = grid_file(tmp_path, models=["demo"], methods=["random"], sparsities=[0.1])
    with pytest.raises(ReleaseError) as caught:
        open_sweep(path, tmp_path, [only])
    assert seen in caught.value.seen


class TestBoard:
    @pytest.fixture
    def cell(self) -> GridCell:
        return cells(sparsities=[0.1])[0]

    @pytest.fixture
    def board(self, tmp_path: Path) -> Board:
        return Board(tmp_path / "sweeps" / "grid", tmp_path)

    def test_a_cell_that_nobody_touched_is_planned(self, board: Board, cell: GridCell) -> None:
        assert board.state(cell).status == "planned"

    def test_a_cell_whose_process_is_gone_was_interrupted(self, board: Board, cell: GridCell) -> None:
        child = subprocess.Popen([sys.executable, "-c", ""])
        child.wait()
        board.begin(cell)
        assert board.state(cell).status == "running"
        path = next(board.work.rglob("*.json"))
        state = CellState.model_validate_json(path.read_bytes())
        path.write_text(state.model_copy(update={"pid": child.pid}).model_dump_json())
        assert board.state(cell).status == "interrupted"
        path.write_text(state.model_copy(update={"pid": child.pid, "host": "elsewhere"}).model_dump_json())
        assert board.state(cell).status == "running"

    def test_a_failed_cell_is_left_until_it_is_retried(self, board: Board, cell: GridCell) -> None:
        board.failed(cell, "It is too large.", "Give another.")
        assert board.state(cell).error == ("It is too large.", "Give another.")
        assert board.missing([cell]) == []
        board.forget([cell])
        assert board.missing([cell]) == [cell]

    def test_a_cell_is_done_as_long_as_its_record_is_there_and_the_same(self, board: Board, cell: GridCell) -> None:
        record = board.out / "some" / "model" / "release.json"
        record.parent.mkdir(parents=True)
        record.write_text("{}")
        board.done(cell, board.out / "some")
        assert board.record_of(cell) == record
        record.write_text("{ }")
        assert board.state(cell).status == "planned"

    def test_a_cell_that_failed_before_it_began_has_failed_whatever_was_asked_before(
        self, board: Board, cell: GridCell
    ) -> None:
        board.failed(cell.model_copy(update={"plan": cells(sparsities=[0.1], options={"bbq": 8})[0].plan}), "", "")
        board.failed(cell, "Its process broke off.", "")
        assert board.state(cell).status == "failed"

    def test_a_state_that_is_cut_or_of_another_plan_counts_as_nothing(self, board: Board, cell: GridCell) -> None:
        board.failed(cell, "seen", "remedy")
        other = cell.model_copy(update={"plan": cells(sparsities=[0.1], options={"bbq": 8})[0].plan})
        assert board.state(other).status == "planned"
        path = next(board.work.rglob("*.json"))
        path.write_text(path.read_text()[:20])
        assert board.state(cell).status == "planned"


def built(grid: Grid, out: Path, console: Console) -> tuple[tuple[GridCell, ...], Board]:
    found, board = cells_of(grid, out), Board(out / "sweeps" / "grid", out)
    task = SweepTask(out=out, work=board.work, cells=found)
    build(SweepTask.model_validate_json(task.model_dump_json()), console)
    return found, board


def test_one_bad_cell_does_not_stop_the_others(llama: Path, tmp_path: Path, console: Console) -> None:
    """One folder holds something else, so that one cell is refused when all are claimed together."""
    grid = Grid(name="grid", models=(str(llama),), methods=("magnitude",), sparsities=(0.1, 0.3, 0.5), options=NOTHING)
    taken = tmp_path / cells_of(grid, tmp_path)[1].key / "model"
    taken.mkdir(parents=True)
    (taken / "mine.txt").write_text("mine")
    found, board = built(grid, tmp_path, console)
    states = [board.state(cell) for cell in found]
    assert [state.status for state in states] == ["done", "failed", "done"]
    assert states[1].error
    assert "holds something else" in states[1].error[0]


def test_every_cell_is_found_with_the_release_that_it_asks_for(llama: Path, tmp_path: Path, console: Console) -> None:
    """The middle one is built last: its threads are others, so it shares no read with the two around it."""
    grid = Grid(
        name="grid",
        models=(str(llama),),
        methods=("magnitude",),
        sparsities=(0.1, 0.3, 0.5),
        options=NOTHING,
        overrides=(Override(when=Match(sparsity=0.3), options={"threads": 2}),),
    )
    found, board = built(grid, tmp_path, console)
    for cell in found:
        record = Record.model_validate_json((board.record_of(cell) or tmp_path).read_bytes())
        assert record.audit.target_sparsity == cell.place.sparsity


@pytest.mark.long
def test_ctrl_c_ends_a_sweep_and_its_workers_at_once(tmp_path: Path) -> None:
    base = checkpoints.make(tmp_path / "tiny", "llama")
    path = grid_file(tmp_path, models=[str(base)], methods=["random"], sparsities=[0.1], seeds=[1, 2], options=NOTHING)
    out = tmp_path / "releases"
    command = [sys.executable, "-m", "release", "sweep", str(path), "--out", str(out)]
    driver = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    job = open_sweep(path, out)
    worker = _until(lambda: next((state.pid for _, state in job.states() if state.status == "running"), None))
    driver.send_signal(signal.SIGINT)
    _, said = driver.communicate(timeout=30)
    assert driver.returncode == 130
    assert "to go on" in said
    assert not psutil.pid_exists(worker)
    assert [state.status for _, state in job.states()] == ["interrupted", "planned"]


@pytest.mark.long
def test_a_sweep_goes_on_after_its_worker_and_then_its_driver_are_killed(tmp_path: Path) -> None:
    """Same bytes as the publish command of a cell, whatever was killed in between."""
    base = checkpoints.make(tmp_path / "tiny", "llama")
    path = grid_file(
        tmp_path,
        models=[str(base)],
        methods=["random"],
        sparsities=[0.1, 0.5],
        seeds=[42, 43],
        options={**NOTHING, "perplexity": 2},
    )
    out = tmp_path / "releases"
    command = [sys.executable, "-m", "release", "sweep", str(path), "--out", str(out)]
    driver = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    job = open_sweep(path, out)
    worker = _until(lambda: next((state.pid for _, state in job.states() if state.status == "running"), None))
    os.kill(worker, signal.SIGKILL)
    _until(lambda: [state for _, state in job.states() if state.status == "failed"] or None)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    _until(lambda: None if any(state.status == "running" for _, state in job.states()) else True)
    assert run(["sweep", str(path), "--out", str(out), "--retry-failed"]) == 0
    assert {state.status for _, state in job.states()} == {"done"}
    alone = tmp_path / "alone"
    words = ["--method", "random", "--sparsity", "0.5", "--seed", "43", "--sample-seed", "42", "--local"]
    assert (
        run(
            ["publish", str(base), *words, "--bbq", "off", "--latency", "off", "--perplexity", "2", "--out", str(alone)]
        )
        == 0
    )
    [made] = alone.glob("*/model/model.safetensors")
    assert made.read_bytes() == (out / made.parent.parent.name / "model" / made.name).read_bytes()


def _until(found: Any, seconds: float = 180) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := found():
            return value
        time.sleep(0.05)
    raise AssertionError("it did not come about")
