"""Make a release's masks again, from base, recipe and seed, or by calibrating again, and compare."""

from dataclasses import dataclass
from pathlib import Path

from release.audit import listed
from release.checkpoint.files import Files
from release.checkpoint.folder import Checkpoint, open_checkpoint
from release.progress import Console
from release.pruning.prune import Calibrating, budgets_of
from release.pruning.rebuild import CORES, agreement, differing
from release.pruning.recipe import Recipe
from release.reading import Seen, Subject
from release.record import Check, Record

AGREEMENT = 0.999
"""Share of weights on whose fate a second calibration must agree with the first."""


@dataclass(frozen=True)
class Again:
    """How to make the masks again.

    Attributes:
        calibration_file: The text file that a release was calibrated on, where it was one of its maker's own.
        device: Where blocks run in calibration.
    """

    calibration_file: Path | None = None
    device: str = "auto"


def rebuilt(subject: Subject, base: Files | None, seen: Seen, again: Again, console: Console) -> Check:
    """Make every mask again and compare; possible where the recipe alone decides it."""
    record = subject.record
    if record is None or base is None:
        return Check(name="rebuild", ok=None, detail="needs release.json and --base MODEL")
    recipe, dense = Recipe.recorded(record.pruning), open_checkpoint(base.folder())
    if recipe.version != recipe.row.version:
        detail = f"made by version {recipe.version} of {recipe.method}; this is version {recipe.row.version}"
        return Check(name="rebuild", ok=None, detail=detail)
    if record.pruning.calibration is not None:
        return _recalibrated(subject, record, dense, again, console)
    found = {c.name: c.sha256 for c in seen.counts}
    allowed = budgets_of(dense, recipe, console, CORES)
    wrong = differing(dense, recipe, allowed, found, console)
    detail = f"{len(allowed.zeros)} tensors made again from base, recipe and seed: identical"
    return Check(name="rebuild", ok=not wrong, detail=listed(wrong) or detail)


def _recalibrated(subject: Subject, record: Record, base: Checkpoint, again: Again, console: Console) -> Check:
    """Calibrate again and say how far the masks agree; floating-point sums differ a little between machines."""
    from release.measure.model import choose_device
    from release.pruning.calibration import text_again

    recorded = record.pruning.calibration
    if recorded is None:
        raise ValueError("this release was not calibrated")
    if recorded.plan.file_sha256 is not None and again.calibration_file is None:
        detail = f"was calibrated on {recorded.text.name}: give --calibration FILE"
        return Check(name="rebuild", ok=None, detail=detail)
    text = text_again(record, again.calibration_file, base.folder, console)
    if text.token_sha256 != recorded.token_sha256:
        return Check(name="rebuild", ok=False, detail="the calibration text gives other tokens than recorded")
    means = Calibrating(text, choose_device(again.device))
    written = open_checkpoint(subject.files.folder())
    agreeing, total = agreement(base, written, Recipe.recorded(record.pruning), means, console)
    detail = f"calibrated again: {agreeing:,} of {total:,} prunable weights agree ({agreeing / total:.4%})"
    return Check(name="rebuild", ok=agreeing >= AGREEMENT * total, detail=detail)
