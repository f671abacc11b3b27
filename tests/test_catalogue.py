import hashlib
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from release.digests import git_blob_sha1, sha256_file
from release.errors import MissingSource, UnusableData
from release.evals.bbq import data as bbq
from release.files import replacing
from release.progress import Console
from release.sources import text
from release.sources.cache import Digest, cache_folder
from release.sources.wheel import fetch_members

CONTENT = b"line one\r\nline two\r\n"
MEMBER = "tinydata/words.txt"
PIN = Digest("sha256", hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for its only index, with one small wheel in it."""
    folder = tmp_path / "index"
    folder.mkdir()
    with zipfile.ZipFile(folder / "tinydata-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(MEMBER, CONTENT)
        wheel.writestr("tinydata-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tinydata\nVersion: 1.0\n")
        wheel.writestr("tinydata-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("tinydata-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def fetch(folder: Path, pin: Digest = PIN) -> dict[str, Path]:
    return fetch_members("tinydata==1.0", {MEMBER: pin}, folder, Console(quiet=True), size=500, remedy="Use X.")


def test_a_second_fetch_downloads_nothing(index: Path, tmp_path: Path) -> None:
    first = fetch(tmp_path / "kept")
    (index / "tinydata-1.0-py3-none-any.whl").unlink()
    assert fetch(tmp_path / "kept") == first
    assert first[MEMBER].read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["words.txt"]


def test_an_altered_file_is_named_at_the_next_use(index: Path, tmp_path: Path) -> None:
    path = fetch(tmp_path / "kept")[MEMBER]
    path.write_bytes(CONTENT + b"more")
    with pytest.raises(UnusableData, match=r"words\.txt was altered.*\n.*fetched again"):
        fetch(tmp_path / "kept")


def test_a_wheel_with_other_bytes_leaves_nothing_behind(index: Path, tmp_path: Path) -> None:
    with pytest.raises(UnusableData, match="altered"):
        fetch(tmp_path / "kept", Digest("sha256", "0" * 64))
    assert list((tmp_path / "kept").iterdir()) == []


def test_git_digests_are_taken_with_gits_line_ends(index: Path, tmp_path: Path) -> None:
    pin = Digest("git", git_blob_sha1(CONTENT.replace(b"\r\n", b"\n")))
    assert fetch(tmp_path / "kept", pin)[MEMBER].is_file()


def test_without_a_source_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(MissingSource, match=r"tinydata==1\.0 could not be fetched: No matching.*\nUse X"):
        fetch(tmp_path / "kept")


def test_known_digests(tmp_path: Path) -> None:
    path = tmp_path / "hello"
    path.write_bytes(b"hello\n")
    assert sha256_file(path) == hashlib.sha256(b"hello\n").hexdigest()
    assert git_blob_sha1(path) == git_blob_sha1(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(IsADirectoryError), replacing(path) as temporary:
        temporary.write_bytes(tmp_path.read_bytes())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_cache_can_be_placed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELEASE_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path


@pytest.fixture(scope="module")
def read():
    return bbq.read_bbq(None, Console())


def test_bbq_has_its_published_counts(read) -> None:
    items, source = read
    assert len(items) == 58_492
    assert Counter(item.condition for item in items) == {"ambig": 29_246, "disambig": 29_246}
    assert Counter(item.category for item in items if item.target is None) == {"Gender_identity": 16}
    assert len({(item.category, item.example_id) for item in items}) == 58_492
    assert all(item.target != item.unknown for item in items)
    assert all(item.label == item.unknown for item in items if item.condition == "ambig")
    assert source.revision == bbq.COMMIT


def test_the_target_is_turned_round_for_non_negative_questions(read) -> None:
    first, _, third, _ = read[0][:4]
    assert (first.polarity, third.polarity) == ("neg", "nonneg")
    assert first.answers == third.answers
    assert {first.target, third.target} == {0, 1}


@pytest.mark.long
@pytest.mark.parametrize("place", [pytest.param("", marks=pytest.mark.long), "analysis_scripts"])
def test_a_clone_of_bbqs_repository_is_the_same_data(read, tmp_path: Path, place: str) -> None:
    clone(tmp_path, place)
    assert bbq.read_bbq(tmp_path, Console(quiet=True)) == read


def clone(root: Path, place: str) -> None:
    """Lay the cached files out as a checkout with git's line ends."""
    for name in bbq.PINS:
        folder = root / (place if name == bbq.METADATA else "data")
        folder.mkdir(exist_ok=True)
        lines = (cache_folder() / "bbq" / name).read_bytes().replace(b"\r\n", b"\n")
        (folder / name).write_bytes(lines)


def test_an_altered_bbq_file_is_named(read, tmp_path: Path) -> None:
    clone(tmp_path, "supplemental")
    path = tmp_path / "data" / "Religion.jsonl"
    path.write_bytes(path.read_bytes().replace(b"Who", b"Whom", 1))
    with pytest.raises(UnusableData, match=r"Religion\.jsonl was altered"):
        bbq.read_bbq(tmp_path, Console(quiet=True))


def test_a_folder_without_bbq_names_the_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UnusableData, match=r"holds no Age\.jsonl"):
        bbq.read_bbq(tmp_path, Console(quiet=True))


def test_the_halves_of_the_text_share_no_paragraph_and_no_sentence() -> None:
    one, first = text.wikipedia("calibration", Console())
    two, second = text.wikipedia("evaluation", Console())
    assert not set(one.split("\n\n")) & set(two.split("\n\n"))
    assert 0.9 < len(one) / len(two) < 1.1
    assert first.sha256 == "1481d0649191d0cdbd1b7d88f88d5e3a4d83201dcbf4c74cca78c84d21bbfb22"
    assert second.sha256 == "108b896d62190372d82e47d6d21545689db8c1116109c3073a78eb4c64698946"


@pytest.mark.parametrize(
    ("content", "seen"), [(None, "cannot be read"), (b"caf\xe9", "no UTF-8 text"), (b" \n", "holds no text")]
)
def test_a_text_file_that_is_none_is_refused(tmp_path: Path, content: bytes | None, seen: str) -> None:
    path = tmp_path / "own.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UnusableData, match=rf"own\.txt.*{seen}"):
        text.text_file(path)


def test_a_record_names_a_text_file_without_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "own.txt"
    path.write_text("Some words.", encoding="utf-8")
    content, source = text.text_file(path)
    assert content == "Some words."
    assert str(tmp_path) not in source.model_dump_json()
