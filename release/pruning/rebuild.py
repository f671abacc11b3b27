"""Make pruned tensors again from base and recipe, or from base and mask, to compare or to keep.

Where weights and seed decide the mask, anyone can, without the model's class.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from release.checkpoint.count import places, read_tensor
from release.checkpoint.folder import Checkpoint
from release.checkpoint.header import Bits, Raw, Tensor
from release.checkpoint.prunable import block_of
from release.checkpoint.rewrite import Change, Edit, Target, in_order, rewrite
from release.checkpoint.stage_timer import StageTimer
from release.digests import FileDigest, digest_of
from release.errors import AuditFailed, BadOption, UnusableBase
from release.machine import cores
from release.progress import BYTES, Console
from release.pruning.budget import Budgets
from release.pruning.masks import PublishedMask
from release.pruning.prune import Calibrating, budgets_of, change_by_score, require_room
from release.pruning.recipe import Recipe
from release.pruning.store import BlockStore


def differing(
    base: Checkpoint, recipe: Recipe, allowed: Budgets, sha256: Mapping[str, str], console: Console
) -> tuple[str, ...]:
    """Name the prunable tensors whose bytes are not what the recipe makes of the base.

    Args:
        sha256: Of each tensor's bytes as found, by name.
    """
    change, known = change_by_score([(recipe, allowed)]), places(base)

    def work(name: str) -> tuple[str, int, str]:
        data = read_tensor(known[name])
        [made] = change(known[name].tensor, data)
        return name, len(made), hashlib.sha256(made.data).hexdigest()

    names = [name for name in allowed.zeros if name in known]
    wrong = sorted(set(allowed.zeros) - set(names))
    total = sum(known[name].tensor.nbytes for name in names)
    with console.step("Rebuild every mask from base and seed", total, BYTES) as advance:
        for name, nbytes, made in in_order(work, names, cores()):
            advance(nbytes)
            if made != sha256.get(name):
                wrong.append(name)
    return tuple(wrong)


@dataclass(frozen=True)
class Agreement:
    """How far two calibrations agree.

    Attributes:
        agreeing: Prunable weights that are zero in both models or in neither.
        total: Prunable weights.
        furthest: The norm of the difference as a share of the norm, in the tensor where it is largest.
    """

    agreeing: int
    total: int
    furthest: float

    @property
    def share(self) -> float:
        """Of all prunable weights, those on whose fate both agree."""
        return self.agreeing / self.total


def agreement(
    base: Checkpoint, written: Checkpoint, recipe: Recipe, calibrating: Calibrating, console: Console
) -> Agreement:
    """Calibrate again, and compare every prunable tensor with what was written.

    Raises:
        UnusableBase: A tensor is missing from what was written.
    """
    from release.pruning.calibrate import Calibrator

    agreeing = total = 0
    furthest = 0.0
    dense, known = places(base), places(written)
    with TemporaryDirectory() as scratch:
        store = BlockStore(Path(scratch), recipe.row.updates_kept_weights)
        budgets = Calibrator(base, recipe, calibrating.text.ids, store, calibrating.device, cores()).run(console)
        for name in budgets.parts:
            if name not in known or known[name].tensor.nbytes != dense[name].tensor.nbytes:
                raise UnusableBase(
                    f"{name} is missing, or of another size than the base's.", "Fetch the release again."
                )
            tensor, data = dense[name].tensor, read_tensor(dense[name])
            store.apply(block_of(name), tensor, data)
            again, found = tensor.bits(data), tensor.bits(read_tensor(known[name]))
            agreeing += int(np.count_nonzero((again == 0) == (found == 0)))
            total += tensor.numel
            furthest = max(furthest, _apart(tensor, again, found))
    return Agreement(agreeing, total, furthest)


def _apart(tensor: Tensor, again: Bits, found: Bits) -> float:
    """The norm of the difference where neither is zero, as a share of the norm there; infinite for NaN."""
    if np.array_equal(again, found):
        return 0.0
    both = (again != 0) & (found != 0)
    a, b = (tensor.values(each[both]).astype(np.float64) for each in (again, found))
    share = float(np.linalg.norm(b - a) / max(float(np.linalg.norm(a)), np.finfo(np.float64).tiny))
    return share if math.isfinite(share) else math.inf


def rebuild(
    base: Checkpoint,
    recipe: Recipe,
    mask: PublishedMask | None,
    expected: Sequence[FileDigest],
    destination: Path,
    console: Console,
) -> None:
    """Write the pruned weight files into a folder, from the base and a mask, or from the recipe alone.

    Args:
        expected: The files of the release.

    Raises:
        BadOption: There is no mask, and the recipe does not decide the weights by itself.
        AuditFailed: A file that was made is not the release's; it is removed.
    """
    change, names = _change(base, recipe, mask, console)
    edit = Edit(dict.fromkeys(names, change))
    require_room(base, [destination])
    wanted = {file.name: file for file in expected}
    with console.step("Rebuild the weight files", base.size, BYTES) as advance:
        for header in base.headers:
            target = destination / header.path.name
            if target.is_file():
                made = digest_of(target)
                advance(header.size)
            else:
                [written] = rewrite(
                    header, [Target(target, recipe.tag(base), hashed=True)], edit, cores(), advance, StageTimer()
                )
                made = written.digest or digest_of(target)
            if wanted.get(made.name) != made:
                target.unlink()
                raise AuditFailed(
                    f"{made.name} came out with SHA-256 {made.sha256[:16]}…, which is not the release's.",
                    "Give the very base that the release names, at its revision. If it is that, somebody altered what "
                    "the record or the mask says.",
                )


def is_decided(recipe: Recipe) -> bool:
    """Whether base and recipe decide the weights by themselves, as this version of the method makes them."""
    return recipe.calibration is None and recipe.version == recipe.row.version


def _change(
    base: Checkpoint, recipe: Recipe, mask: PublishedMask | None, console: Console
) -> tuple[Change, Sequence[str]]:
    if mask is not None:
        return _by_mask(mask), mask.names
    if not is_decided(recipe):
        reason = "was calibrated" if recipe.calibration else f"was made by version {recipe.version} of {recipe.method}"
        raise BadOption(
            f"This release {reason}, and holds no mask; base and seed alone do not give it.",
            "Download its weights, or publish with --with-mask.",
        )
    allowed = budgets_of(base, recipe, console, cores())
    return change_by_score([(recipe, allowed)]), list(allowed.parts)


def _by_mask(mask: PublishedMask) -> Change:
    def change(tensor: Tensor, data: Raw) -> Sequence[Raw]:
        mask.apply(tensor, data)
        return [data]

    return change
