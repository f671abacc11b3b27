"""`release measure`: any pruned model beside its base."""

from contextlib import closing
from pathlib import Path

from release.checkpoint.folder import Checkpoint, model_folder, open_checkpoint
from release.checkpoint.steady import steady
from release.digests import FileDigest, digest_of
from release.errors import BadOption
from release.evals.work import SIDES, ModelPair
from release.progress import Console
from release.schema.measurements import Measurements
from release.settings.measuring import Measuring
from release.sources.base import resolve
from release.stages import Stage, of_measuring
from release.workspace import place_for_answers


def measure_only(pruned: Path, base: str, measuring: Measuring, out: Path | None, console: Console) -> Measurements:
    """Measure any pruned model beside its base; per-item answers and figures go to `out`, where one is given.

    Raises:
        ReleaseError: As for `release.build.open_bench`; or there is no such folder.
    """
    folder = model_folder(_there(pruned))
    console.plan((Stage.CHECK, *of_measuring(measuring)))
    console.begin(Stage.CHECK)
    model, dense = open_checkpoint(folder), resolve(base, console).checkpoint
    from release.evals.run import measure, prepare  # torch and transformers take seconds

    opened = closing(prepare(dense.folder, measuring, console))
    with opened as eval_plan, steady(dense.stamps), steady(model.stamps), place_for_answers(out) as place:
        files = {name: _weights(found) for name, found in zip(SIDES, (dense, model), strict=True)}
        return measure(eval_plan, ModelPair(dense.folder, model.folder, files), place, console)


def _there(pruned: Path) -> Path:
    if not pruned.is_dir():
        raise BadOption(f"There is no folder {pruned}.", "Give a pruned model folder, or a release.")
    return pruned


def _weights(found: Checkpoint) -> tuple[FileDigest, ...]:
    """The weight files, read once for their digests, by which readings are known."""
    return tuple(digest_of(header.path, header.path.name) for header in found.headers)
