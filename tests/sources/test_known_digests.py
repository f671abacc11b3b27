"""A file's SHA-256 is taken over where the file stayed as it was, and never where anything could have changed."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from release.digests import FileDigest
from release.errors import UnusableBase, UnusableData
from release.sources import known_digests as module
from release.sources.known_digests import KnownFiles, LargeFileDigest, sha256_of


@pytest.fixture
def file(tmp_path, monkeypatch) -> Path:
    """A file that was hashed, as if it had been there for long."""
    monkeypatch.setenv("RELEASE_CHECKS", str(tmp_path / "checks"))
    monkeypatch.setattr(module, "SETTLED", -(1 << 62))
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    assert sha256_of(path) == hashlib.sha256(b"weights").hexdigest()
    assert KnownFiles.of([path]).digests
    return path


def put_back(path: Path, change) -> None:
    """Change a file and give it its old times, as far as anybody can."""
    before = path.stat()
    change(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def replaced(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"WEIGHTS")
    other.replace(path)


CHANGES = {
    "longer": lambda path: path.write_bytes(b"more weights"),
    "written to": lambda path: path.write_bytes(b"WEIGHTS"),
    "written to, its time put back": lambda path: put_back(path, lambda p: p.write_bytes(b"WEIGHTS")),
    "replaced, its time put back": lambda path: put_back(path, replaced),
}


def test_a_file_that_stayed_as_it_was_is_not_read_again(file, monkeypatch):
    monkeypatch.setattr(module, "sha256_file", lambda _: pytest.fail("it was read"))
    assert sha256_of(file) == hashlib.sha256(b"weights").hexdigest()


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_was_changed_is_hashed_again(file, change):
    CHANGES[change](file)
    assert KnownFiles.of([file]).digests == {}
    assert sha256_of(file) == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_copy_and_a_file_put_in_anothers_place_are_hashed_by_themselves(file, tmp_path):
    copy = Path(shutil.copy2(file, tmp_path / "copy"))
    assert KnownFiles.of([copy]).digests == {}
    file.rename(tmp_path / "moved")
    shutil.copy2(tmp_path / "moved", file)
    assert KnownFiles.of([file]).digests == {}


def test_a_file_that_changed_a_moment_ago_is_not_taken_over(file, monkeypatch):
    """A change right after it could bear the very same times."""
    monkeypatch.setattr(module, "SETTLED", 2_000_000_000)
    file.write_bytes(b"WEIGHTS")
    sha256_of(file)
    assert KnownFiles.of([file]).digests == {}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("known", [True, False], ids=["hashed before", "hashed now"])
def test_a_file_that_changes_while_it_is_read_is_named_and_not_kept(file, change, known):
    if not known:
        shutil.rmtree(os.environ["RELEASE_CHECKS"])
    before = KnownFiles.of([file])
    CHANGES[change](file)
    with pytest.raises(UnusableBase, match=r"^model\.safetensors was cut or changed"):
        before.confirmed([FileDigest(name=file.name, bytes=7, sha256="0" * 64)])
    assert sha256_of(file) == hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.mark.parametrize("kept", [b"", b"{", b"{}", b'{"state": 1, "sha256": "00"}'])
def test_what_cannot_be_understood_counts_as_not_known(file, kept):
    [place] = Path(os.environ["RELEASE_CHECKS"], "digests").iterdir()
    place.write_bytes(kept)
    assert KnownFiles.of([file]).digests == {}
    assert sha256_of(file) == hashlib.sha256(b"weights").hexdigest()


def test_where_nothing_can_be_kept_everything_is_hashed(file, tmp_path, monkeypatch):
    monkeypatch.setenv("RELEASE_CHECKS", str(file / "no folder"))
    assert sha256_of(file) == hashlib.sha256(b"weights").hexdigest()


def test_a_large_file_that_was_altered_is_refused_though_its_digest_is_known(file):
    pin = LargeFileDigest("sha256", hashlib.sha256(b"weights").hexdigest())
    assert pin.check(file, "Fetch it again.") == file
    put_back(file, lambda path: path.write_bytes(b"WEIGHTS"))
    with pytest.raises(UnusableData, match="was altered"):
        pin.check(file, "Fetch it again.")


def test_what_is_still_arriving_is_checked_under_its_temporary_name(tmp_path):
    part = tmp_path / ".model.gguf.17.part"
    part.write_bytes(b"arrived")
    LargeFileDigest("sha256", hashlib.sha256(b"arrived").hexdigest()).check(part, "")
    with pytest.raises(UnusableData):
        LargeFileDigest("sha256", hashlib.sha256(b"another").hexdigest()).check(part, "")
