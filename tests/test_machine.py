"""What the machine tells of itself, and what is said where it does not tell."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from release import guarded, machine
from release.outside import Unfit


def test_free_memory_is_less_than_there_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    free = machine.memory_free()
    assert free is not None
    assert 0 < free < psutil.virtual_memory().total


@pytest.mark.parametrize(("limit", "left"), [("1000", 1000 - 400 + 150), ("max", None)])
def test_a_containers_limit_counts_less_what_it_uses_and_cannot_give_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: str, left: int | None
) -> None:
    contents = {"memory.max": limit, "memory.current": "400", "memory.stat": "anon 250\nfile 150"}
    for name, content in contents.items():
        (tmp_path / name).write_text(f"{content}\n")
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    free = machine.memory_free()
    assert free == left if left else (free or 0) > 1000


@pytest.mark.parametrize("error", [FileNotFoundError("/proc/stat"), NotImplementedError(), psutil.AccessDenied()])
def test_what_a_system_does_not_tell_is_unknown(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def silent(*_: object, **__: object) -> None:
        raise error

    for name in ("virtual_memory", "cpu_times", "Process"):
        monkeypatch.setattr(psutil, name, silent)
    assert (machine.memory_free(), machine.used_seconds(), machine.memory_of(os.getpid())) == (None, None, None)


def test_processors_that_are_switched_off_leave_the_load_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    known = psutil.cpu_times(percpu=True)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, len(known)})
    assert machine.used_seconds() is None


def test_without_affinity_every_processor_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    assert machine.cores() == os.cpu_count()


def test_time_that_is_spent_is_seen() -> None:
    before, end = machine.used_seconds(), time.process_time() + 0.1
    while time.process_time() < end:
        pass
    after = machine.used_seconds()
    assert before is not None
    assert after is not None
    assert after - before > 0.05


@pytest.mark.parametrize(
    ("script", "name"), [("echo Apple M2 Pro", "Apple M2 Pro"), ("exit 1", "fallback"), (None, "fallback")]
)
def test_macos_names_its_processor(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str | None, name: str
) -> None:
    if script:
        (tmp_path / "sysctl").write_text(f'#!/bin/sh\n[ "$*" = "-n machdep.cpu.brand_string" ] && {script}\n')
        (tmp_path / "sysctl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "none")
    monkeypatch.setattr("platform.processor", lambda: "fallback")
    assert machine.processor() == name


def growing(_: str) -> str:
    held = []
    while True:
        held.append(b"x" * (1 << 20))
        time.sleep(0.001)


@pytest.fixture
def _no_limits(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As on macOS, which keeps no limit of memory."""
    with monkeypatch.context() as patch:
        patch.setattr("resource.setrlimit", lambda *_: None)
        yield


@pytest.mark.usefixtures("_no_limits")
def test_work_that_grows_without_end_is_stopped_where_the_system_would_let_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded, "MEMORY", 64 << 20)
    with pytest.raises(Unfit, match="takes more than 64 MB of memory"):
        guarded.texts(growing, ["a"], "The template")
