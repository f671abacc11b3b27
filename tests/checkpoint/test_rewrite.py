"""Writing a file anew: several targets from one read, each continued from where it was left."""

import hashlib
import os
import shutil
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from release.checkpoint import rewrite as module
from release.checkpoint.buffers import room_like
from release.checkpoint.header import read_header
from release.checkpoint.rewrite import Edit, Target, in_order, rewrite
from release.checkpoint.stage_timer import StageTimer
from release.checkpoint.steady import steady
from release.errors import UnusableBase

RNG = np.random.default_rng(0)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source" / "model.safetensors"
    path.parent.mkdir()
    names = ("a", "b.weight", "c", "d.weight")
    sizes = ((300, 700), (4000, 33), (5,), (2, 50_001))
    save_file({n: RNG.standard_normal(s).astype(np.float16) for n, s in zip(names, sizes, strict=True)}, path)
    return path


def written(source, folders, allow_nonfinite=False):
    def change(tensor, data):
        results = [room_like(data), data]
        for add, out in enumerate(results, 1):
            tensor.bits(out)[:] = tensor.bits(data) + np.uint16(add)
        return results

    targets = [Target(folder / source.name, folder.name, hashed=True) for folder in folders]
    for folder in folders:
        folder.mkdir(exist_ok=True)
    edit = Edit(dict.fromkeys(("b.weight", "d.weight"), change), allow_nonfinite)
    written = rewrite(read_header(source), targets, edit, 2, lambda _: None, StageTimer())
    found = [target.path.read_bytes() for target in targets]
    assert [w.digest.sha256 for w in written] == [hashlib.sha256(data).hexdigest() for data in found]
    for data, each in zip(found, written, strict=True):
        tensors = {t.name: t for t in read_header(source).tensors}
        assert each.sums == {n: zlib.crc32(data[tensors[n].start :][: tensors[n].nbytes]) for n in each.sums}
    return found


def expected(source, add):
    values = load_file(source)
    return {n: (v.view(np.uint16) + np.uint16(add * n.endswith("weight"))) for n, v in values.items()}


def test_each_target_gets_its_own_change_and_all_else_as_it_is(source, tmp_path):
    folders = [tmp_path / "one", tmp_path / "two"]
    written(source, folders)
    for add, folder in enumerate(folders, 1):
        found = load_file(folder / source.name)
        assert all(np.array_equal(found[n].view(np.uint16), v) for n, v in expected(source, add).items())
        assert [p.name for p in folder.iterdir()] == [source.name]


@pytest.mark.parametrize("cuts", [(0.0, 1.0), (0.3, 0.9), (0.9, 0.3), (0.999, 0.5)])
def test_targets_that_were_left_at_different_places_end_alike(source, tmp_path, cuts):
    whole = written(source, [tmp_path / "one", tmp_path / "two"])
    folders = [tmp_path / "again1", tmp_path / "again2"]
    for folder, data, cut in zip(folders, whole, cuts, strict=True):
        folder.mkdir()
        left = data[: int(cut * len(data))] + b"torn"
        (folder / f".{source.name}.{folder.name}.partial").write_bytes(left[: len(data)])
    assert written(source, folders) == whole


def test_many_tensors_of_one_size_keep_their_own_bytes(tmp_path):
    """Memory is used again: never before it is written and hashed."""
    path = tmp_path / "model.safetensors"
    save_file(
        {f"{i:02}.weight": RNG.integers(0, 1000, 1 << 20).astype(np.int16).view(np.float16) for i in range(20)}, path
    )

    def change(tensor, data):
        out = room_like(data)
        np.add(tensor.bits(data), np.uint16(1), out=tensor.bits(out))
        return [out]

    names = [tensor.name for tensor in read_header(path).tensors]
    target = tmp_path / "out.safetensors"
    edit = Edit(dict.fromkeys(names, change))
    written = [Target(target, "tag", hashed=True)]
    [made] = rewrite(read_header(path), written, edit, 3, lambda _: None, StageTimer())
    assert made.digest.sha256 == hashlib.sha256(target.read_bytes()).hexdigest()
    assert made.sums.keys() == set(names)
    found = load_file(target)
    assert all(np.array_equal(found[n].view(np.uint16), v.view(np.uint16) + 1) for n, v in load_file(path).items())


def test_nan_in_an_untouched_tensor_is_named_and_let_pass_only_on_request(source, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PIECE", 4096)
    values = load_file(source)
    values["a"][299, 699] = np.inf
    save_file(values, source)
    with pytest.raises(UnusableBase, match=r"^a\[299, 699\] is NaN or infinite"):
        written(source, [tmp_path / "one", tmp_path / "two"])
    written(source, [tmp_path / "three", tmp_path / "four"], allow_nonfinite=True)


def test_results_come_in_order_and_what_is_under_way_is_bounded():
    lock, held, most = threading.Lock(), [0], [0]
    costs = [5, 1, 9, 30, 2, 2, 2, 8, 1] * 3

    def work(item):
        with lock:
            held[0] += item[1]
            most[0] = max(most[0], held[0])
        time.sleep(0.002)
        return item[0]

    found = []
    for index in in_order(work, list(enumerate(costs)), 3, lambda item: item[1], 12):
        found.append(index)
        with lock:
            held[0] -= costs[index]
    assert found == list(range(len(costs)))
    assert most[0] == 30  # the one that is larger than what may be under way, alone


@pytest.mark.parametrize(
    ("cost", "most", "waiting"), [(0, 0, 3), (1, 600, 33), (60, 600, 3), (250, 600, 2), (700, 600, 1)]
)
def test_small_items_may_wait_in_numbers_and_large_ones_by_what_they_hold(cost, most, waiting):
    drawn = iter(range(200))
    found = in_order(lambda item: item, drawn, 2, lambda _: cost, most)
    assert next(found) == 0
    assert next(drawn) == waiting + 1  # those that wait, and the one that is to join them
    found.close()


CHANGES = {
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "cut by a byte": lambda path: os.truncate(path, path.stat().st_size - 1),
    "emptied": lambda path: os.truncate(path, 0),
    "longer": lambda path: os.truncate(path, path.stat().st_size + 1),
    "written to": lambda path: path.write_bytes(path.read_bytes()[:-1] + b"x"),
}


@pytest.mark.parametrize("moment", [1, 2])
@pytest.mark.parametrize("change", CHANGES)
def test_a_source_that_is_changed_while_it_is_read_is_named_and_nothing_stands(source, tmp_path, change, moment):
    os.utime(source, ns=(0, 0))
    header, out, seen = read_header(source), tmp_path / "out" / source.name, []
    out.parent.mkdir()

    def meanwhile(tensor, data):
        seen.append(tensor.name)
        if len(seen) == moment:
            CHANGES[change](source)
        return [data]

    edit = Edit(dict.fromkeys(("b.weight", "d.weight"), meanwhile))
    with pytest.raises(UnusableBase, match=r"^model\.safetensors was cut or changed"):
        rewrite(header, [Target(out, "tag")], edit, 1, lambda _: None, StageTimer())
    assert not out.exists()


@pytest.mark.parametrize("change", CHANGES)
def test_a_source_that_was_changed_since_its_header_was_read_is_named(source, tmp_path, change):
    os.utime(source, ns=(0, 0))
    header = read_header(source)
    CHANGES[change](source)
    with pytest.raises(UnusableBase, match=r"^model\.safetensors was cut or changed"):
        rewrite(header, [Target(tmp_path / source.name, "tag")], Edit({}), 1, lambda _: None, StageTimer())


@pytest.mark.parametrize("change", [*CHANGES, "gone", "replaced"])
@pytest.mark.parametrize("ends", ["well", "in an error of another kind"])
def test_work_on_a_base_that_changed_meanwhile_is_refused_by_name(source, change, ends):
    os.utime(source, ns=(0, 0))
    header = read_header(source)
    more = {"gone": Path.unlink, "replaced": lambda path: shutil.copy(path, path.with_name("x")).replace(path)}
    told = pytest.raises(UnusableBase, match=r"^model\.safetensors was cut or changed")
    with told, steady({source: header.stamp}):
        (CHANGES | more)[change](source)
        if ends != "well":
            raise ValueError("mmap length is greater than file size")


def test_work_on_a_base_that_stayed_as_it_was_ends_as_it_ends(source):
    stamps = {source: read_header(source).stamp}
    with steady(stamps):
        source.read_bytes()
    with pytest.raises(KeyError), steady(stamps):
        raise KeyError("x")
