"""Large files past the page cache: what is written is what is read, wherever pieces begin and end."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from release.checkpoint.disk import BLOCK, STAGE, DiskWriter, PieceReader, place_in_page
from release.errors import UnusableBase

CONTENT = np.random.default_rng(0).integers(0, 256, 3 * STAGE, dtype=np.uint8)
sizes = st.one_of(st.integers(0, 3 * BLOCK), st.sampled_from([BLOCK, STAGE - 1, STAGE, STAGE + BLOCK + 7]))


MACOS, OLD_MACOS = ("O_DIRECT",), ("O_DIRECT", "preadv")
LACKS = {"macOS": MACOS, "macOS before 11": OLD_MACOS, "Windows": (*OLD_MACOS, "pread", "pwrite")}


@pytest.fixture(params=["direct", *LACKS, "refused at opening", "refused at each transfer"])
def system(request, monkeypatch):
    """Systems and file systems that can, and those that cannot in one way or another."""
    for name in LACKS.get(request.param, ()):
        monkeypatch.delattr(os, name)
    if request.param == "refused at opening":
        monkeypatch.setattr(os, "open", refusing(os.open, lambda _, flags, *__: flags & os.O_DIRECT))
    elif request.param == "refused at each transfer":
        for name in ("preadv", "pwrite"):
            monkeypatch.setattr(os, name, refusing(getattr(os, name), lambda handle, *_: is_direct(handle)))


def refusing(call, when):
    def instead(*arguments):
        if when(*arguments):
            raise OSError(errno.EINVAL, "refused")
        return call(*arguments)

    return instead


def is_direct(handle: int) -> bool:
    flags = next(line for line in Path(f"/proc/self/fdinfo/{handle}").read_text().splitlines() if "flags" in line)
    return bool(int(flags.split()[1], 8) & os.O_DIRECT)


def at(place: int, size: int, start: int) -> np.ndarray:
    """A part of the content, `place` bytes into a page of memory."""
    room = np.empty(size + 2 * BLOCK, dtype=np.uint8)
    begin = (place - place_in_page(room)) % BLOCK
    room[begin : begin + size] = CONTENT[start : start + size]
    return room[begin : begin + size]


@pytest.mark.quick_rows(2)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(st.lists(st.tuples(sizes, st.booleans()), max_size=6), sizes, sizes)
def test_a_file_holds_what_was_written_wherever_it_was_continued(system, tmp_path, pieces, kept, lost):
    path = tmp_path / "file"
    path.write_bytes(CONTENT[:kept].tobytes() + bytes(lost))
    writer, end = DiskWriter(path, kept), kept
    for size, in_step in pieces:
        size = min(size, CONTENT.size - end)
        writer.write(at(end if in_step else end + 3, size, end))
        end += size
    writer.finish()
    writer.close()
    assert path.read_bytes() == CONTENT[:end].tobytes()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(st.data())
def test_pieces_are_read_from_anywhere_and_stay_as_long_as_promised(system, tmp_path, data):
    path = tmp_path / "file"
    size = data.draw(st.integers(1, 5 * BLOCK))
    path.write_bytes(CONTENT[:size].tobytes())
    places = data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=6))
    with PieceReader(path, 2 * BLOCK, len(places), data.draw(st.booleans())) as reader:
        ends = [data.draw(st.integers(start + 1, min(size, start + 2 * BLOCK))) for start in places]
        pieces = [reader.read(start, end - start) for start, end in zip(places, ends, strict=True)]
        for piece, start, end in zip(pieces, places, ends, strict=True):
            assert np.array_equal(piece, CONTENT[start:end])


@pytest.mark.parametrize("direct", [True, False])
def test_a_file_that_ends_too_early_is_named(tmp_path, direct):
    path = tmp_path / "model.safetensors"
    path.write_bytes(CONTENT[:5000].tobytes())
    told = pytest.raises(UnusableBase, match=r"^model\.safetensors was cut")
    with PieceReader(path, BLOCK, 1, direct) as reader, told:
        reader.read(4000, 1001)


@pytest.mark.parametrize("kept", [0, 5, 3 * BLOCK])
def test_what_lies_in_its_page_as_in_the_file_goes_straight_to_the_disk(tmp_path, monkeypatch, kept):
    path = tmp_path / "file"
    path.write_bytes(CONTENT[:kept].tobytes())
    writer, direct, write = DiskWriter(path, kept), [], os.pwrite

    def watched(handle, data, place):
        written = write(handle, data, place)
        direct.append((is_direct(handle), written))
        return written

    monkeypatch.setattr(os, "pwrite", watched)
    for start, end in ((kept, 20_000), (20_000, 100_001), (100_001, 300_000)):
        writer.write(at(start, end - start, start))
    assert all(past_cache for past_cache, _ in direct)
    assert sum(written for _, written in direct) == 300_000 // BLOCK * BLOCK - kept // BLOCK * BLOCK
    writer.close()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_direct_transfer_that_fails_is_no_refusal(tmp_path, monkeypatch, number):
    def failing(*_):
        raise OSError(number, "failed")

    writer, write = DiskWriter(tmp_path / "file", 0), os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda handle, *rest: (failing if is_direct(handle) else write)(handle, *rest))
    with pytest.raises(OSError, match="failed"):
        writer.write(CONTENT[: 2 * STAGE])
    writer.close()


CHANGES = {
    "cut": lambda path: os.truncate(path, 4000),
    "emptied": lambda path: os.truncate(path, 0),
    "longer": lambda path: os.truncate(path, 10_000),
    "written to": lambda path: path.write_bytes(CONTENT[1:9001].tobytes()),
}


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_is_changed_between_two_pieces_is_named(tmp_path, change, direct):
    path = tmp_path / "model.safetensors"
    path.write_bytes(CONTENT[:9000].tobytes())
    with PieceReader(path, BLOCK, 1, direct) as reader:
        reader.read(0, 1000)
        os.utime(path, ns=(0, 0))
        CHANGES[change](path)
        with pytest.raises(UnusableBase, match=r"^model\.safetensors was cut or changed"):
            reader.read(1000, 1000)
