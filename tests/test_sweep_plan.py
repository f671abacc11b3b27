"""What a sweep would do: told cell by cell from headers, from what cells of the kind took here, and within seconds."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from release.__main__ import run
from release.progress import Console
from release.sweep.job import open_sweep
from release.sweep.task import SweepTask
from release.sweep.worker import run as build
from tests.checkpoints import PRUNABLE

NOTHING = {"bbq": "off", "perplexity": "off", "latency": "off"}
HEAVY = ("torch", "transformers", "matplotlib")
Plan = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def plan(tmp_path: Path, llama: Path, capsys: pytest.CaptureFixture[str]) -> Plan:
    """Plan a grid over a tiny model; the exit code, and what was said."""

    def planned(*words: str, **fields: Any) -> tuple[int, dict[str, Any]]:
        facts = {"models": [str(llama)], "methods": ["random"], "sparsities": [0.1, 0.3], "options": NOTHING, **fields}
        path = tmp_path / "grid.yaml"
        path.write_text(yaml.safe_dump(facts), encoding="utf-8")
        code = run(["sweep", str(path), "--out", str(tmp_path / "out"), "--dry-run", "--json", *words])
        told: dict[str, Any] = json.loads(capsys.readouterr().out)
        return code, told

    return planned


def test_a_base_is_read_once_for_the_cells_of_a_task(plan: Plan, llama: Path) -> None:
    size = sum(path.stat().st_size for path in llama.glob("*.safetensors"))
    code, told = plan(seeds=[1, 2])
    assert code == 0
    assert [cell["bytes_to_read"] for cell in told["cells"]] == [size, size, 0, 0]
    assert told["left"] == {
        "bytes_to_read": 2 * size,
        "bytes_to_write": 4 * size,
        "bytes_to_upload": 0,
        "seconds": None,
    }
    assert [cell["zeroed_parameters"] for cell in told["cells"]][::2] == [
        round(share * PRUNABLE["llama"]) for share in (0.1, 0.3)
    ]


def test_what_a_cell_takes_is_unknown_until_one_of_its_kind_was_built_here(plan: Plan, tmp_path: Path) -> None:
    _, told = plan()
    assert [(cell["estimated_seconds"], cell["estimated_memory"]) for cell in told["cells"]] == [(None, None)] * 2
    job = open_sweep(tmp_path / "grid.yaml", tmp_path / "out", ["sparsity=0.1"])
    build(SweepTask(out=job.out, work=job.work, cells=job.cells), Console(quiet=True))
    [state] = [state for _, state in job.states()]
    _, told = plan(seeds=[42, 43])
    assert [cell["status"] for cell in told["cells"]] == ["done", "planned", "planned", "planned"]
    assert {cell["estimated_seconds"] for cell in told["cells"]} == {state.seconds}
    assert all(cell["estimated_memory"] > 1 << 20 and cell["measured"] == 1 for cell in told["cells"])
    assert told["left"]["seconds"] == pytest.approx(3 * (state.seconds or 0))
    _, told = plan(options={**NOTHING, "perplexity": 2})
    assert {cell["estimated_seconds"] for cell in told["cells"]} == {None}


def test_a_cell_that_cannot_be_is_named_and_the_others_are_planned(plan: Plan) -> None:
    code, told = plan(patterns=["2:4", "32:64"], methods=["magnitude"])
    errors = {cell["cell"]: cell["error"] for cell in told["cells"] if cell["error"]}
    assert code == 1
    assert len(told["cells"]) == 4
    assert list(errors) == [next(cell["cell"] for cell in told["cells"] if cell["pattern"] == "32:64")]
    assert "32:64" in next(iter(errors.values()))[0]


def test_a_base_that_is_not_there_is_told_of_all_its_cells(plan: Plan, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    code, told = plan(models=[str(empty)])
    assert code == 1
    assert all("config.json" in " ".join(cell["error"]) for cell in told["cells"])


def test_a_published_grid_names_its_repositories_and_what_is_uploaded(plan: Plan) -> None:
    _, told = plan(publication={"namespace": "lab"})
    assert [cell["repositories"] for cell in told["cells"]] == [["lab/llama-random-s10"], ["lab/llama-random-s30"]]
    assert told["left"]["bytes_to_upload"] == told["left"]["bytes_to_write"]
    _, told = plan(publication={"weights": "none"})
    assert told["left"]["bytes_to_upload"] == 0


@pytest.mark.parametrize(
    ("options", "windows"),
    [
        ({"perplexity": "off"}, 0),
        ({"perplexity": 8, "divergence": "off"}, 0),
        ({"perplexity": 8}, 8),
        ({"perplexity": 8, "divergence": 2}, 2),
        ({"perplexity": "full", "divergence": 2}, 2),
        ({"perplexity": "full", "divergence": "full"}, None),
    ],
)
def test_it_says_what_is_kept_of_a_dense_model_until_the_sweep_ends(
    options: dict[str, Any], windows: int | None, plan: Plan, llama: Path
) -> None:
    vocabulary = json.loads((llama / "config.json").read_text())["vocab_size"]
    _, told = plan(methods=["random", "magnitude"], options={**NOTHING, **options})
    assert told["bytes_kept_meanwhile"] == (None if windows is None else windows * 255 * vocabulary * 4)


@pytest.mark.long
def test_ten_thousand_cells_are_planned_in_less_than_500_mb_and_without_what_builds_them(
    tmp_path: Path, llama: Path
) -> None:
    path = tmp_path / "grid.yaml"
    facts = {"models": [str(llama)], "methods": ["random"], "sparsities": [n / 100 for n in range(1, 11)]}
    path.write_text(yaml.safe_dump({**facts, "seeds": list(range(1000)), "options": NOTHING}), encoding="utf-8")
    script = (
        # Of a process that was forked, getrusage tells the peak of the one before it, too.
        "import re, sys; from pathlib import Path; from release.__main__ import run;"
        f"code = run(['sweep', {str(path)!r}, '--dry-run']);"
        f"loaded = [name for name in {HEAVY} if name in sys.modules];"
        "most = re.search('VmHWM:\\\\s+([0-9]+) kB', Path('/proc/self/status').read_text())[1];"
        "print(code, loaded, most, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    code, loaded, most = done.stderr.splitlines()[-1].split(" ")
    assert (code, loaded) == ("0", "[]")
    assert int(most) * 1024 < 500e6
    assert len(done.stdout.splitlines()) > 10_000
