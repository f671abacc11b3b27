"""A further mask, asked what the published one was asked: nothing is timed, and nothing written."""

from dataclasses import replace

from release.evals.eval_plan import EvalPlan
from release.evals.registry import BY_KEY
from release.evals.run import compared, readings
from release.evals.spread import mask_of
from release.evals.work import ModelPair
from release.progress import Console
from release.schema.measurements import Mask


def measured(eval_plan: EvalPlan, seed: int, models: ModelPair, console: Console) -> Mask:
    """Return what the mask of a seed changed.

    What was read of the dense model before is recalled, so that it is not read again for every mask.

    Args:
        eval_plan: What both models are asked.
        seed: Of the mask.
        models: The pruned one is what the mask made.
        console: Where progress is shown.

    Raises:
        UnusableBase: A model cannot be loaded or does not fit into memory.
        UnusableData: A model answered with NaN or an infinity.
    """
    varying = {key: task for key, task in eval_plan.tasks.items() if BY_KEY[key].changes}
    settled, read, _ = readings(replace(eval_plan, tasks=varying), models, console)
    return mask_of(seed, compared(settled, read))
