"""RIA: a weight's share of its row and of its column, times the activation of its input."""

import numpy as np
from numpy.typing import NDArray

from release.pruning.method import Method, Paper, PrunedTensor, Scorer, Scores
from release.pruning.wanda import as_scores, magnitudes, norms, per_input

POWER = 0.5
"""Exponent of the activation norm: the paper's a."""


def scorer(subject: PrunedTensor) -> Scorer:
    """Score (|w| / Σ of its input's column + |w| / Σ of its output's row) · ‖x‖₂^a."""
    columns, rows = _sums(subject)
    of_column = per_input(subject, _inverse(columns))
    activations = per_input(subject, norms(subject) ** POWER)
    of_row = _inverse(rows).astype(np.float32)

    def scores(start: int, stop: int) -> Scores:
        shares = of_column(start, stop) + of_row[np.arange(start, stop) // subject.width]
        return as_scores(magnitudes(subject, start, stop) * shares * activations(start, stop))

    return scores


def _sums(subject: PrunedTensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Σ|w| of each input, [experts, inputs], and of each output row, [experts · outputs]."""
    size, width, experts = subject.bits.size, subject.width, subject.experts
    columns = np.zeros((experts, width))
    rows = np.zeros(size // max(1, width))
    outputs = len(rows) // experts
    for row in range(len(rows)):
        values = magnitudes(subject, row * width, (row + 1) * width).astype(np.float64)
        rows[row] = values.sum()
        columns[row // outputs] += values
    return columns, rows


def _inverse(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(1.0, sums, out=np.zeros_like(sums), where=sums > 0)


RIA = Method(
    "ria",
    "RIA",
    scorer,
    scopes=("tensor", "row"),
    needs="norms",
    paper=Paper(
        "Plug-and-Play: An Efficient Post-training Pruning Method for Large Language Models",
        "Zhang, Bai, Lin, Zhao, Hou and Cannistraci",
        2024,
        "https://openreview.net/forum?id=Tr0lPx9woF",
    ),
)
