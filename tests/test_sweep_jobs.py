"""A grid as Hub Jobs: each is the real worker, in a process that knows the Hub and its secret, and nothing else."""

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from release.hub import job
from release.schema.record import Record
from release.settings.sweeping import seconds
from release.sweep.grid import Grid, GridCell, cells_of
from release.sweep.hub_task import LARGEST, MARK, CellEvent, JobTask, events_of, travelling
from release.sweep.state import digest
from tests import checkpoints, remote
from tests.hub import Fault, HubServer
from tests.remote import ROOT, Client

PACKAGE = "git+https://example.org/prunecard"
SLOW = "nothing-like-it-and-slow"
UV = f"""#!/bin/sh
test "$1 $2" = "run --with" && test "$3" = "{SLOW}" && sleep 4
test "$1 $2 $3 $4 $5" = "run --with {PACKAGE} python -m" || {{
    echo "No solution found for $3, says $HF_TOKEN."
    exit 9
}}
shift 4
export HF_HUB_DISABLE_XET=1 PYTHONPATH={ROOT}
exec {sys.executable} "$@"
"""
"""What stands for uv in the Job's image: it has the package that is named already."""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with remote.client(tmp_path_factory.mktemp("client")) as client:
        image = tmp_path_factory.mktemp("image")
        (image / "uv").write_text(UV)
        (image / "uv").chmod(0o755)
        client.hub.site.images[job.IMAGE] = image
        for name in ("tiny", "small", "little", "wee"):
            folder = checkpoints.make(tmp_path_factory.mktemp("base") / name, "llama")
            remote.lay(client.hub, f"ada/{name}", folder)
        yield client


@pytest.fixture
def jobs(machine: Client) -> Iterator["dict[str, Any]"]:
    """The Jobs that a test starts."""
    machine.hub.jobs.settled()
    machine.hub.jobs.all.clear()
    yield machine.hub.jobs.all
    machine.hub.jobs.settled()


def laid(folder: Path, model: str, **axes: Any) -> Path:
    options = {"bbq": "off", "latency": "off", "answers": "off", "perplexity": 2}
    fields = {"models": [model], "methods": ["random"], "sparsities": [0.1, 0.5], "options": options}
    path = folder / "grid.v1.yaml"
    path.write_text(yaml.safe_dump({**fields, **axes}))
    return path


WHERE = ("--jobs", "cpu-basic", "--json")


def sweep(client: Client, grid: Path, *words: str, out: str = "releases", package: str = PACKAGE) -> dict[str, Any]:
    """Run a sweep, and return its cells by name; nobody is told the token."""
    where = ["--out", str(grid.parent / out), *WHERE, "--package", package]
    said = client.run("sweep", str(grid), *where, *words, token=HubServer.token)
    assert HubServer.token not in said["out"] + said["err"]
    told = json.loads(said["out"])
    assert "cells" in told, told
    return {cell["cell"]: cell for cell in told["cells"]} | {"code": said["code"], "said": said["err"]}


def driver(client: Client, grid: Path, package: str = PACKAGE) -> "subprocess.Popen[str]":
    """Start a sweep that can be killed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    ours = {"HF_ENDPOINT": client.hub.url, "HF_HOME": str(client.home / "hf"), "HF_TOKEN": HubServer.token}
    ours |= {"RELEASE_CACHE": str(client.home / "cache"), "PYTHONPATH": str(ROOT)}
    where = ["--out", str(grid.parent / "releases"), *WHERE, "--package", package]
    command = [sys.executable, "-m", "release", "sweep", str(grid), *where]
    return subprocess.Popen(command, env=kept | ours, stdout=subprocess.DEVNULL, text=True)


def until(found: Callable[[], Any], within: float = 240) -> Any:
    ends = time.monotonic() + within
    while time.monotonic() < ends:
        if value := found():
            return value
        time.sleep(0.05)
    raise AssertionError("it did not come about")


def kill_once_known(client: Client, grid: Path, package: str = PACKAGE) -> None:
    """Start a sweep, and kill it as soon as its cells are known to be with a Job."""
    started = driver(client, grid, package)
    until(lambda: "Hub Job" in "".join(p.read_text() for p in (grid.parent / "releases").glob("sweeps/*/cells/*.json")))
    os.kill(started.pid, signal.SIGKILL)
    started.wait()


@pytest.mark.parametrize(("text", "length"), [("90m", 5400), ("45s", 45), ("48h", 48 * 3600)])
def test_a_length_of_time_is_read(text: str, length: int) -> None:
    assert seconds(text) == length


@pytest.mark.parametrize("text", ["0s", "49h", "2", "soon", "-1h"])
def test_no_other_is(text: str) -> None:
    with pytest.raises(Exception, match="--job-timeout"):
        seconds(text)


def cells(out: Path, **options: Any) -> tuple[GridCell, ...]:
    fields = {"models": ["ada/tiny"], "methods": ["random"], "sparsities": [0.1, "30%"], "options": options}
    return cells_of(Grid.model_validate(fields), out)


def test_a_task_comes_to_a_job_as_it_was_sent_and_holds_no_path_of_this_machine(tmp_path: Path) -> None:
    task = JobTask(owner="ada", cells=tuple(map(travelling, cells(tmp_path))))
    assert JobTask.unpacked(task.packed()) == task
    assert str(tmp_path) not in task.model_dump_json()
    assert [digest(cell) for cell in task.cells] == [digest(cell) for cell in cells(tmp_path)]


@pytest.mark.parametrize("text", ["", "no task", "eJwDAAAAAAE=", "bm8="])
def test_what_is_no_task_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever pydantic says
        JobTask.unpacked(text)


def test_a_task_that_unpacks_without_end_is_refused() -> None:
    with pytest.raises(ValueError, match="too large"):
        JobTask.unpacked(base64.b64encode(zlib.compress(b" " * (LARGEST + 1))).decode())


def test_of_a_log_only_lines_that_tell_of_cells_count() -> None:
    told = CellEvent(cell="a", status="failed", error=("It broke.", "Mend it."))
    lines = ["reading", MARK, MARK + "{}", f"12:00 {told.line()}", MARK + '{"cell": "b", "status": "lost"}']
    assert list(events_of(lines)) == [told]


@pytest.mark.long
def test_cells_that_need_a_file_or_a_folder_of_this_machine_are_refused_one_by_one(
    machine: Client, jobs: dict[str, Any], tmp_path: Path
) -> None:
    base = checkpoints.make(tmp_path / "tiny", "llama")
    text = tmp_path / "some.txt"
    text.write_text("words " * 5000)
    override = {"when": {"model": "ada/small"}, "options": {"text": str(text)}}
    grid = laid(tmp_path, str(base), models=[str(base), "ada/small"], overrides=[override])
    found = sweep(machine, grid)
    assert found["code"] == 1
    assert "a folder of this machine" in found["tiny-random-s10"]["error"][0]
    assert found["small-random-s50"]["error"][0] == "some.txt is a file of this machine, which a Job does not see."
    assert jobs == {}


@pytest.mark.long
def test_cells_of_a_method_are_one_job_which_reads_its_mounted_base_once_and_stops_at_no_bad_cell(
    machine: Client, jobs: dict[str, Any], tmp_path: Path
) -> None:
    """One that took too long and one that failed to begin are told before."""
    hub, grid = machine.hub, laid(tmp_path, "ada/tiny", sparsities=[0.1, 0.5, 0.7])
    late = sweep(machine, grid, "--only", "sparsity=0.1", "--job-timeout", "1s")
    assert late["code"] == 1
    assert late["tiny-random-s10"]["error"][0] == "Its Job was ended after 1 seconds."
    assert "--job-timeout" in late["tiny-random-s10"]["error"][1]

    failed = sweep(machine, grid, "--only", "sparsity=0.5", package="nothing-like-it")
    seen, remedy = failed["tiny-random-s50"]["error"]
    assert "exit code: 9" in seen
    assert "No solution found for nothing-like-it, says hf_…." in seen
    assert f"{hub.url}/jobs/ada/" in remedy

    remote.lay(hub, "ada/tiny-random-s50", checkpoints.make(tmp_path / "other", "llama"))
    before = len(hub.seen)
    most = sweep(machine, grid, "--retry-failed")
    assert most["code"] == 1
    assert f"{hub.url}/ada/tiny-random-s50" in most["tiny-random-s50"]["error"][0]
    _, _, last = hub.jobs.settled()
    assert last.stage == "ERROR"
    fetched = [s.path for s in hub.seen[before:] if "/ada/tiny/resolve" in s.path and s.path.endswith(".safetensors")]
    assert fetched == [], "the base is mounted"
    for cell in ("tiny-random-s10", "tiny-random-s70"):
        model = grid.parent / "releases" / cell / "model"
        pushed = hub.store.repo("models", f"ada/{cell}")
        assert pushed.private
        assert {path.name for path in model.iterdir()} >= {"model.safetensors", "release.json", "README.md"}
        assert Record.read(model).pruning.together == 2
        assert Record.read(model).base.revision == hub.store.repo("models", "ada/tiny").branches["main"]
    for each in jobs.values():
        assert each.spec["timeoutSeconds"] in (1, 7200)
        assert each.spec["labels"]["release-sweep"] == "grid-v1"
        assert HubServer.token not in json.dumps(each.told())
    assert list((grid.parent / "releases" / "sweeps").glob("*/report/report.html"))


@pytest.mark.long
def test_where_the_hub_mounts_nothing_a_job_fetches_its_base(
    machine: Client, jobs: dict[str, Any], tmp_path: Path
) -> None:
    hub, grid = machine.hub, laid(tmp_path, "ada/wee", methods=["magnitude"], sparsities=[0.5])
    hub.faults.append(Fault("POST", "/api/jobs/", action=400, words="Volumes are not mounted here."))
    before = len(hub.seen)
    found = sweep(machine, grid)
    assert (found["code"], found["wee-magnitude-s50"]["status"]) == (0, "done")
    [only] = jobs.values()
    assert not only.spec.get("volumes")
    fetched = [s.path for s in hub.seen[before:] if "/ada/wee/resolve" in s.path and s.path.endswith(".safetensors")]
    assert fetched
    record = Record.read(grid.parent / "releases" / "wee-magnitude-s50" / "model")
    assert record.base.revision == hub.store.repo("models", "ada/wee").branches["main"]


@pytest.mark.long
def test_a_job_that_breaks_off_costs_the_cell_that_it_was_at(
    machine: Client, jobs: dict[str, Any], tmp_path: Path
) -> None:
    hub, grid = machine.hub, laid(tmp_path, "ada/small", sparsities=[0.1, 0.5, 0.7])

    def at_the_second() -> int | None:
        process = next((each.process for each in jobs.values()), None)
        if process is None or process.poll() is not None:
            return None
        state = Path(f"/proc/{process.pid}/cwd/releases/sweeps/job/cells/small-random-s50.json")
        return process.pid if state.is_file() else None

    def break_off() -> None:
        os.killpg(until(at_the_second), signal.SIGKILL)

    breaking = threading.Thread(target=break_off)
    breaking.start()
    found = sweep(machine, grid)
    breaking.join()
    status = {cell: told["status"] for cell, told in found.items() if isinstance(told, dict)}
    assert status == {"small-random-s10": "done", "small-random-s50": "failed", "small-random-s70": "done"}
    assert "exit code: -9" in found["small-random-s50"]["error"][0]
    assert [each.stage for each in hub.jobs.settled()] == ["ERROR", "COMPLETED"]


@pytest.mark.long
def test_a_job_is_followed_and_what_it_built_is_taken_by_whoever_comes_after_the_driver_was_killed(
    machine: Client, jobs: dict[str, Any], tmp_path: Path
) -> None:
    grid = laid(tmp_path, "ada/little")
    kill_once_known(machine, grid)
    assert [each.stage for each in jobs.values()] == ["RUNNING"]
    joined = sweep(machine, grid)
    assert joined["code"] == 0, joined["said"]
    afresh = sweep(machine, grid, out="elsewhere")
    assert afresh["code"] == 0, afresh["said"]
    assert [each.stage for each in machine.hub.jobs.settled()] == ["COMPLETED"], "no other was started"
    model = tmp_path / "releases" / "little-random-s10" / "model"
    other = (model / "release.json").read_text().replace('"perplexity": "2"', '"perplexity": "3"')
    remote.lay(machine.hub, "ada/little-random-s10", model, **{"release.json": other})
    again = sweep(machine, grid, "--only", "sparsity=0.1", out="third")
    assert again["code"] == 0, again["said"]
    assert len(machine.hub.jobs.settled()) == 2, "what is not what was asked for is built anew"


@pytest.mark.long
def test_a_job_that_failed_while_no_driver_ran_is_told_with_its_last_lines(
    machine: Client, jobs: dict[str, Any], tmp_path: Path
) -> None:
    grid = laid(tmp_path, "ada/wee")
    kill_once_known(machine, grid, SLOW)
    [ended] = machine.hub.jobs.settled()
    assert ended.stage == "ERROR"
    found = sweep(machine, grid)
    assert found["code"] == 1
    for cell in ("wee-random-s10", "wee-random-s50"):
        assert f"No solution found for {SLOW}, says hf_…." in found[cell]["error"][0]
    assert len(jobs) == 1
