"""A sweep on storage without locks, where what another process renamed is seen late: it still ends whole."""

import errno
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from filelock import SoftFileLock, UnixFileLock

from release import files
from release.errors import OutputConflict
from tests import checkpoints

SITE = r"""
import errno, fcntl, io, os, sys, time
from pathlib import Path

OUT, TOLD, LATE = os.environ["SHARED_OUT"], os.environ["SHARED_TOLD"], 2.0
own, looked, stat, opened, replaced = set(), {}, os.stat, io.open, os.replace

def tell(what):
    handle = os.open(TOLD, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(handle, what.encode() + b"\n")
    os.close(handle)

def flock(*_):
    tell("flock")
    raise OSError(errno.ENOSYS, "Function not implemented")

def replace(source, target, **how):
    own.add(os.fspath(target))
    return replaced(source, target, **how)

def require_seen(path):
    name = os.fspath(path) if isinstance(path, (str, os.PathLike)) else ""
    if name.startswith(OUT) and name.endswith(".json") and name not in own:
        # It is seen some seconds after it was first looked for, each time that it was replaced.
        if time.time() - looked.setdefault((name, stat(name).st_ctime_ns), time.time()) < LATE:
            tell("late")
            raise FileNotFoundError(errno.ENOENT, "not seen yet", name)

def late_stat(path, *how, **more):
    require_seen(path)
    return stat(path, *how, **more)

def late_open(path, *how, **more):
    require_seen(path)
    return opened(path, *how, **more)

fcntl.flock = flock
if "release.sweep.worker" not in sys.orig_argv:  # the driver is another machine than the workers
    os.replace, os.stat, io.open = replace, late_stat, late_open
"""


@pytest.mark.long
def test_a_sweep_ends_whole_without_flock_and_where_renamed_files_are_seen_late(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SITE)
    base = checkpoints.make(tmp_path / "tiny", "llama")
    options = {"bbq": "off", "latency": "off", "perplexity": 2}
    axes = {"methods": ["random", "magnitude"], "sparsities": [0.1, 0.5], "options": options}
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump({"models": [str(base)], **axes}))
    out, told = tmp_path / "releases", tmp_path / "told"
    shared = {"SHARED_OUT": str(out), "SHARED_TOLD": str(told), "PYTHONPATH": str(tmp_path / "site")}
    command = [sys.executable, "-m", "release", "sweep", str(tmp_path / "grid.yaml"), "--local", "--out", str(out)]
    done = subprocess.run(command, env=os.environ | shared, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 done" in done.stdout
    assert {"flock", "late"} <= set(told.read_text().split())
    assert not list(out.rglob(files.LOCK)), "no lock outlasts its run"


@contextmanager
def mounted(folder: Path) -> Iterator[Path]:
    """A real file system without flock, on which another process' renamed files are seen eight seconds late."""
    told = subprocess.run(["pkg-config", "--cflags", "--libs", "fuse3"], capture_output=True, text=True, check=False)
    program, place, kept = folder / "late", folder / "mounted", folder / "kept"
    command = ["gcc", "-O1", "-o", str(program), str(Path(__file__).parent / "late_fs.c"), *told.stdout.split()]
    if told.returncode or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs gcc and libfuse3-dev")
    place.mkdir()
    kept.mkdir()
    ours = {"LATE_ROOT": str(kept), "LATE_TOLD": str(folder / "told")}
    with subprocess.Popen([program, "-f", place], env=os.environ | ours, stderr=subprocess.DEVNULL) as serving:
        ends = time.monotonic() + 10
        while not os.path.ismount(place) and serving.poll() is None and time.monotonic() < ends:
            time.sleep(0.05)
        if not os.path.ismount(place):
            serving.kill()
            pytest.skip("this machine mounts nothing")
        try:
            yield place
        finally:
            subprocess.run(["fusermount3", "-u", place], check=False)
            serving.wait(10)


@pytest.mark.long
@pytest.mark.skipif(not all(map(shutil.which, ("gcc", "pkg-config", "fusermount3"))), reason="needs gcc and fuse3")
def test_a_sweep_ends_whole_on_a_mounted_file_system_without_flock_and_with_late_renames(tmp_path: Path) -> None:
    base = checkpoints.make(tmp_path / "tiny", "llama")
    options = {"bbq": "off", "latency": "off", "answers": "off", "perplexity": 2}
    axes = {"methods": ["random"], "sparsities": [0.1, 0.5], "options": options}
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump({"models": [str(base)], **axes}))
    with mounted(tmp_path) as place:
        command = [sys.executable, "-m", "release", "sweep", str(tmp_path / "grid.yaml"), "--local"]
        command += ["--out", str(place / "releases")]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "2 done" in done.stdout
        assert {"flock", "late"} <= set((tmp_path / "told").read_text().split())
        assert not list(place.rglob(files.LOCK)), "no lock outlasts its run"


def without_flock(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def flock(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("fcntl.flock", flock)


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK])
def test_a_lock_holds_where_there_is_no_flock_and_says_what_to_remove(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "some" / "work"
    without_flock(monkeypatch, code)
    with files.locked(work), pytest.raises(OutputConflict) as caught, files.locked(work):
        pass
    assert f"process {os.getpid()}" in caught.value.seen
    assert f"If that process is gone, remove {work / files.LOCK}" in caught.value.remedy
    assert not work.exists(), "nothing is left of it"
    with files.locked(work):
        pass


def test_the_lock_of_a_process_that_was_killed_does_not_count_there_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_flock(monkeypatch, errno.ENOSYS)
    code = "import sys, os, filelock; lock = filelock.SoftFileLock(sys.argv[1]); lock.acquire(); os._exit(9)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / files.LOCK)], check=False)
    assert (tmp_path / files.LOCK).is_file()
    with files.locked(tmp_path):
        pass


def test_where_flock_is_known_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(files.lock_at(tmp_path / "lock", 0), UnixFileLock)
    without_flock(monkeypatch, errno.EOPNOTSUPP)
    assert isinstance(files.lock_at(tmp_path / "lock", 0), SoftFileLock)
