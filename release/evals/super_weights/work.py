"""Super weights looked for: in the dense model by one pass, and then in the pruned files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from release.evals.engine.subject import EvaluatedModel
from release.evals.super_weights.find import SeenSpikes, look_up, seen
from release.evals.super_weights.result import SuperWeights
from release.evals.work import EvalContext, ModelTask


@dataclass(frozen=True)
class SpikeReading:
    """One model's files, and what stands out in the dense one; None where nothing was looked at."""

    folder: Path
    seen: SeenSpikes | None


@dataclass(frozen=True)
class SuperWeightsTask(ModelTask[SpikeReading, SuperWeights]):
    """The largest candidates of the dense model, looked up in the pruned files."""

    tokenizer: Any

    def read(self, model: EvaluatedModel) -> SpikeReading:
        """Run the dense model once; of the pruned one only the files are read."""
        return SpikeReading(model.folder, seen(model, self.tokenizer) if model.name == "dense" else None)

    def compare(self, dense: SpikeReading, pruned: SpikeReading) -> SuperWeights | None:
        """Look the candidates up in the pruned files."""
        return None if dense.seen is None else look_up(dense.seen, dense.folder, pruned.folder)


def prepare(asked: EvalContext) -> SuperWeightsTask | None:
    """Lay it out, but for a model that nothing else is asked of, which is not loaded for this alone."""
    return SuperWeightsTask(asked.tokenizer) if asked.others else None
