"""Of several tasks of a sweep one at a time reads a dense model; the others take over what it read."""

import errno
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from release.evals.engine.store import ReadingStore, model_digest
from release.evals.engine.subject import EvaluatedModel, Runtime
from release.evals.engine.turn import turn, turns_by
from release.progress import Console
from release.sweep import worker
from release.sweep.job import open_sweep
from release.sweep.readings import FILE
from release.sweep.task import SweepTask
from release.sweep.turns import DenseTurns
from tests import checkpoints

VALUE = np.array([1.5], np.float32)


def task(shared: Path, own: Path | None) -> SweepTask:
    if own:
        own.mkdir(exist_ok=True)
    return SweepTask(out=shared, work=shared, cells=(), readings=own)


def turns(shared: Path, own: Path | None = None) -> DenseTurns:
    return DenseTurns(task(shared, own), Console(quiet=True))


def read(own: Path, question: str) -> bool:
    """Take a reading unless it is known; whether it had to be taken."""
    with ReadingStore("model", "float32 cpu", Console(quiet=True), own / FILE) as store:
        known = store.recall([store.key(question)])
        if not known:
            store.put(store.key(question), VALUE)
    return not known


def model(name: str, folder: Path) -> EvaluatedModel:
    """A model of which nothing but its configuration is there; it is named by that and by its files' digests."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text("{}")
    return EvaluatedModel(name, folder, Runtime(torch.device("cpu"), torch.float32), Console(quiet=True), files=())


def test_outside_of_a_sweep_it_is_always_ones_turn(tmp_path: Path) -> None:
    with turn(model("dense", tmp_path)), turn(model("dense", tmp_path)):
        pass


def test_a_pruned_model_is_one_tasks_own_and_needs_no_turn(tmp_path: Path) -> None:
    pruned = model("pruned", tmp_path)
    with turns_by(turns(tmp_path)), turn(pruned), turns_by(turns(tmp_path)), turn(pruned):
        pass
    assert not (tmp_path / "logprobs").exists()


@pytest.mark.parametrize("flock", [True, False], ids=["flock", "none"])
def test_who_waited_takes_over_what_was_read_in_the_turn_before(
    flock: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    if not flock:
        monkeypatch.setattr("fcntl.flock", refuse)
    first, second = tmp_path / "first", tmp_path / "second"
    begun, read_by_second = threading.Event(), list[bool]()

    def other() -> None:
        begun.set()
        with turns(tmp_path, second)("model"):
            read_by_second.append(read(second, "what"))

    waiting = threading.Thread(target=other)
    with turns(tmp_path, first)("model"):
        waiting.start()
        begun.wait()
        assert read(first, "what")
        waiting.join(0.5)
        assert not read_by_second, "its turn has not come"
    waiting.join(30)
    assert read_by_second == [False]


def test_turns_of_two_models_do_not_wait_for_each_other(tmp_path: Path) -> None:
    with turns(tmp_path)("one"), turns(tmp_path)("other"):
        pass


def test_what_is_read_inside_a_sweep_waits_for_its_turn(tmp_path: Path) -> None:
    dense = model("dense", tmp_path / "dense")
    first, second = tmp_path / "first", tmp_path / "second"
    with turns_by(turns(tmp_path, first)), turn(dense):
        assert read(first, "what")
    with turns_by(turns(tmp_path, second)), turn(dense):
        assert not read(second, "what")


def test_what_a_task_laid_down_is_there_when_it_is_tried_again_elsewhere(tmp_path: Path) -> None:
    own = tmp_path / "own"
    with turns(tmp_path, own)("model"):
        assert read(own, "what")
    shutil.rmtree(own)
    with turns(tmp_path, own)("model"):
        assert not read(own, "what")


def test_a_turn_whose_process_was_killed_is_over(tmp_path: Path) -> None:
    code = """
import os, sys
from pathlib import Path
from release.progress import Console
from release.sweep.task import SweepTask
from release.sweep.turns import DenseTurns
here = Path(sys.argv[1])
with DenseTurns(SweepTask(out=here, work=here, cells=()), Console(quiet=True))("model"):
    os._exit(9)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == 9
    with turns(tmp_path)("model"):
        pass


def test_a_reading_that_fails_gives_the_turn_to_the_next_and_lays_nothing_down(tmp_path: Path) -> None:
    own, next_one = tmp_path / "own", tmp_path / "next"

    def fail() -> None:
        assert read(own, "what")
        raise RuntimeError

    with pytest.raises(RuntimeError), turns(tmp_path, own)("model"):
        fail()
    with turns(tmp_path, next_one)("model"):
        assert read(next_one, "what")


def test_where_no_lock_can_be_made_each_reads_for_itself(tmp_path: Path) -> None:
    (tmp_path / "logprobs").write_text("a file where the folder of locks would be")
    with turns(tmp_path)("model"), turns(tmp_path)("model"):
        pass


def test_a_worker_waits_for_the_task_that_reads_its_dense_model_and_goes_on_after_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = checkpoints.make(tmp_path / "tiny", "llama")
    options = {"bbq": "off", "latency": "off", "answers": "off", "perplexity": 2}
    grid = tmp_path / "grid.yaml"
    axes = {"methods": ["random"], "sparsities": [0.1], "options": options}
    grid.write_text(yaml.safe_dump({"models": [str(base)], **axes}))
    job = open_sweep(grid, tmp_path / "out")
    asked = SweepTask(out=job.out, work=job.work, cells=job.cells)
    working = threading.Thread(target=worker.run, args=(asked, Console()))
    told = ""
    with turns(job.work)(f"{model_digest(base)} {Runtime(torch.device('cpu'), torch.float32)}"):
        working.start()
        while "it is waited for" not in told and working.is_alive():
            time.sleep(0.1)
            told += capsys.readouterr().err
    assert "it is waited for" in told
    working.join()
    assert [state.status for _, state in job.states()] == ["done"]
