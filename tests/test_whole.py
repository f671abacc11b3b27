"""A release is there whole or not at all: killed or out of room at any write, the same command ends in the same bytes.

Commands run in forks of this process, which has imported everything; an audit hook stops them at the n-th of the calls
that change the folder. Room runs out in three ways: a call fails, a file may grow no further, a small disk is full.
"""

import errno
import hashlib
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from release.__main__ import run
from release.schema.record import Record
from tests import checkpoints, small_disk

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


def forked(words: list[str], said: Path, hook: Hook | None = None, before: Callable[[], None] = int) -> int:
    """Run a command in a fork, and return its exit code; what it says lies in a file afterwards.

    Args:
        before: Called in the fork, before the command.
    """
    told, tell = os.pipe()  # what it says must not be cut where its files are
    if not (child := os.fork()):
        os.dup2(tell, 2)
        os.dup2(2, 1)
        os.close(tell)
        sys.stdout = sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
        code = 99
        try:
            before()
            if hook:
                sys.addaudithook(hook)
            code = run(words)
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(tell)
    with os.fdopen(told, "rb") as words_said:
        said.write_bytes(words_said.read())
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
def made(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that an undisturbed run leaves."""
    folder = tmp_path_factory.mktemp("whole")
    assert forked(command(base, folder / "out"), folder / "said") == 0, (folder / "said").read_text()
    return folder / "out"


@pytest.fixture(scope="module")
def whole(made: Path) -> dict[str, str]:
    """What lies in it."""
    return tree(made)


@pytest.fixture(scope="module")
def largest(made: Path) -> int:
    """Bytes of the largest file in it."""
    return max(path.stat().st_size for path in made.rglob("*") if path.is_file())


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
    require_told(said)


def require_told(said: Path) -> None:
    text = said.read_text()
    assert any(words in text for words in ("room", "No space left", "are free")), text
    assert "Traceback" not in text


def cut_by_a_limit(base: Path, out: Path, said: Path, most: int) -> None:
    """No file grows beyond so many bytes: the write that would do so ends there."""
    assert forked(command(base, out), said, before=small_disk.only(most)) == 2, said.read_text()
    require_told(said)


def filled_meanwhile(base: Path, disk: Path, said: Path, whole: dict[str, str], number: int, spared: int) -> bool:
    """Others fill the disk at a write, but for some pages; later there is room again. Tell whether it was refused."""
    out, left = disk / "out", [spared]
    hook = at(number, out, lambda: left and small_disk.fill(disk, left.pop()), NEEDS_ROOM)
    code = forked(command(base, out), said, hook)
    if code:
        assert code == 2, said.read_text()
        require_told(said)
    (disk / small_disk.BALLAST).unlink()
    again(base, out, said, whole)
    return code != 0


def too_small(base: Path, disk: Path, said: Path, whole: dict[str, str]) -> None:
    """A disk that is too small from the first; later it is larger."""
    assert forked(command(base, disk / "out"), said) == 2, said.read_text()
    require_told(said)
    small_disk.grow(disk, ENOUGH)
    again(base, disk / "out", said, whole)


def killed(base: Path, out: Path, said: Path, number: int) -> None:
    assert forked(command(base, out), said, at(number, out, kill)) == -signal.SIGKILL


@pytest.mark.quick_rows(1)
@pytest.mark.parametrize("share", [0, 0.3, 0.6, 0.95])
def test_killed_at_a_write_the_same_command_ends_in_the_same_bytes(base, whole, kills, tmp_path, share):
    killed(base, tmp_path / "out", tmp_path / "said", 1 + int(share * kills))
    again(base, tmp_path / "out", tmp_path / "said", whole)


@pytest.mark.quick_rows(1)
@pytest.mark.parametrize("share", [0, 0.3, 0.6, 0.95])
def test_without_room_at_a_write_it_says_so_and_ends_in_the_same_bytes_later(base, whole, writes, tmp_path, share):
    refused_for_want_of_room(base, tmp_path / "out", tmp_path / "said", 1 + int(share * writes))
    again(base, tmp_path / "out", tmp_path / "said", whole)


MARKERS = ("work/recipe.txt", "work/pruning.json", "work/measurements.json", "model/release.json")
"""What a rerun asks first; all are there when the last steps of a run begin."""


@pytest.fixture(scope="module")
def almost(base: Path, kills: int, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was killed shortly before its end."""
    folder = tmp_path_factory.mktemp("almost")
    killed(base, folder / "out", folder / "said", kills - 10)
    return folder / "out"


@pytest.mark.quick_rows(2)
@pytest.mark.parametrize("left", [0, 0.5])
@pytest.mark.parametrize("name", MARKERS)
def test_a_marker_or_cache_that_was_cut_counts_as_absent(base, whole, almost, tmp_path, name, left):
    out = Path(shutil.copytree(almost, tmp_path / "out"))
    [marker] = out.glob(f"*/{name}")
    content = marker.read_bytes()
    marker.write_bytes(content[: int(left * len(content))])
    again(base, out, tmp_path / "said", whole)
    assert "Traceback" not in (tmp_path / "said").read_text()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_forty_kills_spread_over_all_writes(base, whole, kills, tmp_path):
    for number in moments(kills, 40):
        out = tmp_path / f"out{number}"
        killed(base, out, tmp_path / "said", number)
        again(base, out, tmp_path / "said", whole)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_forty_full_disks_spread_over_all_writes(base, whole, writes, tmp_path):
    for turn, number in enumerate(moments(writes, 40)):
        out = tmp_path / f"out{turn}"
        refused_for_want_of_room(base, out, tmp_path / "said", number)
        again(base, out, tmp_path / "said", whole)


@pytest.mark.parametrize("share", [0, 0.1, 0.99])
def test_cut_in_the_middle_of_a_write_it_says_so_and_ends_in_the_same_bytes_later(
    base, whole, largest, tmp_path, share
):
    cut_by_a_limit(base, tmp_path / "out", tmp_path / "said", int(share * largest))
    again(base, tmp_path / "out", tmp_path / "said", whole)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_forty_limits_from_nothing_to_just_too_small(base, whole, largest, tmp_path):
    for turn in range(40):
        out = tmp_path / f"out{turn}"
        # Most files are small: the limits lie close together at first.
        cut_by_a_limit(base, out, tmp_path / "said", int((largest - 1) * (turn / 39) ** 3))
        again(base, out, tmp_path / "said", whole)


ENOUGH = 128 << 20
"""Bytes of a disk that all of it fits on, with what a run wants to be spare."""
MOUNTS = small_disk.may_mount()
"""Where no disk may be mounted, files are cut by the limits above alone, and these tests are not there at all."""

if MOUNTS:

    @pytest.mark.parametrize("share", [0.2, 0.8])
    def test_a_small_disk_that_others_fill_is_said_to_be_full(base, whole, writes, tmp_path, share):
        number, said = 1 + int(share * writes), tmp_path / "said"
        (tmp_path / "disk").mkdir()
        small_disk.on_a_disk_of(
            ENOUGH, tmp_path / "disk", lambda disk: filled_meanwhile(base, disk, said, whole, number, 1)
        )

    @pytest.mark.long
    @pytest.mark.timeout(900)
    def test_forty_small_disks_that_others_fill_spread_over_all_writes(base, whole, writes, tmp_path):
        said, disk = tmp_path / "said", tmp_path / "disk"
        disk.mkdir()
        refused = tmp_path / "refused"
        for turn, number in enumerate(moments(writes, 40)):

            def law(disk: Path, number: int = number, spared: int = turn % 3) -> None:
                if filled_meanwhile(base, disk, said, whole, number, spared):
                    with refused.open("a") as counted:
                        counted.write(".")

            small_disk.on_a_disk_of(ENOUGH, disk, law)
        assert refused.stat().st_size > 30  # the last writes fit into what was spared

    @pytest.mark.long
    @pytest.mark.timeout(900)
    def test_small_disks_of_every_size_from_nothing_to_just_too_small(base, whole, tmp_path):
        said, disk = tmp_path / "said", tmp_path / "disk"
        disk.mkdir()
        fits, less = ENOUGH // small_disk.PAGE, 0
        while fits - less > 1:  # the least number of pages that are enough
            pages = (fits + less) // 2
            enough = tmp_path / "enough"
            enough.unlink(missing_ok=True)

            def tried(disk: Path, enough: Path = enough) -> None:
                if forked(command(base, disk / "out"), said) == 0:
                    enough.touch()

            small_disk.on_a_disk_of(pages * small_disk.PAGE, disk, tried)
            fits, less = (pages, less) if enough.exists() else (fits, pages)
        sizes = sorted({1 + less * step // 20 for step in range(20)} | {less - few for few in range(10)})
        for pages in sizes:
            small_disk.on_a_disk_of(pages * small_disk.PAGE, disk, lambda disk: too_small(base, disk, said, whole))


def test_of_two_runs_one_wins_and_the_other_is_told(base, whole, tmp_path):
    two_runs(base, tmp_path, whole, random.Random(3))


@pytest.mark.long
@pytest.mark.timeout(900)
def test_two_runs_twenty_times(base, whole, tmp_path):
    for number in range(20):
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
