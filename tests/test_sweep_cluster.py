"""A sweep on a Ray cluster of this machine, a head and two nodes: the same releases, whatever is killed meanwhile."""

import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from pyarrow import parquet

from release.__main__ import run
from release.sweep.job import Sweep, open_sweep
from tests import checkpoints

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]
SMALL = {"object_store_memory": 100 << 20}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head that builds nothing, and two nodes of one processor each."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - its 15 made a cell of 30 s one of 230 beside other tests
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **SMALL})
    for _ in range(2):
        made.add_node(num_cpus=1, **SMALL)
    yield made
    made.shutdown()


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("grid")
    base = checkpoints.make(folder / "tiny", "llama")
    options = {"bbq": "off", "latency": "off", "perplexity": 2}
    axes = {"methods": ["random", "magnitude"], "sparsities": [0.1, 0.5]}
    path = folder / "grid.yaml"
    path.write_text(yaml.safe_dump({"models": [str(base)], **axes, "options": options}))
    return path


def driver(grid: Path, out: Path, *more: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "release", "sweep", str(grid), "--local", "--out", str(out), *more]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


def until(found: Callable[[], Any], seconds: float = 300) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := found():
            return value
        time.sleep(0.05)
    raise AssertionError("it did not come about")


def running(job: Sweep) -> int | None:
    return next((state.pid for _, state in job.states() if state.status == "running"), None)


def test_a_grid_is_whole_and_the_same_after_a_worker_and_then_the_driver_are_killed(
    cluster: Any, grid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Weights byte for byte, and every answer but for rounding, as without a cluster."""
    out, alone = tmp_path / "cluster", tmp_path / "alone"
    first = driver(grid, out, "--ray", cluster.address)
    job = open_sweep(grid, out)
    worker = psutil.Process(until(lambda: running(job)))
    worker.parent().kill()
    until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE, 30)
    until(lambda: any(state.status == "done" for _, state in job.states()))
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    assert any(state.status != "done" for _, state in job.states())
    capsys.readouterr()
    assert run(["sweep", str(grid), "--local", "--out", str(out), "--ray", cluster.address, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"], "nothing else is printed there"
    assert {state.status for _, state in job.states()} == {"done"}
    assert run(["sweep", str(grid), "--local", "--out", str(alone), "--parallel", "2"]) == 0
    assert told(out, "safetensors", "csv") == told(alone, "safetensors", "csv")
    assert len(told(alone, "safetensors", "csv")) >= 2 * len(job.cells)
    require_alike(told(out, "parquet"), told(alone, "parquet"))


def told(out: Path, *ends: str) -> dict[str, bytes]:
    """The files of all releases with some endings."""
    found = [path for end in ends for path in out.glob(f"*/model/**/*.{end}")]
    return {str(path.relative_to(out)): path.read_bytes() for path in found}


def require_alike(tables: dict[str, bytes], others: dict[str, bytes]) -> None:
    """Hold tables of answers beside each other: what was timed is another, and probabilities may be rounded otherwise.

    Once a single column of one release had 4 of 1,024 probabilities that differed by 1e-6 between two engines.
    """
    assert tables.keys() == others.keys()
    assert tables
    for name, table in tables.items():
        one, other = (parquet.read_table(BytesIO(data)) for data in (table, others[name]))
        assert one.schema == other.schema
        for column in one.column_names:
            assert alike(one[column].to_pylist(), other[column].to_pylist()), (name, column)


def alike(one: Any, other: Any) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-5)
    return bool(one == other)


def test_cells_that_fit_no_machine_fail_at_once_and_the_others_are_built(
    cluster: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ray would have them wait for ever."""
    base = checkpoints.make(tmp_path / "tiny", "llama")
    options = {"bbq": "off", "latency": "off", "perplexity": "off"}
    fields = {"models": [str(base)], "methods": ["random", "magnitude"], "sparsities": [0.1], "options": options}
    fields["overrides"] = [{"when": {"method": "random"}, "options": {"threads": 64}}]
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(fields))
    where = ["--local", "--out", str(tmp_path / "out"), "--ray", cluster.address, "--json"]
    assert run(["sweep", str(tmp_path / "grid.yaml"), *where]) == 1
    built = {cell["method"]: cell for cell in json.loads(capsys.readouterr().out)["cells"]}
    assert built["magnitude"]["status"] == "done"
    assert "64 processors (the most on one machine: 1)" in built["random"]["error"][0]


def test_a_machine_with_another_version_or_none_is_refused_by_name(
    cluster: Any, grid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package = tmp_path / "release"
    package.mkdir()
    for text, said in (("__version__ = '0.0.1'", "has release 0.0.1, not"), ("raise ImportError", "has no package")):
        (package / "__init__.py").write_text(text)
        node = cluster.add_node(num_cpus=1, env_vars={"PYTHONPATH": str(tmp_path)}, **SMALL)
        try:
            assert run(["sweep", str(grid), "--local", "--out", str(tmp_path / "out"), "--ray", cluster.address]) == 2
        finally:
            cluster.remove_node(node)
        error = capsys.readouterr().err
        assert f"{socket.gethostname()} (" in error
        assert said in error
        assert not (tmp_path / "out" / "sweeps" / "grid" / "cells").exists()


def test_what_listens_and_is_no_cluster_is_refused_within_fifteen_seconds(
    grid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        began = time.monotonic()
        code = run(["sweep", str(grid), "--local", "--out", str(tmp_path), "--ray", address])
        took = time.monotonic() - began
    assert code == 2
    assert f"What answers at {address} is no Ray cluster" in capsys.readouterr().err
    assert took < 15
