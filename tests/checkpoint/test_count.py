"""Counting a file, by itself and beside a base: the numbers are numpy's, from the cache as from the disk."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from release.checkpoint import count as module
from release.checkpoint import tally
from release.checkpoint.count import BaseReader, CountPlan, count
from release.checkpoint.files import Folder
from release.checkpoint.folder import Checkpoint
from release.checkpoint.header import read_header

PRUNED, KEPT, INDEX = "a.weight", "b.weight", "c"


def values() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    made = {name: rng.standard_normal((40, 1000 * 8)).astype(np.float32) for name in (PRUNED, KEPT)}
    made[PRUNED][rng.random(made[PRUNED].shape) < 0.3] = -0.0
    return made | {INDEX: np.arange(77)}


def checkpoint(folder: Path, files: list[dict[str, np.ndarray]]) -> Checkpoint:
    folder.mkdir()
    for number, content in enumerate(files):
        write(folder / f"{number}.safetensors", content)
    return Checkpoint(folder, {}, tuple(read_header(path) for path in sorted(folder.glob("*.safetensors"))))


def write(path: Path, content: dict[str, np.ndarray]) -> None:
    """Write a safetensors file, its tensors in the order given (the library sorts them)."""
    entries, offset = {}, 0
    for name, array in content.items():
        kind = {"f": "F32", "i": "I64"}[array.dtype.kind]
        entries[name] = {"dtype": kind, "shape": array.shape, "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(entries).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(array.tobytes() for array in content.values()))


@pytest.fixture(autouse=True)
def _several_pieces(monkeypatch):
    monkeypatch.setattr(module, "PIECE", 64 << 10)
    monkeypatch.setattr(tally, "CHUNK", 1 << 12)


@pytest.fixture
def pruned() -> dict[str, np.ndarray]:
    """The values with zeros where pruning made them, one other change, one NaN and one infinity."""
    changed = {name: array.copy() for name, array in values().items()}
    changed[PRUNED][:, ::4] = 0
    changed[PRUNED][3, 5] += 1
    changed[KEPT][7, 11] = 0
    changed[KEPT][30, 2:4] = np.nan, -np.inf
    return changed


@pytest.mark.parametrize("direct", [False, True])
def test_a_file_is_counted_and_hashed_as_it_is(tmp_path, pruned, direct):
    [header] = checkpoint(tmp_path / "pruned", [pruned]).headers
    digest, counts = count(header, CountPlan({PRUNED}), lambda _: None, Folder(header.path.parent, direct=direct))
    assert digest.sha256 == hashlib.sha256(header.path.read_bytes()).hexdigest()
    for found in counts:
        array = pruned[found.name]
        floats = array.dtype.kind == "f"
        assert found.zeros == (np.count_nonzero(array == 0) if floats else 0)
        assert found.nonfinite == (np.count_nonzero(~np.isfinite(array)) if floats else 0)
        assert found.sha256 == hashlib.sha256(array.tobytes()).hexdigest()
        assert (found.changed, found.zeros_before, found.unfilled) == (None, None, None)


@pytest.mark.parametrize("layout", ["same", "other order", "other shards"])
def test_a_base_of_any_layout_is_compared_and_its_files_hashed(tmp_path, pruned, layout):
    dense = values()
    parts = {
        "same": [dense],
        "other order": [dict(reversed(dense.items()))],
        "other shards": [{KEPT: dense[KEPT]}, {PRUNED: dense[PRUNED], INDEX: dense[INDEX]}],
    }[layout]
    base = checkpoint(tmp_path / "base", parts)
    [header] = checkpoint(tmp_path / "pruned", [pruned]).headers
    with BaseReader(base) as reader:
        _, counts = count(header, CountPlan({PRUNED}, reader), lambda _: None)
        digests = reader.digests()
    assert [d.sha256 for d in digests] == [hashlib.sha256(h.path.read_bytes()).hexdigest() for h in base.headers]
    found = {c.name: c for c in counts}
    assert found[PRUNED].zeros_before == np.count_nonzero(dense[PRUNED] == 0)
    assert (found[PRUNED].changed, found[PRUNED].first_changed) == (1, 3 * 8000 + 5)
    assert (found[KEPT].changed, found[KEPT].first_changed, found[KEPT].nonfinite_before) == (3, 7 * 8000 + 11, 0)
    assert (found[INDEX].changed, found[INDEX].first_changed) == (0, None)


def test_what_is_not_finite_in_a_file_is_not_new_where_the_base_has_it_too(tmp_path, pruned):
    [header] = checkpoint(tmp_path / "pruned", [pruned]).headers
    dense = values()
    dense[KEPT][30, 2] = np.nan  # the infinity beside it is new
    dense[PRUNED][39, 4] = np.inf  # pruned away
    with BaseReader(checkpoint(tmp_path / "base", [dense])) as base:
        _, counts = count(header, CountPlan({PRUNED}, base), lambda _: None)
    found = {c.name: c for c in counts}
    assert (found[KEPT].nonfinite, found[KEPT].nonfinite_before) == (2, 1)
    assert (found[PRUNED].nonfinite, found[PRUNED].changed) == (0, 1)


@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 2), (3, 8), (12, 16)])
def test_groups_of_a_pattern_are_counted_one_by_one(tmp_path, pruned, n, m):
    [header] = checkpoint(tmp_path / "pruned", [pruned]).headers
    with BaseReader(checkpoint(tmp_path / "base", [values()])) as base:
        _, counts = count(header, CountPlan({PRUNED}, base, (n, m)), lambda _: None)
    after, before = ((v[PRUNED].reshape(-1, m) == 0).sum(1) for v in (pruned, values()))
    found = {c.name: c for c in counts}
    assert found[PRUNED].unfilled == np.count_nonzero(after < m - n)
    assert found[PRUNED].crowded == np.maximum(before - (m - n), 0).sum()
    assert (found[KEPT].unfilled, found[KEPT].crowded) == (None, None)


def test_a_tensor_of_another_shape_is_not_compared(tmp_path, pruned):
    base = checkpoint(tmp_path / "base", [values() | {KEPT: np.zeros((3, 3), np.float32)}])
    [header] = checkpoint(tmp_path / "pruned", [pruned]).headers
    with BaseReader(base) as dense:
        _, counts = count(header, CountPlan({PRUNED}, dense), lambda _: None)
    assert {c.name: c.changed is None for c in counts} == {PRUNED: False, KEPT: True, INDEX: False}
