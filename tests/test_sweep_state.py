"""How far a sweep is: who drives it, what its file says by now, how long it will take, and what its cells shared."""

import io
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import yaml

from release.__main__ import run
from release.errors import OutputConflict
from release.evals.divergence.shared import TAKEN
from release.progress import Console
from release.sweep import driver, state
from release.sweep.changes import since_it_was_read, since_last_run
from release.sweep.driver import DRIVER, Driver, driver_of, driving
from release.sweep.grid import GridCell
from release.sweep.job import Sweep, open_sweep
from release.sweep.journal import JOURNAL, JournalConsole, shared_work
from release.sweep.outlook import look, time_left
from release.sweep.state import GRID, PLANNED, CellState
from release.sweep.sweep import sweep
from release.sweep.task import SweepTask
from release.sweep.worker import run as build

NOTHING = {"bbq": "off", "perplexity": "off", "latency": "off"}
Write = Callable[..., Sweep]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write the grid's file and open it."""

    def written(**fields: Any) -> Sweep:
        facts = {"models": ["demo"], "methods": ["random"], "sparsities": [0.1, 0.3], "options": NOTHING, **fields}
        (tmp_path / "grid.yaml").write_text(yaml.safe_dump(facts), encoding="utf-8")
        return open_sweep(tmp_path / "grid.yaml", tmp_path / "out")

    return written


class Said(Console):
    """A console that keeps what it was told."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


class Nobody:
    """An engine that builds nothing, as one whose machine is switched off."""

    def __init__(self) -> None:
        self.console = Said()

    def run(self, *_: object) -> None:
        """Leave all cells as they are."""


def until(found: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


class TestDriver:
    """One process drives a sweep, and everybody sees which."""

    def test_it_is_there_while_it_drives_and_no_longer(self, write: Write, console: Console) -> None:
        job = write()
        assert driver_of(job.board) is None
        with driving(job, console):
            found = driver_of(job.board)
            assert found
            assert (found.host, found.pid) == (socket.gethostname(), os.getpid())
        assert driver_of(job.board) is None
        assert not list(job.work.rglob("*.json"))

    def test_a_second_one_is_refused_by_name(self, write: Write, console: Console) -> None:
        job = write()
        with driving(job, console), pytest.raises(OutputConflict) as caught, driving(job, console):
            pass
        assert f"The grid grid is being built by process {os.getpid()} on {socket.gethostname()}" in caught.value.seen
        assert "--status" in caught.value.remedy

    def test_one_that_was_killed_drives_nothing_on_this_machine_or_another(
        self, write: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        job = write()
        job.work.mkdir(parents=True)
        now = time.time()
        for found, lives in (
            (Driver(host=socket.gethostname(), pid=os.getpid(), started=now), True),
            (Driver(host=socket.gethostname(), pid=2**22 + 1, started=now), False),
            (Driver(host=socket.gethostname(), pid=os.getpid(), started=now - 10 * 24 * 3600), False),
            (Driver(host="elsewhere", pid=7, started=now), True),
        ):
            (job.work / DRIVER).write_text(found.model_dump_json())
            assert (driver_of(job.board) == found) is lives
        monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
        monkeypatch.setattr(os, "getpid", lambda: 7)
        job.board.beat()
        monkeypatch.undo()
        assert driver_of(job.board)
        [beat] = (job.work / state.BEATS).iterdir()
        os.utime(beat, (now - state.LOST_AFTER - 1,) * 2)
        assert driver_of(job.board) is None


class TestChangedFile:
    """A grid's file that changes under a sweep, or between two runs."""

    @pytest.mark.parametrize(
        ("fields", "said"),
        [
            ({"sparsities": [0.1, 0.3, 0.5]}, "1 cell is new (demo-random-s50)"),
            ({"sparsities": [0.1]}, "1 cell is no longer asked for (demo-random-s30)"),
            ({"options": {**NOTHING, "bbq": 8}}, "2 cells are asked for otherwise (demo-random-s10; demo-random-s30)"),
            ({"publication": {"namespace": "lab"}}, "its cells are the same"),
        ],
    )
    def test_what_became_of_its_cells_is_said_in_one_line_by_driver_rerun_and_status(
        self, fields: dict[str, Any], said: str, write: Write
    ) -> None:
        before = write()
        sweep(before, Nobody(), retry_failed=False)
        assert since_it_was_read(before) is None
        after = write(**fields)
        assert said in (since_it_was_read(before) or "")
        engine = Nobody()
        assert look(after, {}).changed == said
        sweep(after, engine, retry_failed=False)
        assert [line for line in engine.console.lines if said in line]
        assert look(after, {}).changed is None, "the run that was told of it took it over"

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("models: [", "cannot be used as it is"),
            ("{models: [demo], methods: [wands], sparsities: [0.1]}", "'wands'"),
            ("{name: other, models: [demo], methods: [random], sparsities: [0.1]}", "another grid by now, other"),
        ],
    )
    def test_a_file_that_is_none_by_now_stops_nobody(self, text: str, said: str, write: Write) -> None:
        job = write()
        job.file.write_text(text)
        assert said in (since_it_was_read(job) or "")
        job.file.unlink()
        assert "cannot be read" in (since_it_was_read(job) or "")

    def test_a_driver_says_it_while_it_runs_once_for_each_change(
        self, write: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(driver, "LOOK_EVERY", 0.01)
        job, told = write(), Said()
        with driving(job, told):
            write(sparsities=[0.1, 0.3, 0.5])
            until(lambda: told.lines)
            time.sleep(0.1)
            assert len(told.lines) == 1
            write()
            until(lambda: len(told.lines) == 2)
        assert "1 cell is new (demo-random-s50)" in told.lines[0]
        assert "again what this run began with" in told.lines[1]
        threads = [each for each in threading.enumerate() if "_watch" in each.name]
        until(lambda: not any(each.is_alive() for each in threads))

    def test_what_an_earlier_version_kept_is_no_change(self, write: Write) -> None:
        job = write()
        job.work.mkdir(parents=True)
        for kept in ('{"models": ["demo"]', '{"unknown": 1}', '{"name": "grid", "models": ["demo"], "methods": ["x"]}'):
            (job.work / GRID).write_text(kept)
            assert since_last_run(job) is None


def at(cell: GridCell, status: state.Status, started: float = 0.0, ended: float | None = None) -> CellState:
    return PLANNED.model_copy(update={"status": status, "started": started, "ended": ended, "kind": cell.kind})


class TestTimeLeft:
    def test_it_is_what_cells_of_the_kind_took_over_those_at_work(self, write: Write) -> None:
        cells = write(sparsities=[0.1, 0.2, 0.3, 0.4]).cells
        done, planned = at(cells[0], "done", 0, 60), at(cells[1], "planned")
        runs = at(cells[0], "running", time.time() - 20)
        pairs = list(zip(cells, [done, planned, planned, planned], strict=True))
        assert time_left(pairs, {}) == 180
        pairs = list(zip(cells, [done, runs, planned, planned], strict=True))
        assert time_left(pairs, {}) == pytest.approx(160, abs=2)
        pairs = list(zip(cells, [done, runs, runs, planned], strict=True))
        assert time_left(pairs, {}) == pytest.approx(70, abs=2)
        failed = at(cells[0], "failed", 0, 1)
        assert time_left(list(zip(cells, [done, done, failed, failed], strict=True)), {}) == 0

    def test_a_kind_that_was_never_built_here_makes_it_unknown(self, write: Write) -> None:
        cells = write(methods=["random", "magnitude"], sparsities=[0.1]).cells
        states = [at(cells[0], "done", 0, 60), at(cells[1], "planned")]
        pairs = list(zip(cells, states, strict=True))
        assert time_left(pairs, {}) is None
        assert time_left(pairs, {cells[1].kind: 30.0}) == 30


@pytest.mark.long
@pytest.mark.parametrize("divergence", ["off", "2"])
def test_the_base_is_read_once_a_method_and_the_dense_model_measured_once(
    divergence: str,
    llama: Path,
    write: Write,
    console: Console,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Counted in the journal of a sweep that really ran: two methods at two sparsities, asked for perplexity."""
    monkeypatch.setenv("RELEASE_READINGS", str(tmp_path / "readings"))
    options = {**NOTHING, "perplexity": 2, "divergence": divergence}
    job = write(models=[str(llama)], methods=["random", "magnitude"], sparsities=[0.1, 0.5], options=options)
    assert shared_work(job.work, job.cells) is None
    for task in dict.fromkeys(cell.task for cell in job.cells):
        cells = tuple(cell for cell in job.cells if cell.task == task)
        build(SweepTask(out=job.out, work=job.work, cells=cells), console)
    found = shared_work(job.work, job.cells)
    assert found
    assert found._asdict() == {"cells": 4, "reads": 2, "calibrations": 0, "denses": 1, "measured": 1}
    assert found.said == "4 cells came of 2 reads of the base; the dense model was measured once"
    [path] = (job.work / JOURNAL).iterdir()
    assert path.read_text().count(TAKEN) == (divergence != "off")
    path.write_bytes(path.read_bytes() + b'{"cell": "cut')
    assert shared_work(job.work, job.cells) == found
    assert look(job, {}).shared == found


def test_what_cells_share_is_counted_by_the_steps_of_this_grid_alone(write: Write) -> None:
    job = write(methods=["random", "wanda"], options={**NOTHING, "calibration-samples": 4})
    for cell in job.cells:
        told = JournalConsole(job.work, quiet=True)
        told.turn_to(cell)
        steps = (
            ["Prune (wanda, 0.1)", "Calibrate and prune"] if cell.place.method == "wanda" else ["Prune (random, 0.1)"]
        )
        for step in (*steps, "Perplexity, dense", "Perplexity, pruned"):
            with told.step(step, 1):
                pass
    found = shared_work(job.work, job.cells)
    assert found
    assert found.said == (
        "4 cells came of 4 reads of the base and 2 calibrations; the dense model was measured for 4 cells"
    )
    one = shared_work(job.work, job.cells[:1])
    assert one
    assert one.said == "1 cell came of 1 read of the base; the dense model was measured once"


def test_a_journal_that_cannot_be_written_stops_no_work(write: Write) -> None:
    job = write()
    job.work.mkdir(parents=True)
    (job.work / JOURNAL).write_text("a file is in its place")
    told = JournalConsole(job.work, quiet=True)
    told.turn_to(job.cells[0])
    with told.step("Prune (", 1) as advance:
        advance(1)


def status(job: Sweep, *words: str) -> str:
    written = io.StringIO()
    with redirect_stdout(written):
        assert run(["sweep", str(job.file), "--out", str(job.out), "--status", *words]) == 0
    return written.getvalue()


def test_status_without_a_terminal_is_shown_once_though_cells_run(write: Write) -> None:
    job = write(sparsities=[0.1, 0.2, 0.3])
    first, second, _ = job.cells
    job.board.failed(first, "It is too large.", "Give another.")
    with driving(job, Said()):
        job.board.begin(second)
        told, text = json.loads(status(job, "--json")), status(job)
    assert told["driver"]["pid"] == os.getpid()
    assert told["seconds_left"] is None
    assert [cell["status"] for cell in told["cells"]] == ["failed", "running", "planned"]
    assert told["cells"][1]["pid"] == os.getpid()
    assert f"running on {socket.gethostname()}, process {os.getpid()}" in text
    assert "It is too large. Give another." in text
    assert "unknown until a cell of each kind is done" in text
    assert "--retry-failed" in text
