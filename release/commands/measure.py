"""`release measure`: any pruned model beside its base."""

from pathlib import Path

from release.checkpoint.folder import model_folder, open_checkpoint
from release.checkpoint.steady import steady
from release.evals.run import measure, prepare
from release.evals.work import ModelPair
from release.progress import Console
from release.schema.measurements import Measurements
from release.settings.measuring import Measuring
from release.sources.base import resolve
from release.workspace import place_for_answers


def measure_only(pruned: Path, base: str, measuring: Measuring, out: Path | None, console: Console) -> Measurements:
    """Measure any pruned model beside its base; per-item answers and figures go to `out`, where one is given."""
    folder = model_folder(pruned)
    dense = resolve(base, console).checkpoint
    eval_plan = prepare(dense.folder, measuring, console)
    model = open_checkpoint(folder)
    with steady(dense.stamps), steady(model.stamps), place_for_answers(out) as place:
        return measure(eval_plan, ModelPair(dense.folder, model.folder), place, console)
