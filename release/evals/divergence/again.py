"""The divergence computed again from its table of positions, without a model."""

import math
from collections.abc import Iterator

import numpy as np

from release.errors import UnusableData
from release.evals.again import FOLDER, Table
from release.evals.bbq.table import wrong
from release.evals.divergence.amount import evenly
from release.evals.divergence.compare import AskedPositions, compare
from release.evals.divergence.result import Divergence
from release.evals.divergence.table import FILE_NAME, Singles, read_positions
from release.evals.perplexity.result import Perplexity
from release.schema.record import Record

FILE = f"{FOLDER}/{FILE_NAME}"
FITS = 1e-3
"""Relative difference of perplexity that is rounding: both are of the same passes, or of passes in another order."""


def tables(record: Record, known: Divergence) -> Iterator[Table]:
    """Return the table of positions."""
    yield Table("divergence", FILE, lambda data: again(record, known, data), known)


def again(record: Record, known: Divergence, data: bytes) -> Divergence:
    """Sum the positions up again.

    Raises:
        UnusableData: The table is not what measuring writes, or gives another perplexity than the losses.
    """
    perplexity = record.measurements.perplexity
    if perplexity is None:
        raise UnusableData("belongs to no windows at all", "Fetch the release again.")
    _, found = held(perplexity, known, data)
    _require_fit(found, perplexity)
    return compare(AskedPositions(perplexity.windows, known.vocabulary, perplexity.precision), found)


def held(perplexity: Perplexity, known: Divergence, data: bytes) -> tuple[list[int], Singles]:
    """Return the numbers of the windows that were compared, and their positions, (windows, positions, 4).

    Raises:
        UnusableData: The table is not what measuring writes.
    """
    if not 0 < known.windows <= perplexity.windows or known.positions < 1:
        raise UnusableData("belongs to windows that perplexity was not read on", "Fetch the release again.")
    numbers = list(evenly(perplexity.windows, known.windows))
    return numbers, read_positions(data, numbers, perplexity.scored)


def _require_fit(found: Singles, perplexity: Perplexity) -> None:
    """Refuse probabilities of the right tokens that give another perplexity than the record states, of all windows."""
    for side, name in ((2, "dense"), (3, "pruned")) if len(found) == perplexity.windows else ():
        held = getattr(perplexity, name).value
        given = math.exp(min(-float(found[:, :, side].mean(dtype=np.float64)), 700.0))
        if perplexity.precision == "float32" and not math.isclose(given, held or 0.0, rel_tol=FITS):
            raise wrong(f"gives the {name} model a perplexity of {given:.6g}, where the losses give {held or 0.0:.6g}")
