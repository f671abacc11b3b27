"""A release is there whole or not at all: killed or out of room at any write, the same command ends in the same bytes.

Commands run in forks of this process, which has imported everything; an audit hook stops them at the n-th of the calls
that change the folder.
"""

import errno
import hashlib
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from release.__main__ import run
from release.record import Record
from tests import checkpoints

TIMED = ("README.md", "measurements.json")
"""Files that tell when and how long something ran; what else the card says, release.json says too."""
CLOCK = "pruning.json"
"""The marker of a run that saw pruning from beginning to end; one that was continued leaves none."""
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
Hook = Callable[[str, tuple[Any, ...]], None]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint; published once here, so that every fork has what the command imports."""
    folder = tmp_path_factory.mktemp("base")
    made = checkpoints.make(folder / "tiny", "llama", shard="30KB")
    assert run(command(made, folder / "warm")) == 0
    return made


def command(base: Path, out: Path) -> list[str]:
    words = ["publish", str(base), "--method", "random", "--sparsity", "0.5", "--local", "--out", str(out)]
    return [*words, "--bbq", "off", "--perplexity", "off", "--latency", "off", "--threads", "1"]


def forked(words: list[str], said: Path, hook: Hook | None = None) -> int:
    """Run a command in a fork, and return its exit code; what it says lies in a file."""
    if not (child := os.fork()):
        os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666), 2)
        os.dup2(2, 1)
        sys.stdout = sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
        code = 99
        try:
            if hook:
                sys.addaudithook(hook)
            code = run(words)
        finally:
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


NEEDS_ROOM = ("open", "os.mkdir")
ALL = (*NEEDS_ROOM, "os.rename", "os.remove", "os.rmdir")


def changes(event: str, arguments: tuple[Any, ...], out: Path, kinds: tuple[str, ...]) -> bool:
    """Whether a call is about to change something in the folder, in one of some ways."""
    if event not in kinds:
        return False
    if event == "open":
        path, _, flags = arguments
        return isinstance(path, str) and path.startswith(str(out)) and bool(flags & WRITES)
    return str(arguments[0]).startswith(str(out))


def at(number: int, out: Path, action: Callable[[], None], kinds: tuple[str, ...] = ALL) -> Hook:
    """A hook that acts at the change of a number, and at those after it."""
    count = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if changes(event, arguments, out, kinds):
            count += 1
            if count >= number:
                action()

    return hook


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def full() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def tree(out: Path) -> dict[str, str]:
    """Every path below a folder, hidden ones too, and what it holds, but for what tells times."""
    found = sorted(path for path in out.rglob("*") if path.name != CLOCK)
    return {path.relative_to(out).as_posix(): content(path) for path in found}


def content(path: Path) -> str:
    if path.is_dir():
        return "folder"
    if path.name == "release.json":
        record = Record.read(path.parent)
        still = record.pruning.model_copy(update={"seconds": None, "work": None})
        return record.model_copy(update={"pruning": still, "created": ""}).to_json()
    return "timed" if path.name in TIMED else hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def whole(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What an undisturbed run leaves."""
    folder = tmp_path_factory.mktemp("whole")
    assert forked(command(base, folder / "out"), folder / "said") == 0, (folder / "said").read_text()
    return tree(folder / "out")


@pytest.fixture(scope="module")
def kills(base: Path, tmp_path_factory: pytest.TempPathFactory) -> int:
    """In how many changes a run is done."""
    return counted(base, tmp_path_factory.mktemp("kills"), ALL)


@pytest.fixture(scope="module")
def writes(base: Path, tmp_path_factory: pytest.TempPathFactory) -> int:
    """In how many of them it needs room."""
    return counted(base, tmp_path_factory.mktemp("writes"), NEEDS_ROOM)


def counted(base: Path, folder: Path, kinds: tuple[str, ...]) -> int:
    handle = os.open(folder / "counted", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    hook = at(1, folder / "out", lambda: once(handle), kinds)
    assert forked(command(base, folder / "out"), folder / "said", hook) == 0
    os.close(handle)
    return (folder / "counted").stat().st_size


def once(handle: int) -> None:
    os.write(handle, b".")


def moments(count: int, wanted: int) -> Iterator[int]:
    """So many numbers of changes from 1 to count, evenly."""
    return (1 + number * count // wanted for number in range(wanted))


def again(base: Path, out: Path, said: Path, whole: dict[str, str]) -> None:
    assert forked(command(base, out), said) == 0, said.read_text()
    assert tree(out) == whole


def refused_for_want_of_room(base: Path, out: Path, said: Path, number: int) -> None:
    assert forked(command(base, out), said, at(number, out, full, NEEDS_ROOM)) == 2, said.read_text()
    text = said.read_text()
    assert "room" in text or "No space left" in text
    assert "Traceback" not in text


def killed(base: Path, out: Path, said: Path, number: int) -> None:
    assert forked(command(base, out), said, at(number, out, kill)) == -signal.SIGKILL


@pytest.mark.parametrize("share", [0, 0.3, 0.6, 0.95])
def test_killed_at_a_write_the_same_command_ends_in_the_same_bytes(base, whole, kills, tmp_path, share):
    killed(base, tmp_path / "out", tmp_path / "said", 1 + int(share * kills))
    again(base, tmp_path / "out", tmp_path / "said", whole)


@pytest.mark.parametrize("share", [0, 0.3, 0.6, 0.95])
def test_without_room_at_a_write_it_says_so_and_ends_in_the_same_bytes_later(base, whole, writes, tmp_path, share):
    refused_for_want_of_room(base, tmp_path / "out", tmp_path / "said", 1 + int(share * writes))
    again(base, tmp_path / "out", tmp_path / "said", whole)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_hundred_kills_spread_over_all_writes(base, whole, kills, tmp_path):
    for number in moments(kills, 100):
        out = tmp_path / f"out{number}"
        killed(base, out, tmp_path / "said", number)
        again(base, out, tmp_path / "said", whole)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_hundred_full_disks_spread_over_all_writes(base, whole, writes, tmp_path):
    for turn, number in enumerate(moments(writes, 100)):
        out = tmp_path / f"out{turn}"
        refused_for_want_of_room(base, out, tmp_path / "said", number)
        again(base, out, tmp_path / "said", whole)


def test_of_two_runs_one_wins_and_the_other_is_told(base, whole, tmp_path):
    two_runs(base, tmp_path, whole, random.Random(3))


@pytest.mark.long
@pytest.mark.timeout(900)
def test_two_runs_fifty_times(base, whole, tmp_path):
    for number in range(50):
        folder = tmp_path / str(number)
        folder.mkdir()
        two_runs(base, folder, whole, random.Random(number))


def two_runs(base: Path, folder: Path, whole: dict[str, str], chance: random.Random) -> None:
    """Start the second while the first is at work."""
    first = os.fork()
    if not first:
        os._exit(forked(command(base, folder / "out"), folder / "first"))
    deadline = time.monotonic() + 60
    while not list((folder / "out").rglob("lock")) and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(chance.uniform(0, 0.01))
    second = forked(command(base, folder / "out"), folder / "second")
    ended = os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])
    told = (folder / "second").read_text()
    assert ended == 0, (folder / "first").read_text()
    assert second == 0 or (second == 2 and "Another run is at work" in told), told
    assert tree(folder / "out") == whole
