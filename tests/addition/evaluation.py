"""Repetition: how likely a model finds a sentence that it has just read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from release.evals.again import FOLDER, Table
from release.evals.claim import Claim, Finding, missing
from release.evals.eval import Eval
from release.evals.line import Attribution, HubTask, Line
from release.evals.metric import Hub, Metric
from release.evals.work import EvalContext, ModelTask, Sides
from release.frozen import Frozen
from release.values import DataSource, Estimate

FILE_NAME = "repetition.parquet"
SENTENCE = "The river runs through the city. "
SOURCE = DataSource(
    name="A sentence", origin="https://example.org/sentence", revision="v1", licence="CC0-1.0", sha256="5" * 64
)


class Repetition(Frozen):
    """Mean log-probability per token of the second copy of a sentence."""

    text: DataSource
    dense: float
    pruned: float
    change: Estimate


METRIC = Metric(
    key="repetition",
    label="Repetition",
    phrase="repetition",
    better="higher",
    screen="repetition",
    headline="Repetition of a sentence",
    claim="repetition_lost",
    hub=Hub("repetition", "Repetition (mean log-probability)"),
)


@dataclass(frozen=True)
class RepetitionTask(ModelTask[float, Repetition]):
    """A sentence, and the same again."""

    ids: tuple[int, ...]

    @property
    def prompts(self) -> Sequence[Sequence[int]]:
        """The sentence."""
        return [self.ids]

    def read(self, model: Any) -> float:
        """Return the mean log-probability of its repetition."""
        from release.evals.engine.likelihood import Ask, likelihoods

        return float(likelihoods(model, [Ask(self.ids, (self.ids,))], "Repetition").values[0, 0])

    def compare(self, dense: float, pruned: float) -> Repetition:
        """Put both beside each other."""
        change = Estimate(value=pruned - dense, low=pruned - dense - 0.5, high=pruned - dense + 0.5)
        return Repetition(text=SOURCE, dense=dense, pruned=pruned, change=change)

    def write(self, dense: float, pruned: float, sides: Sides) -> None:
        """Write both."""
        sides.evaluation.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"dense": [dense], "pruned": [pruned]}), sides.evaluation / FILE_NAME)


def prepare(asked: EvalContext) -> RepetitionTask | None:
    """Tokenise the sentence."""
    if getattr(asked.plan, "repetition", "on") == "off":
        return None
    return RepetitionTask(tuple(asked.tokenizer(SENTENCE)["input_ids"]))


def tables(_: object, known: Repetition) -> Iterator[Table]:
    """Return the two numbers that were written."""
    yield Table("repetition", f"{FOLDER}/{FILE_NAME}", _again, known)


def _again(data: bytes) -> Repetition:
    [numbers] = pq.read_table(pa.BufferReader(data)).to_pylist()
    return RepetitionTask(()).compare(**numbers)


def figures(results: Sequence[Repetition], _: Path) -> Any:
    """Draw both as bars."""
    from matplotlib.figure import Figure

    drawn = {"repetition": Figure() if results else None}
    for found in results:
        drawn["repetition"].add_subplot().bar(("dense", "pruned"), (found.dense, found.pruned))
    return drawn


def _lost(_: object, measurements: Any) -> Finding:
    found = measurements.get("repetition")
    if found is None:
        return missing("repetition")
    return Finding("supported" if found.pruned < found.dense else "contradicted", f"{found.change.value:+.3f}")


CLAIMS = (Claim("repetition_lost", "repetition", ("measurements.repetition.change",), _lost),)

REPETITION = Eval(
    key="repetition",
    title="Repetition",
    result=Repetition,
    metrics=(METRIC,),
    work_module=__name__,
    check_module=__name__,
    claims_module=__name__,
    figures_module=__name__,
    lines=lambda found: [Line(METRIC, found.dense, found.pruned, found.change)],
    sources=lambda found: [Attribution(found.text, "Sentence", "Sentence", "Nobody (2026)", facts={"seed": 7})],
    bibliography=lambda _: ("repetition",),
    changes=lambda found: {"log_repetition": found.change.value},
    varying={"log_repetition": "Change of repetition"},
    task=HubTask("text-generation", "Text generation"),
)
