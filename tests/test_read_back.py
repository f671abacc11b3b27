"""The audit holds what it reads from the disk against what was computed: another mask may be just as plausible."""

import threading
from decimal import Decimal

import numpy as np
import pytest

from release.checkpoint.count import places
from release.checkpoint.folder import open_checkpoint
from release.checkpoint.rewrite import Target
from release.errors import AuditFailed, UnusableBase
from release.pruning.prune import Job, PruneContext, prune
from release.pruning.recipe import Recipe
from release.verification.audit import audit
from release.verification.read_back import ReadBack, read_back
from release.workspace import carry_side_files
from tests import checkpoints

NAME = "model.layers.1.mlp.up_proj.weight"
INFINITY = 0x7F80
"""In bf16."""


@pytest.fixture
def gate(base_folders, tmp_path, console):
    """Prune into a folder, and return it with the audit of what lies there."""
    base, out, recipe = (
        open_checkpoint(base_folders["llama"]),
        tmp_path / "out",
        Recipe.of("random", Decimal("0.5"), 42),
    )
    out.mkdir()
    [pruned] = prune(base, [Job(recipe, out, tmp_path / "work")], console, PruneContext(2))
    carry_side_files(base.folder, out)

    def audited(sums=pruned.sums):
        with ReadBack(base, out, recipe.groups) as reading:
            return audit(reading, open_checkpoint(out), recipe, pruned.budgets, sums, console)

    return out, audited


def exchanged(bits: np.ndarray, dense: np.ndarray) -> None:
    """Another mask with as many zeros, all kept weights the base's: only what was computed tells."""
    zero, kept = np.flatnonzero(bits == 0)[0], np.flatnonzero(bits != 0)[0]
    bits[zero], bits[kept] = dense[zero], 0


def flipped(bits: np.ndarray, _: np.ndarray) -> None:
    bits[np.flatnonzero(bits != 0)[0]] ^= 1


@pytest.mark.parametrize("damage", [exchanged, flipped])
def test_a_tensor_that_is_not_on_the_disk_as_it_was_computed_is_named(damage, gate, base_folders):
    out, audited = gate
    written, dense = (places(open_checkpoint(folder))[NAME] for folder in (out, base_folders["llama"]))
    bits = np.memmap(written.path, "<u2", "r+", written.tensor.start, (written.tensor.numel,))
    damage(bits, np.memmap(dense.path, "<u2", "r", dense.tensor.start, (dense.tensor.numel,)))
    bits.flush()
    with pytest.raises(AuditFailed, match=rf"read back: {NAME} is not as it was computed"):
        audited()


def test_what_lies_on_the_disk_as_it_was_computed_passes(gate):
    _, audited = gate
    assert all(check.ok for check in audited().audit.checks)


def test_what_is_on_record_does_not_depend_on_which_run_wrote_a_tensor(gate):
    _, audited = gate
    assert audited(sums={}).audit == audited().audit


@pytest.mark.parametrize("left", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("method", ["random", "magnitude"])
def test_files_that_are_read_while_they_are_written_are_found_as_when_they_are_whole(
    method, left, base_folders, tmp_path, console
):
    base, recipe = open_checkpoint(base_folders["llama"]), Recipe.of(method, Decimal("0.5"), 42)
    out = tmp_path / "out"
    out.mkdir()
    [pruned] = prune(base, [Job(recipe, out, tmp_path / "work")], console, PruneContext(2))
    with ReadBack(base, out, None) as reading:
        expected = reading.result(pruned.budgets, console)
    for header in base.headers:
        whole = out / header.path.name
        data = whole.read_bytes()
        if left < 1:
            whole.unlink()
        if 0 < left < 1:
            partial = Target(whole, recipe.tag(base)).partial
            partial.write_bytes(data[: int(left * len(data))])
    with ReadBack(base, out, None) as reading:
        job = Job(recipe, out, tmp_path / "work", follower=reading)
        [pruned] = prune(base, [job], console, PruneContext(2))
        assert reading.result(pruned.budgets, console) == expected


def test_when_pruning_fails_the_reading_ends_too(base_folders, tmp_path, console):
    checkpoint = open_checkpoint(checkpoints.copy(base_folders["llama"], tmp_path / "base"))
    place = places(checkpoint)[NAME]
    bits = np.memmap(place.path, "<u2", "r+", place.tensor.start, (place.tensor.numel,))
    bits[-1] = INFINITY
    bits.flush()
    checkpoint = open_checkpoint(checkpoint.folder)
    (tmp_path / "out").mkdir()
    before = threading.active_count()
    with ReadBack(checkpoint, tmp_path / "out", None) as reading:
        job = Job(Recipe.of("random", Decimal("0.5"), 42), tmp_path / "out", tmp_path / "work", follower=reading)
        with pytest.raises(UnusableBase, match="NaN or infinite"):
            prune(checkpoint, [job], console, PruneContext(2))
    assert threading.active_count() == before


@pytest.mark.parametrize(("copies", "system", "followed"), [(1, "linux", 1), (1, "win32", 0), (3, "linux", 0)])
def test_a_single_copy_is_followed_where_an_open_file_can_be_renamed(
    copies, system, followed, base_folders, tmp_path, monkeypatch
):
    monkeypatch.setattr("sys.platform", system)
    base, recipe = open_checkpoint(base_folders["llama"]), Recipe.of("random", Decimal("0.5"), 42)
    wanted = [Job(recipe, tmp_path / str(number), tmp_path / "work") for number in range(copies)]
    with read_back(base, wanted) as (jobs, readers):
        assert [job.follower for job in jobs if job.follower] == readers[:followed]
        assert [job.destination for job in jobs] == [job.destination for job in wanted]
    assert len(readers) == copies
