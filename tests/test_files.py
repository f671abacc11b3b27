"""A file is there whole or not at all, and one run at a time writes a folder."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
from filelock import FileLock

from release import files
from release.errors import DiskFull, OutputConflict, UnusableBase

WAITING = """
import sys, time, pathlib
from release import files
with files.locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""

ADDING = """
import sys, pathlib
from release import files
from release.errors import OutputConflict
work, number = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
done = 0
while done < 40:
    try:
        with files.locked(work):
            number.write_text(str(int(number.read_text()) + 1))
            done += 1
    except OutputConflict:
        pass
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that is at work in `out/.release`."""
    work = tmp_path / "out" / ".release"
    process = subprocess.Popen([sys.executable, "-c", WAITING, str(work)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_what_is_written_is_there_and_nothing_else(tmp_path):
    files.write(tmp_path / "new" / "file", "ä\r\n")
    files.write(tmp_path / "new" / "file", "ö\n")
    assert (tmp_path / "new" / "file").read_bytes() == "ö\n".encode()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file"]


@pytest.mark.parametrize("refused", [False, True], ids=["local", "network"])
def test_macos_is_asked_to_empty_the_drives_own_cache_too(tmp_path, monkeypatch, refused):
    asked = []

    def control(handle, command):
        asked.append(command)
        if refused:
            raise OSError(errno.ENOTSUP, "not on this file system")

    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", control)
    monkeypatch.setattr(os, "fsync", lambda _: asked.append("fsync"))
    files.write(tmp_path / "file", "text")
    assert asked == [51, "fsync", 51, "fsync"] if refused else [51, 51]  # the file, and the name in its folder


@pytest.mark.parametrize(("held", "waits"), [(0, 0), (3, 3), (99, len(files.WAITS))])
def test_on_windows_a_file_that_somebody_has_open_is_waited_for(tmp_path, monkeypatch, held, waits):
    slept, rename, tries = [], Path.replace, iter(range(100))

    def in_use(path, target):
        if next(tries) < held:
            raise PermissionError(errno.EACCES, "used by another process", str(target))
        return rename(path, target)

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(Path, "replace", in_use)
    monkeypatch.setattr(time, "sleep", slept.append)
    (tmp_path / "file").write_text("old")
    with pytest.raises(PermissionError, match="used by") if held == 99 else nullcontext():
        files.write(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == ("old" if held == 99 else "new")
    assert (len(slept), [path.name for path in tmp_path.iterdir()]) == (waits, ["file"])


@pytest.mark.parametrize("number", files.NO_ROOM)
def test_a_full_disk_leaves_what_was_there_and_is_named(tmp_path, number):
    path = tmp_path / "card.md"
    path.write_text("old")
    with pytest.raises(DiskFull, match=r"card\.md.*\nFree some space"):
        write_half(path, number)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def write_half(path: Path, number: int) -> None:
    with files.replacing(path) as temporary:
        temporary.write_text("half")
        raise OSError(number, "full")


def test_a_link_is_replaced_and_not_followed(tmp_path):
    outside, link = tmp_path / "outside", tmp_path / "card.md"
    outside.write_text("mine")
    link.symlink_to(outside)
    files.write(link, "card")
    assert outside.read_text() == "mine"
    assert not link.is_symlink()


NOT_OWN = {
    "pipe": "no regular file",
    "folder": "no regular file",
    "link to a device": "links out",
    "link to a file outside": "links out",
    "link to the folder's neighbour": "links out",
    "link through a folder outside": "links out",
    "link from a snapshot's blob": "links out",
    "dangling": "missing",
    "missing": "missing",
    "circle": "missing",
    "below a file": "missing",
}


@pytest.mark.parametrize("kind", NOT_OWN)
def test_only_a_folders_own_regular_files_are_taken(tmp_path, kind):
    folder, name = tmp_path / "models--a--b" / "snapshots" / "0123", "LICENSE"
    secret = tmp_path / "0123-token"
    folder.mkdir(parents=True)
    secret.write_text("secret")
    (folder.parent / "0123x").write_text("secret")
    blob = folder.parent.parent / "blobs" / "abc"
    blob.parent.mkdir()
    blob.symlink_to(secret)
    targets = {
        "link to a device": "/dev/zero",
        "link to a file outside": secret,
        "link to the folder's neighbour": "../0123x",
        "link from a snapshot's blob": blob,
        "dangling": "nothing",
        "circle": name,
    }
    if kind in targets:
        (folder / name).symlink_to(targets[kind])
    elif kind == "pipe":
        os.mkfifo(folder / name)
    elif kind == "folder":
        (folder / name).mkdir()
    elif kind == "link through a folder outside":
        (folder / "here").symlink_to(tmp_path)
        name = "here/0123-token"
    elif kind == "below a file":
        (folder / "file").touch()
        name = "file/LICENSE"
    with pytest.raises(UnusableBase, match=rf"^{name} .*{NOT_OWN[kind]}"):
        files.require_own(folder, name)


@pytest.mark.parametrize("way", ["itself", "link inside", "blob", "folder is a link"])
def test_a_file_is_taken_where_it_is_the_folders_own(tmp_path, way):
    folder = tmp_path / "models--a--b" / "snapshots" / "0123"
    blob = folder.parent.parent / "blobs" / "abc"
    for path in (blob, folder / "NOTICE"):
        files.write(path, "mine")
    if way == "itself":
        (folder / "LICENSE").write_text("mine")
    else:
        (folder / "LICENSE").symlink_to("../../blobs/abc" if way == "blob" else "NOTICE")
    (tmp_path / "link").symlink_to(folder)
    place = tmp_path / "link" if way == "folder is a link" else folder
    assert files.require_own(place, "LICENSE").read_text() == "mine"


def test_a_copy_has_the_same_bytes(tmp_path):
    (tmp_path / "a").write_bytes(os.urandom(files.COPIED + 17))
    files.copy(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == (tmp_path / "a").read_bytes()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b"null", b'{"a": 2', b"[" * 100_000])
def test_a_marker_that_cannot_be_read_is_as_if_it_were_not_there(tmp_path, content):
    marker = tmp_path / "marker"
    marker.write_bytes(content)
    assert files.recall(marker, lambda text: json.loads(text)["a"]) is None
    marker.write_bytes(b'{"a": 2}')
    assert files.recall(marker, lambda text: json.loads(text)["a"]) == 2


@pytest.mark.parametrize("marker", ["missing", "folder", "file/below"])
def test_a_marker_that_is_no_file_is_as_if_it_were_not_there(tmp_path, marker):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    assert files.recall(tmp_path / marker, bytes.decode) is None


def test_the_second_run_is_told_who_is_at_work(tmp_path, holder):
    told = pytest.raises(OutputConflict, match=rf"out: process {holder.pid} on .*, since 20")
    with told, files.locked(tmp_path / "out" / ".release"):
        pytest.fail("two at once")


def test_the_lock_of_a_killed_run_does_not_count_and_none_is_left(tmp_path, holder):
    work = tmp_path / "out" / ".release"
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (work / files.LOCK).is_file()
    with files.locked(work):
        (work / "kept").touch()
    assert [path.name for path in work.iterdir()] == ["kept"]


@pytest.mark.parametrize("content", [b"", b"\xff", b"[1]", b'{"pid": "x"}'])
def test_a_lock_that_says_nothing_still_holds(tmp_path, content):
    with FileLock(tmp_path / files.LOCK):
        (tmp_path / files.HOLDER).write_bytes(content)
        with pytest.raises(OutputConflict, match="just begun"), files.locked(tmp_path):
            pytest.fail("two at once")


def test_folders_that_were_made_for_a_lock_go_with_it(tmp_path):
    with files.locked(tmp_path / "new" / "out" / ".release"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_name_too_long_for_the_disk_leaves_no_folder(tmp_path):
    with pytest.raises(OSError, match="too long") as caught, files.locked(tmp_path / "new" / ("x" * 300) / "work"):
        pytest.fail("no such folder")
    assert caught.value.errno == errno.ENAMETOOLONG
    assert not list(tmp_path.iterdir())


def test_a_work_folder_that_leads_elsewhere_is_refused(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / ".release").symlink_to(tmp_path / "mine")
    with pytest.raises(OutputConflict, match="is a link"), files.locked(tmp_path / ".release"):
        pytest.fail("written elsewhere")
    assert not list((tmp_path / "mine").iterdir())


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path):
    place = tmp_path / "space"
    files.write(place / "old", "old")
    with pytest.raises(DiskFull):
        half_a_folder(place)
    assert [path.name for path in tmp_path.rglob("*")] == ["space", "old"]
    with files.replacing_folder(place) as folder:
        files.write(folder / "new", "new")
    assert [path.name for path in tmp_path.rglob("*")] == ["space", "new"]


def half_a_folder(place: Path) -> None:
    with files.replacing_folder(place) as folder:
        files.write(folder / "new", "new")
        raise OSError(errno.ENOSPC, "full")


def test_what_a_kill_left_is_swept_and_nothing_else(tmp_path):
    kept = [tmp_path / ".model.safetensors.0123.partial", tmp_path / ".hidden.part", tmp_path / "a.1.part"]
    left = [tmp_path / ".README.md.123.part", tmp_path / "mask" / ".pruned.safetensors.7.part"]
    for path in (*kept, *left):
        files.write(path, "x")
    files.sweep(tmp_path)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)


def test_processes_hold_one_lock_in_turn(tmp_path):
    """Each adds one to a number that it reads first; where two were at work at once, one addition is lost."""
    work, number = tmp_path / "work", tmp_path / "number"
    number.write_text("0")
    words = [sys.executable, "-c", ADDING, str(work), str(number)]
    processes = [subprocess.Popen(words) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert number.read_text() == str(3 * 40)
    assert list(tmp_path.iterdir()) == [number]
