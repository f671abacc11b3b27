"""Engines of a sweep: what a task needs of a machine, who may join, and how what other machines did is known here."""

import os
import socket
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from release import files
from release.__main__ import run
from release.errors import ReleaseError
from release.evals.engine.store import ReadingStore
from release.progress import Console
from release.sweep import readings, state
from release.sweep.demands import demands, unmet, variables
from release.sweep.engine import WorkerEnd, remaining
from release.sweep.grid import Grid, GridCell, cells_of
from release.sweep.job import open_sweep
from release.sweep.state import Board, CellState
from release.sweep.sweep import sweep
from release.sweep.task import SweepTask

SMALL = {"CPU": 2.0, "memory": 16e9}
LARGE = {"CPU": 16.0, "GPU": 1.0, "memory": 64e9}
APPLE = {"CPU": 8.0, "memory": 16e9, "mps": 1.0}


def cells(out: Path = Path("releases"), **options: Any) -> tuple[GridCell, ...]:
    fields = {"models": ["demo"], "methods": ["random"], "sparsities": [0.1, 0.3], "options": options}
    return cells_of(Grid.model_validate(fields), out)


@pytest.mark.parametrize(
    ("options", "nodes", "size", "needed"),
    [
        ({}, [SMALL], 5e9, {"CPU": 1.0, "memory": 5e9}),
        ({"threads": 2}, [SMALL], None, {"CPU": 2.0}),
        ({}, [SMALL, LARGE], 5e9, {"CPU": 1.0, "GPU": 1.0, "memory": 5e9}),
        ({"device": "cpu"}, [SMALL, LARGE], 5e9, {"CPU": 1.0, "memory": 5e9}),
        ({"device": "cuda"}, [SMALL], 5e9, {"CPU": 1.0, "GPU": 1.0, "memory": 5e9}),
        ({"device": "mps"}, [APPLE], None, {"CPU": 1.0, "mps": 1.0}),
        ({}, [SMALL], 200e9, {"CPU": 1.0, "memory": 16e9}),
    ],
)
def test_a_task_reserves_what_its_cells_ask_for(
    options: dict[str, Any], nodes: list[Mapping[str, float]], size: float | None, needed: Mapping[str, float]
) -> None:
    """A base that no machine holds whole is read block by block, so it takes one machine and is not refused."""
    found = demands(cells(**options), nodes, None if size is None else int(size), None)
    assert found == needed


@pytest.mark.parametrize(
    ("options", "nodes", "allowed", "told"),
    [
        ({"threads": 16}, [SMALL, LARGE], None, None),
        ({"threads": 64}, [SMALL, LARGE], None, "64 processors (the most on one machine: 16)"),
        ({"device": "cuda"}, [SMALL], None, "1 GPUs (the most on one machine: 0)"),
        ({}, [SMALL], 32 * 10**9, "32,000,000,000 bytes of memory (the most on one machine: 16,000,000,000)"),
        ({"device": "cpu", "threads": 8}, [{"CPU": 8.0, "memory": 1e9}, SMALL], 8 * 10**9, "together"),
    ],
)
def test_cells_that_fit_no_machine_are_told_what_they_lack(
    options: dict[str, Any], nodes: list[Mapping[str, float]], allowed: int | None, told: str | None
) -> None:
    why = unmet(demands(cells(**options), nodes, None, allowed), nodes)
    assert (told is None) == (why is None)
    assert told is None or told in str(why)


@pytest.mark.parametrize(
    ("needed", "told"),
    [
        ({"CPU": 2.0}, {"OMP_NUM_THREADS": "2", "CUDA_VISIBLE_DEVICES": ""}),
        ({"CPU": 1.0, "mps": 1.0}, {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}),
        ({"CPU": 4.0, "GPU": 1.0}, {"OMP_NUM_THREADS": "4"}),
    ],
)
def test_a_worker_sees_its_own_processors_and_gpus_alone_and_no_secret(
    needed: Mapping[str, float], told: dict[str, str]
) -> None:
    """Ray itself shows every GPU to a task that asks for none."""
    here = {
        "RELEASE_CACHE": "/cache",
        "RELEASE_TOKEN": "s",
        "HF_TOKEN": "s",
        "HF_HUB_OFFLINE": "1",
        "HOME": "/home/ada",
    }
    here |= {"OMP_NUM_THREADS": "64", "CUDA_VISIBLE_DEVICES": "0,1"}
    assert variables(needed, here) == {"RELEASE_CACHE": "/cache", "HF_HUB_OFFLINE": "1", **told}


@pytest.mark.parametrize(
    ("words", "seen"),
    [
        (["--ray", "nowhere.yaml"], "nowhere.yaml cannot be read"),
        (["nowhere.yaml", "--ray"], "nowhere.yaml cannot be read"),
        (["nowhere.yaml", "--ray", "10.0.0.1:6379"], "nowhere.yaml cannot be read"),
        (["nowhere.yaml", "--ray", "some"], "unexpected extra argument"),
        (["nowhere.yaml", "--ray", "--parallel", "2"], "exclude each other"),
    ],
)
def test_ray_stands_alone_or_with_an_address(words: list[str], seen: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sweep", *words]) == 2
    assert seen in capsys.readouterr().err


def test_an_address_where_nobody_answers_is_refused_at_once(tmp_path: Path, console: Console) -> None:
    from release.sweep.ray_engine import RayEngine

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    began = time.monotonic()
    with pytest.raises(ReleaseError) as caught:
        RayEngine(address, console).run(Board(tmp_path, tmp_path), [cells()])
    assert f"Nobody answers at {address}" in caught.value.seen
    assert "host:6379" in caught.value.remedy
    assert time.monotonic() - began < 15


def test_a_second_driver_on_one_folder_is_told_who_is_at_work(tmp_path: Path, console: Console) -> None:
    from release.sweep.local import Local

    path = tmp_path / "grid.yaml"
    path.write_text("{models: [demo], methods: [random], sparsities: [0.1]}")
    job = open_sweep(path, tmp_path)
    with files.locked(job.work / "run"), pytest.raises(ReleaseError) as caught:
        sweep(job, Local(1, console), retry_failed=False)
    assert f"process {os.getpid()}" in caught.value.seen


class TestOtherMachines:
    """What is known here of processes that cannot be asked."""

    @pytest.fixture
    def board(self, tmp_path: Path) -> Board:
        return Board(tmp_path / "sweeps" / "grid", tmp_path)

    def elsewhere(self, board: Board, cell: GridCell) -> Path:
        """Have a cell run on another machine; return its state's file."""
        board.begin(cell)
        path = next((board.work / state.CELLS).glob("*.json"))
        known = CellState.model_validate_json(path.read_bytes())
        path.write_text(known.model_copy(update={"host": "elsewhere"}).model_dump_json())
        return path

    def test_a_cell_runs_on_as_long_as_signs_of_life_come(self, board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
        [cell, _] = cells()
        self.elsewhere(board, cell)
        assert board.state(cell).status == "running"
        monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
        board.beat()
        monkeypatch.undo()
        assert board.state(cell).status == "running"
        [beat] = (board.work / state.BEATS).iterdir()
        old = time.time() - state.LOST_AFTER - 1
        os.utime(beat, (old, old))
        assert board.state(cell).status == "interrupted"

    def test_of_a_worker_that_broke_off_the_running_cell_has_failed_and_the_others_are_left(self, board: Board) -> None:
        first, second = cells()
        self.elsewhere(board, second)
        assert remaining(board, [first, second], WorkerEnd(-9, "out of memory")) == [first]
        assert board.state(second).error
        assert "exit code -9: out of memory" in str(board.state(second).error)

    def test_what_a_worker_built_and_nobody_sees_here_has_failed(
        self, board: Board, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("release.sweep.engine.VISIBLE_WITHIN", 0.1)
        [cell, _] = cells()
        assert remaining(board, [cell], WorkerEnd(0, "", (cell.key,))) == []
        assert "not seen here" in str(board.state(cell).error)


class TestReadings:
    """A store a task, on its machine's own disk; what a task ended with is laid down whole for later ones."""

    KEY, VALUES = b"k" * 32, np.array([1.5, 2.0], dtype=np.float32)

    def task(self, folder: Path, *, sparsities: tuple[float, ...] = (0.1,), seed: int = 42) -> SweepTask:
        grid = Grid(name="g", models=("demo",), methods=("random",), sparsities=sparsities, seeds=(seed,))
        return SweepTask(out=folder, work=folder / "sweeps" / "g", cells=cells_of(grid, folder))

    def put(self, folder: Path, key: bytes, console: Console) -> None:
        with ReadingStore("model", "float32", console, folder / readings.FILE) as store:
            store.put(key, self.VALUES)

    @contextmanager
    def begun(self, task: SweepTask) -> Iterator[Path]:
        """A task's store at its first turn."""
        with readings.of_task(task) as store:
            readings.Exchange(task.work, store).take_over()
            yield store

    def known(self, folder: Path, key: bytes, console: Console) -> bool:
        with ReadingStore("model", "float32", console, folder / readings.FILE) as store:
            return key in store.recall([key])

    def test_a_later_task_knows_what_an_earlier_one_read(self, tmp_path: Path, console: Console) -> None:
        with self.begun(self.task(tmp_path, seed=1)) as first:
            self.put(first, self.KEY, console)
        with self.begun(self.task(tmp_path, seed=2)) as second:
            assert second != first
            assert self.known(second, self.KEY, console)
            self.put(second, b"l" * 32, console)
        with self.begun(self.task(tmp_path, seed=3)) as third:
            assert self.known(third, self.KEY, console)
            assert self.known(third, b"l" * 32, console)
        assert not first.exists()

    def test_a_killed_task_goes_on_with_its_own_store_and_adds_what_others_read(
        self, tmp_path: Path, console: Console
    ) -> None:
        killed = readings.of_task(self.task(tmp_path, seed=4))
        self.put(killed.__enter__(), self.KEY, console)
        with self.begun(self.task(tmp_path, seed=5)) as other:
            self.put(other, b"l" * 32, console)
        with self.begun(self.task(tmp_path, seed=4)) as again:
            assert self.known(again, self.KEY, console)
            assert self.known(again, b"l" * 32, console)

    def test_a_store_that_is_not_seen_whole_is_left_out(self, tmp_path: Path, console: Console) -> None:
        task = self.task(tmp_path, seed=6)
        cut = task.work / readings.READINGS / "0.sqlite"
        cut.parent.mkdir(parents=True)
        for text in (b"", b"SQLite format 3\0cut"):
            cut.write_bytes(text)
            with self.begun(task) as store:
                self.put(store, self.KEY, console)
                cut.write_bytes(text)
            assert self.laid_down(task) == 1

    def laid_down(self, task: SweepTask) -> int:
        [path] = [each for each in (task.work / readings.READINGS).iterdir() if each.name != "0.sqlite"]
        file = sqlite3.connect(f"file:{path}?immutable=1", uri=True)
        found = int(file.execute("SELECT count(*) FROM readings").fetchone()[0])
        file.close()
        return found
