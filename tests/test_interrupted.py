"""A kill at any moment: the same command again ends in the same bytes, and no stray file stays.

What is killed is a fork of this process, which has imported everything; Ctrl-C goes to a process of its own.
"""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import pytest

from release.__main__ import run
from release.schema.record import Record
from tests import checkpoints

ROOT = Path(__file__).parent.parent
KILLS = 3


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Large enough that a kill finds the command at work on the weights: 170 MB in five shards."""
    folder = tmp_path_factory.mktemp("base") / "wide"
    sizes = {"hidden_size": 1024, "intermediate_size": 2816, "num_hidden_layers": 6}
    return checkpoints.make(folder, "llama", shard="40MB", **sizes)


def command(base: Path, out: Path, method: str = "random") -> list[str]:
    words = ["prune", str(base), "--method", method, "--sparsity", "0.5", "--threads", "1", "--out", str(out)]
    return [*words, *checkpoints.CALIBRATION]


def hashes(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.glob("*.safetensors"))}


def killed_at_work(base: Path, out: Path, delay: float, method: str = "random") -> bool:
    """Start the command, kill it `delay` seconds after it began its work, and tell whether that found it at work."""
    process = get_context("fork").Process(target=lambda: os._exit(run(command(base, out, method))))
    before = at_work(out)
    process.start()
    await_work(process.is_alive, out, before)
    time.sleep(delay)
    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


def await_work(alive: Callable[[], bool], out: Path, before: int) -> None:
    """Wait until the command has begun to write weights, or to finish blocks."""
    while alive() and at_work(out) <= before:
        time.sleep(0.005)


def at_work(out: Path) -> int:
    """How many files the command has begun."""
    return len(list(out.rglob(".*.partial"))) + len(list(out.rglob("block-*"))) + len(list(out.glob("*.safetensors")))


def finish(base: Path, out: Path, method: str = "random") -> None:
    """Run the command to its end: in this process, which has what it imports already."""
    assert run(command(base, out, method)) == 0


@pytest.fixture(scope="module")
def whole(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    out = tmp_path_factory.mktemp("whole") / "out"
    finish(base, out)
    assert Record.read(out).pruning.seconds is not None
    return hashes(out)


@pytest.mark.long
def test_killed_at_random_moments_it_ends_in_the_same_bytes_without_stray_files(base, whole, tmp_path):
    out, chance = tmp_path / "out", random.Random(7)
    kills = 0
    for _ in range(KILLS):
        kills += killed_at_work(base, out, chance.uniform(0, 0.1))
    assert kills > 0
    finish(base, out)
    assert hashes(out) == whole
    assert not [p.name for p in out.iterdir() if p.name.startswith(".")]
    assert Record.read(out).pruning.seconds is None, "no clock saw it all"


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_twenty_kills_each_resumed_end_in_the_same_bytes_without_stray_files(base, whole, tmp_path):
    kills = 0
    for number in range(20):
        out = tmp_path / f"out{number}"
        kills += killed_at_work(base, out, random.Random(number).uniform(0, 0.5))
        finish(base, out)
        assert hashes(out) == whole
        assert not [p.name for p in out.iterdir() if p.name.startswith(".")]
        shutil.rmtree(out)
    assert kills > 10


@pytest.mark.long
def test_killed_between_blocks_calibration_goes_on_and_ends_in_the_same_bytes(tmp_path):
    base = checkpoints.make(tmp_path / "base", "llama", shard="300KB", hidden_size=256, num_hidden_layers=8)
    finish(base, tmp_path / "whole", "wanda")
    out, kills = tmp_path / "out", 0
    for _ in range(KILLS):
        kills += killed_at_work(base, out, 0.02, "wanda")
    assert kills > 0
    finish(base, out, "wanda")
    assert hashes(out) == hashes(tmp_path / "whole")
    assert not [p.name for p in out.iterdir() if p.name.startswith(".")]


@pytest.mark.long
def test_ctrl_c_says_how_to_go_on(base, whole, tmp_path):
    out = tmp_path / "out"
    words = [sys.executable, "-m", "release", *command(base, out)]
    process = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    await_work(lambda: process.poll() is None, out, 0)
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said = process.communicate()[1]
    assert process.returncode == 130, said
    assert "Run the same command again" in said
    assert "Traceback" not in said
    finish(base, out)
    assert hashes(out) == whole
