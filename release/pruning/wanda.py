"""Wanda: the smallest |w| · ‖x‖ of each output row go first, x being what the weight's input was in calibration."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from release.pruning.method import Method, Paper, PrunedTensor, Scorer, Scores


def scorer(subject: PrunedTensor) -> Scorer:
    """Score |w| · ‖x‖₂, the norm taken per input over all calibration tokens."""
    factors = per_input(subject, norms(subject))

    def scores(start: int, stop: int) -> Scores:
        return as_scores(magnitudes(subject, start, stop) * factors(start, stop))

    return scores


def norms(subject: PrunedTensor) -> NDArray[np.float64]:
    """‖x‖₂ of every input, [experts, inputs]."""
    if subject.inputs is None:
        raise ValueError(f"{subject.tensor.name} was not calibrated")
    return np.asarray(np.sqrt(subject.inputs.squares))


def magnitudes(subject: PrunedTensor, start: int, stop: int) -> NDArray[np.floating]:
    """|w| of the flat weights start … stop − 1."""
    return np.asarray(np.abs(subject.tensor.values(subject.bits[start:stop])))


def per_input(subject: PrunedTensor, factors: NDArray[np.floating]) -> Callable[[int, int], NDArray[np.float32]]:
    """Spread factors per input over the flat weights.

    Args:
        factors: [experts, inputs].
    """
    width, narrow = subject.width, factors.astype(np.float32)
    rows = subject.bits.size // max(1, width * subject.experts)

    def spread(start: int, stop: int) -> NDArray[np.float32]:
        first, last = start // width, -(-stop // width)
        part = narrow[np.arange(first, last) // rows].reshape(-1)
        return part[start - first * width : stop - first * width]

    return spread


def as_scores(values: NDArray[np.floating]) -> Scores:
    """Read numbers ≥ 0 as unsigned integers of the same order."""
    return values.view(f"<u{values.dtype.itemsize}")


WANDA = Method(
    "wanda",
    "Wanda",
    scorer,
    scopes=("row", "tensor"),
    needs="norms",
    paper=Paper(
        "A Simple and Effective Pruning Approach for Large Language Models",
        "Sun, Liu, Bair and Kolter",
        2024,
        "https://arxiv.org/abs/2306.11695",
    ),
)
