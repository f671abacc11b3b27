"""A further mask, asked what the published one was asked: nothing is timed, and nothing written."""

from dataclasses import replace
from pathlib import Path

from release.evals.registry import BY_KEY
from release.evals.run import EvalPlan, Files, Models, compared, readings
from release.evals.spread import mask_of
from release.progress import Console
from release.schema.measurements import Mask


def measured(desk: EvalPlan, seed: int, dense: Path, pruned: Path, files: Files, console: Console) -> Mask:
    """Return what the mask of a seed changed.

    What was read of the dense model before is recalled, so that it is not read again for every mask.

    Args:
        desk: What both models are asked.
        seed: Of the mask.
        dense: Folder of the dense model.
        pruned: Folder of the model that the mask made.
        files: The weight files of both.
        console: Where progress is shown.

    Raises:
        UnusableBase: A model cannot be loaded or does not fit into memory.
        UnusableData: A model answered with NaN or an infinity.
    """
    varying = {key: task for key, task in desk.tasks.items() if BY_KEY[key].changes}
    desk = replace(desk, tasks=varying)
    desk, read = readings(desk, Models({"dense": dense, "pruned": pruned}, files, desk, console))
    return mask_of(seed, compared(desk, read))
