"""A file that is read while it is written: nothing is read before it is there, and what is read is what is written."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from release.checkpoint.disk import BLOCK, STAGE, DiskWriter
from release.checkpoint.files import PIECE
from release.checkpoint.landed import Landed, NeverWritten
from release.errors import UnusableBase

SOON = 30.0


def written(path: Path, data: np.ndarray, parts: list[int], landed: Landed) -> None:
    """Write some data in parts, as `rewrite` does, and give the file another name at its end."""
    writer = DiskWriter(path, 0)
    landed.begin(path, writer.landed)
    for part in np.split(data, np.cumsum(parts)):
        writer.write(part)
        assert path.stat().st_size >= writer.landed
        landed.reach(writer.landed)
    writer.finish()
    landed.finish(path)
    writer.close()
    path.replace(path.with_name("whole"))


@settings(max_examples=25)
@given(
    st.lists(st.integers(1, STAGE + BLOCK + 1), min_size=1, max_size=3),
    st.integers(PIECE // 16, PIECE),
    st.integers(0, 9),
)
def test_whatever_the_parts_it_is_read_as_it_is_written(
    tmp_path_factory: pytest.TempPathFactory, parts: list[int], step: int, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("landed")
    data = np.random.default_rng(seed).integers(0, 256, sum(parts) + 7, dtype=np.uint8)
    landed = Landed()

    def read() -> bytes:
        pieces = range(0, data.size, step)
        return b"".join(landed.read(start, min(step, data.size - start)).tobytes() for start in pieces)

    with ThreadPoolExecutor(1) as reader:
        found = reader.submit(read)
        written(folder / "partial", data, parts, landed)
        assert found.result(SOON) == data.tobytes() == (folder / "whole").read_bytes()
    landed.require_unchanged(folder / "whole")
    landed.close()


def test_a_piece_is_waited_for_until_its_last_byte_is_there(tmp_path: Path) -> None:
    path = tmp_path / "partial"
    path.write_bytes(b"12345678")
    landed = Landed()
    landed.begin(path, 4)
    with ThreadPoolExecutor(1) as reader:
        found: Future[object] = reader.submit(lambda: landed.read(2, 4).tobytes())
        landed.reach(5)
        with pytest.raises(TimeoutError):
            found.result(0.3)
        landed.reach(6)
        assert found.result(SOON) == b"3456"
    landed.close()


@pytest.mark.parametrize("begun", [False, True])
def test_what_is_given_up_is_neither_waited_for_nor_read_any_longer(tmp_path: Path, begun: bool) -> None:
    path = tmp_path / "partial"
    path.write_bytes(b"1234")
    landed = Landed()
    if begun:
        landed.begin(path, 4)
    with ThreadPoolExecutor(1) as reader:
        found = reader.submit(landed.read, 0, 8)
        threading.Timer(0.1, landed.give_up).start()
        with pytest.raises(NeverWritten):
            found.result(SOON)
    with pytest.raises(NeverWritten):
        landed.read(0, 1)
    landed.close()


def changed(path: Path) -> None:
    path.write_bytes(b"abcdefghi")


def replaced(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    other.replace(path)


@pytest.mark.parametrize("meddle", [changed, replaced])
def test_a_file_that_is_another_than_the_one_that_was_read_is_refused(tmp_path: Path, meddle) -> None:
    path = tmp_path / "whole"
    path.write_bytes(b"12345678")
    landed = Landed()
    landed.whole(path)
    assert landed.read(0, 8).tobytes() == b"12345678"
    landed.require_unchanged(path)
    meddle(path)
    with pytest.raises(UnusableBase, match="whole was cut or changed"):
        landed.require_unchanged(path)
    landed.close()


def test_a_file_that_was_cut_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "whole"
    path.write_bytes(b"12345678")
    landed = Landed()
    landed.whole(path)
    path.write_bytes(b"1234")
    with pytest.raises(UnusableBase, match="cut or changed"):
        landed.read(0, 8)
    landed.close()
