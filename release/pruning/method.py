"""What a pruning method is: a score for every weight, and what a card must say of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from release.checkpoint.header import Bits, Tensor
from release.pruning.mask_rng import MaskRng
from release.settings.recipe import Scope

if TYPE_CHECKING:
    from release.models.activations import ActivationStats

Needs = Literal["nothing", "norms", "gram"]
Scores = NDArray[np.unsignedinteger[Any]]

Scorer = Callable[[int, int], Scores]
"""Scores of the flat weights start … stop − 1, as unsigned integers: the smallest are pruned first."""


@dataclass(frozen=True)
class PrunedTensor:
    """One tensor that is to be pruned.

    Attributes:
        tensor: Its name, type and shape: [outputs, inputs], or [experts, outputs, inputs].
        bits: Its weights as stored, flat.
        draws: Its randomness.
        inputs: What it was multiplied with in calibration; None for a method that needs nothing.
    """

    tensor: Tensor
    bits: Bits
    draws: MaskRng
    inputs: "ActivationStats | None" = None

    @property
    def width(self) -> int:
        """Inputs of one output row."""
        return self.tensor.shape[-1]

    @property
    def experts(self) -> int:
        """Matrices in the tensor: 1 but for fused experts."""
        return self.tensor.shape[0] if len(self.tensor.shape) == 3 else 1


Solver = Callable[[PrunedTensor, Sequence[int], tuple[int, int] | None, Bits], None]
"""(subject; zeros due in each of its matrices; n and m of a pattern, or None; where the result goes) → None."""


@dataclass(frozen=True)
class Paper:
    """Where a method comes from."""

    title: str
    authors: str
    year: int
    url: str


@dataclass(frozen=True)
class Method:
    """One row of the registry.

    Attributes:
        key: Its name on the command line and in the record; `templates/methods/<key>.md.j2` describes it.
        scorer: Prepares the scores of one tensor; None where `solver` does the work.
        solver: Chooses and changes weights together, for methods that also update the weights they keep.
        version: Raised whenever the same input would give another mask.
        scopes: Where weights may compete; the first is the default.
        needs: What must be gathered over calibration text for each tensor: Σx² per input, or Σxxᵀ.
        paper: None for a method that needs no source.
        seeded: Whether the seed decides the mask; for others it settles ties, or draws calibration windows.
        uniform: Whether the scores are independent of the weights and of each other, and uniform over their type.
    """

    key: str
    title: str
    scorer: Callable[[PrunedTensor], Scorer] | None = None
    solver: Solver | None = None
    version: int = 1
    scopes: tuple[Scope, ...] = ("tensor", "row")
    needs: Needs = "nothing"
    paper: Paper | None = None
    seeded: bool = False
    uniform: bool = False

    @property
    def calibrated(self) -> bool:
        """Whether it needs calibration text."""
        return self.needs != "nothing"

    @property
    def updates_kept_weights(self) -> bool:
        """Whether it changes weights that it keeps."""
        return self.solver is not None
