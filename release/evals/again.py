"""What a check of a release asks of an evaluation: numbers computed again from its table, and readings taken again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from release.checkpoint.files import Files
from release.frozen import Frozen
from release.progress import Console
from release.schema.record import Record
from release.values import EngineName

if TYPE_CHECKING:
    from release.evals.engine.subject import EvaluatedModel

FOLDER = "evaluation"
"""Where the tables lie in a model folder."""
REMEDY = "Give --base the dense model that the record names."

Verdict = tuple[bool, str]


class Table(NamedTuple):
    """A table and what is computed from it.

    Attributes:
        name: Of the check.
        file: Its path in the model folder; None where the record itself holds what the numbers follow from.
        again: Makes the numbers again from the file's bytes.
        recorded: The same numbers as recorded.
        note: What else to say where they agree.
    """

    name: str
    file: str | None
    again: Callable[[bytes], Frozen]
    recorded: Frozen
    note: str = ""


@dataclass(frozen=True)
class Spot:
    """What is asked again, and how.

    Attributes:
        count: Items of each evaluation, windows of text, and sample answers; all, where there are fewer.
        seed: Draws them; None for one that nobody knows before.
        device: A torch device, or auto.
        bbq_data: A clone of nyu-mll/BBQ instead of the catalogue's copy.
        text: The text that perplexity was measured on, where it was a file of the maker's own.
    """

    count: int
    seed: int | None = None
    device: str = "auto"
    bbq_data: Path | None = None
    text: Path | None = None


@dataclass(frozen=True)
class Spotted:
    """A release whose readings are taken again.

    Attributes:
        dense: Folder of the dense model.
        rng: Draws what is asked.
    """

    files: Files
    record: Record
    dense: Path
    spot: Spot
    rng: np.random.Generator
    console: Console

    def drawn(self, of: int) -> list[int]:
        """Draw some of so many, in order."""
        return sorted(self.rng.choice(of, size=min(self.spot.count, of), replace=False).tolist())


@dataclass(frozen=True)
class Question:
    """One kind of reading that is taken again.

    Attributes:
        name: Of the measurement.
        what: What is asked, in words.
        precision: Arithmetic of the forward passes.
        engine: What runs both models.
        ask: Takes the readings of one model.
        judge: Compares both models' readings, by side, with the recorded ones: whether they agree, and how far.
    """

    name: str
    what: str
    precision: str
    engine: EngineName
    ask: Callable[["EvaluatedModel"], Any]
    judge: Callable[[Mapping[str, Any]], Verdict]
