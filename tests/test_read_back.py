"""The audit holds what it reads from the disk against what was computed: another mask may be just as plausible."""

from decimal import Decimal

import numpy as np
import pytest

from release.checkpoint.count import places
from release.checkpoint.folder import open_checkpoint
from release.errors import AuditFailed
from release.pruning.prune import Job, PruneContext, prune
from release.pruning.recipe import Recipe
from release.verification.audit import audit
from release.workspace import carry_side_files

NAME = "model.layers.1.mlp.up_proj.weight"


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
    return out, lambda sums=pruned.sums: audit(base, open_checkpoint(out), recipe, pruned.budgets, sums, console)


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
