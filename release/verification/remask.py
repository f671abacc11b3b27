"""Make a release's masks again, from base, recipe and seed, or by calibrating again, and compare."""

from dataclasses import dataclass
from pathlib import Path

from release.checkpoint.files import Files
from release.checkpoint.folder import Checkpoint, open_checkpoint
from release.errors import HubUnreachable, MissingSource, UnknownName, UnusableBase, UnusableData
from release.format import listed
from release.machine import cores
from release.progress import Console
from release.pruning.prune import Calibrating, budgets_of
from release.pruning.rebuild import agreement, differing
from release.pruning.recipe import Recipe
from release.schema.record import FILE_NAME, Check, Record
from release.verification.closure import check_method, updates
from release.verification.inspection import Inspection, Seen

AGREEMENT = 0.999
"""Share of weights on whose fate a second calibration must agree with the first."""
APART = 0.05
"""How far weights that a method changed may lie from those of a second calibration, as a share of a tensor's norm."""


@dataclass(frozen=True)
class Again:
    """How to make the masks again.

    Attributes:
        calibration_file: The text file that a release was calibrated on, where it was one of its maker's own.
        device: Where blocks run in calibration.
    """

    calibration_file: Path | None = None
    device: str = "auto"


def rebuilt(subject: Inspection, base: Files | None, seen: Seen | None, again: Again, console: Console) -> Check:
    """Make every mask again and compare. It was asked for: where it cannot be made, that is a failure."""
    if subject.record is None or base is None or seen is None:
        return _failed(f"could not be made: it needs {FILE_NAME} and --base MODEL")
    try:
        return _made_again(subject, subject.record, open_checkpoint(base.folder()), seen, again, console)
    except (UnusableBase, UnusableData, UnknownName, MissingSource, HubUnreachable) as error:
        return _failed(f"could not be made: {error.seen} {error.remedy}".rstrip())


def _failed(detail: str) -> Check:
    return Check(name="rebuild", ok=False, detail=detail)


def _made_again(
    subject: Inspection, record: Record, dense: Checkpoint, seen: Seen, again: Again, console: Console
) -> Check:
    if not check_method(record.pruning).ok:
        return _failed("could not be made: the record does not say which method it was")
    recipe = Recipe.recorded(record.pruning)
    if recipe.version != recipe.row.version:
        made, known = recipe.version, recipe.row.version
        return _failed(f"could not be made: version {made} of {recipe.method} made it; this tool makes version {known}")
    if record.pruning.calibration is not None:
        return _recalibrated(subject, record, dense, again, console)
    found = {c.name: c.sha256 for c in seen.counts}
    allowed = budgets_of(dense, recipe, console, cores())
    wrong = differing(dense, recipe, allowed, found, console)
    detail = f"{len(allowed.zeros)} tensors made again from base, recipe and seed: identical"
    return Check(name="rebuild", ok=not wrong, detail=listed(wrong) or detail)


def _recalibrated(subject: Inspection, record: Record, base: Checkpoint, again: Again, console: Console) -> Check:
    """Calibrate again and say how far the result agrees; floating-point sums differ a little between machines."""
    from release.models.device import choose_device
    from release.pruning.calibration import text_again

    recorded = record.pruning.calibration
    if recorded is None:
        raise ValueError("this release was not calibrated")
    if recorded.plan.file_sha256 is not None and again.calibration_file is None:
        return _failed(f"could not be made: it was calibrated on {recorded.text.name}; give --calibration FILE")
    text = text_again(record, again.calibration_file, base.folder, console)
    if text.token_sha256 != recorded.token_sha256:
        return _failed("the calibration text gives other tokens than recorded")
    calibrating = Calibrating(text, choose_device(again.device))
    written = open_checkpoint(subject.files.folder())
    made = agreement(base, written, Recipe.recorded(record.pruning), calibrating, console)
    detail = f"calibrated again: {made.agreeing:,} of {made.total:,} prunable weights agree ({made.share:.4%})"
    if updates(record.pruning):
        detail += f"; kept weights of a tensor are off by {made.furthest:.2%} of their norm at most"
    return Check(name="rebuild", ok=made.share >= AGREEMENT and made.furthest <= APART, detail=detail)
