"""A cell whose machine has no room fails with a plain reason, the others are built; a rerun with room ends whole."""

import os
import socket
from pathlib import Path

import pytest

from release.progress import Console
from release.pruning.prune import SPARE
from release.sweep.engine import WorkerEnd, remaining
from release.sweep.grid import Grid, GridCell, cells_of
from release.sweep.remote import RemoteTask, build_there
from release.sweep.state import Board, CellState
from release.sweep.task import SweepTask
from release.sweep.worker import run as build
from tests import checkpoints, small_disk

NOTHING = {"bbq": "off", "perplexity": "off", "latency": "off", "threads": 1}
AGAIN = "Free some space there, then run the same command with --retry-failed."


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A base in one file of about 50 KB, and one in files of at most 30."""
    folder = tmp_path_factory.mktemp("bases")
    return checkpoints.make(folder / "whole", "llama"), checkpoints.make(folder / "parts", "llama", shard="30KB")


def swept(bases: tuple[Path, ...], out: Path) -> dict[str, CellState]:
    """Build what is missing, a task a base; return the states."""
    grid = Grid(name="g", models=tuple(map(str, bases)), methods=("magnitude",), sparsities=(0.1, 0.5), options=NOTHING)
    found, board = cells_of(grid, out), Board(out / "sweeps" / "g", out)
    tasks: dict[str, list[GridCell]] = {}
    for cell in board.missing(found):
        tasks.setdefault(cell.task, []).append(cell)
    for cells in tasks.values():
        build(SweepTask(out=out, work=board.work, cells=tuple(cells)), Console(quiet=True))
    return {cell.key: board.state(cell) for cell in found}


def retried(bases: tuple[Path, ...], out: Path) -> set[str]:
    """Forget what failed, as --retry-failed does, and build again."""
    for path in (out / "sweeps" / "g" / "cells").glob("*.json"):
        if CellState.model_validate_json(path.read_bytes()).status == "failed":
            path.unlink()
    return {state.status for state in swept(bases, out).values()}


def require_plain(states: dict[str, CellState], failed: set[str]) -> None:
    assert {key for key, state in states.items() if state.status == "failed"} == failed
    assert {state.status for key, state in states.items() if key not in failed} == {"done"}
    for key in failed:
        seen, remedy = states[key].error or ("", "")
        assert seen.startswith(f"No room on a disk of {socket.gethostname()}: ")
        assert remedy == AGAIN


@pytest.mark.long
def test_where_a_file_may_grow_no_further_its_cells_fail_and_the_others_go_on(
    bases: tuple[Path, Path], tmp_path: Path
) -> None:
    """The weights are cut in the middle of a write; smaller files, and what is said of the cells, find room."""
    largest = max(path.stat().st_size for path in bases[0].glob("*.safetensors"))
    assert max(path.stat().st_size for path in bases[1].glob("*.safetensors")) < largest // 1.5
    said = tmp_path / "said"
    if not (child := os.fork()):
        code = 1
        try:
            small_disk.only(largest - 1)()
            require_plain(swept(bases, tmp_path), {"whole-magnitude-s10", "whole-magnitude-s50"})
            code = 0
        except BaseException as error:  # noqa: BLE001 - told to the process that waits
            said.write_text(repr(error)[:2000])
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0, said.read_text()
    assert retried(bases, tmp_path) == {"done"}


@pytest.mark.skipif(not small_disk.may_mount(), reason="no disk can be mounted here")
def test_on_a_full_disk_what_fits_is_built_and_the_rest_once_there_is_room(
    bases: tuple[Path, Path], tmp_path: Path
) -> None:
    """There is room for one of two cells."""
    size = sum(path.stat().st_size for path in bases[0].iterdir())

    def law(disk: Path) -> None:
        first = swept(bases[:1], disk)
        require_plain(first, {"whole-magnitude-s50"})
        assert "are needed and" in (first["whole-magnitude-s50"].error or ("",))[0]
        small_disk.grow(disk, 2 * SPARE)
        assert retried(bases[:1], disk) == {"done"}

    small_disk.on_a_disk_of(SPARE + size + size // 2, tmp_path, law)


def test_a_machine_of_a_cluster_without_room_is_named_and_only_one_cell_is_lost_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its temporary folder is none: nothing can be laid down there before the process begins."""
    fields = {"models": ["demo"], "methods": ["random"], "sparsities": [0.1, 0.3]}
    cells, board = cells_of(Grid.model_validate(fields), tmp_path), Board(tmp_path / "sweeps" / "g", tmp_path)
    task = SweepTask(out=tmp_path, work=board.work, cells=cells)
    handed = RemoteTask(task=task, tries=board.work / "tries" / "1", folder=tmp_path, variables={})
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    ended = build_there(handed.model_dump_json())
    assert isinstance(ended, WorkerEnd)
    assert remaining(board, cells, ended) == [cells[1]]
    seen, remedy = board.state(cells[0]).error or ("", "")
    assert seen.startswith(f"{socket.gethostname()}: No such file or directory")
    assert remedy.endswith("run the same command with --retry-failed.")
