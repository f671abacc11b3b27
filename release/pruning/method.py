"""What a pruning method is: a score for every weight, and what a card must say of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from release.checkpoint.header import Bits, Tensor
from release.pruning.draws import Draws
from release.pruning.selection import Scores

Score = Callable[[Tensor, Bits, Draws], Scores]
"""(tensor, its bits, flat; draws) → unsigned integer scores, flat, the smallest pruned first."""


@dataclass(frozen=True)
class Paper:
    """Where a method comes from."""

    title: str
    authors: str
    year: int
    arxiv: str


@dataclass(frozen=True)
class Method:
    """One row of the registry.

    Attributes:
        key: Its name on the command line and in the record; `templates/methods/<key>.md.j2` describes it.
        version: Raised whenever the same input would give another mask.
        scope: Where weights compete by default.
        calibrated: Whether it needs calibration text.
        updates_kept_weights: Whether it changes weights that it keeps.
        paper: None for a method that needs no source.
    """

    key: str
    title: str
    score: Score
    version: int = 1
    scope: Literal["tensor", "row", "model"] = "tensor"
    calibrated: bool = False
    updates_kept_weights: bool = False
    paper: Paper | None = None
