"""A grid as Hub Jobs: each is the real command, in a process that knows the Hub and its secret, and nothing else."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from release.hub import job
from release.settings.sweeping import seconds
from tests import checkpoints, remote
from tests.hub import HubServer
from tests.remote import ROOT, Client

PACKAGE = "git+https://example.org/prunecard"
UV = f"""#!/bin/sh
test "$1 $2 $3 $4" = "run --with {PACKAGE} release" || {{ echo "No solution found for $3."; exit 9; }}
shift 4
PYTHONPATH={ROOT} exec {sys.executable} -m release "$@"
"""
"""What stands for uv in the Job's image: it has the package that is named already."""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with remote.client(tmp_path_factory.mktemp("client")) as client:
        image = tmp_path_factory.mktemp("image")
        (image / "uv").write_text(UV)
        (image / "uv").chmod(0o755)
        client.hub.site.images[job.IMAGE] = image
        remote.lay(client.hub, "ada/tiny", checkpoints.make(tmp_path_factory.mktemp("base") / "tiny", "llama"))
        yield client


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    options = {"bbq": "off", "latency": "off", "perplexity": 2}
    path = tmp_path / "grid.yaml"
    fields = {"models": ["ada/tiny"], "methods": ["random"], "sparsities": [0.1, 0.5], "options": options}
    path.write_text(yaml.safe_dump(fields))
    return path


def sweep(client: Client, grid: Path, *words: str) -> dict[str, Any]:
    """Run a sweep, and return its cells by name; nobody is told the token."""
    where = ["--out", str(grid.parent / "releases"), "--jobs", "cpu-basic", "--package", PACKAGE, "--json"]
    said = client.run("sweep", str(grid), *where, *words, token=HubServer.token)
    assert HubServer.token not in said["out"] + said["err"]
    told = json.loads(said["out"])
    assert "cells" in told, told
    return {cell["cell"]: cell for cell in told["cells"]} | {"code": said["code"], "said": said["err"]}


@pytest.mark.parametrize(("text", "length"), [("90m", 5400), ("45s", 45), ("48h", 48 * 3600)])
def test_a_length_of_time_is_read(text: str, length: int) -> None:
    assert seconds(text) == length


@pytest.mark.parametrize("text", ["0s", "49h", "2", "soon", "-1h"])
def test_no_other_is(text: str) -> None:
    with pytest.raises(Exception, match="--job-timeout"):
        seconds(text)


@pytest.mark.long
def test_a_base_that_lies_here_is_refused_cell_by_cell(machine: Client, grid: Path) -> None:
    base = checkpoints.make(grid.parent / "tiny", "llama")
    grid.write_text(grid.read_text().replace("ada/tiny", str(base)))
    found = sweep(machine, grid)
    assert found["code"] == 1
    assert "a folder of this machine" in found["tiny-random-s10"]["error"][0]
    assert machine.hub.jobs.all == {}


@pytest.mark.long
def test_a_grid_is_built_by_jobs_one_of_which_failed_and_one_of_which_took_too_long(
    machine: Client, grid: Path
) -> None:
    late = sweep(machine, grid, "--only", "sparsity=0.1", "--job-timeout", "1s")
    assert late["code"] == 1
    assert late["tiny-random-s10"]["error"][0] == "Its Job was ended after 1 seconds."
    assert "--job-timeout" in late["tiny-random-s10"]["error"][1]

    failed = sweep(machine, grid, "--only", "sparsity=0.5", "--package", "nothing-like-it")
    seen, remedy = failed["tiny-random-s50"]["error"]
    assert "exit code: 9" in seen
    assert "No solution found for nothing-like-it." in seen
    assert f"{machine.hub.url}/jobs/ada/" in remedy

    whole = sweep(machine, grid, "--retry-failed")
    assert whole["code"] == 0, whole["said"]
    jobs = machine.hub.jobs.settled()
    assert [each.stage for each in jobs] == ["ERROR", "ERROR", "COMPLETED", "COMPLETED"]
    for each in jobs:
        assert each.spec["timeoutSeconds"] in (1, 7200)
        assert each.spec["labels"]["release-sweep"] == "grid"
        assert HubServer.token not in json.dumps(each.told())
    for cell in ("tiny-random-s10", "tiny-random-s50"):
        model = grid.parent / "releases" / cell / "model"
        pushed = machine.hub.store.repo("models", f"ada/{cell}")
        assert pushed.private
        assert {path.name for path in model.iterdir()} >= {"model.safetensors", "release.json", "README.md"}
    assert (grid.parent / "releases" / "sweeps" / "grid" / "report" / "report.html").is_file()

    assert sweep(machine, grid)["code"] == 0
    assert len(machine.hub.jobs.settled()) == 4, "what is done starts no Job"
