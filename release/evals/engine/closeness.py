"""Whether readings taken again are the recorded ones, within what the order of sums can change."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from release.evals.again import Verdict
from release.evals.bbq.amount import DTYPES
from release.models.logprobs import TOLERANCE


def close(numbers: Mapping[str, tuple[NDArray[Any], NDArray[Any]]], what: str, precision: str) -> Verdict:
    """Compare numbers, again and recorded, within what the order of sums can change."""
    most = TOLERANCE[DTYPES[precision]]
    worst = {name: float(np.abs(again - before).max()) for name, (again, before) in numbers.items()}
    told = ", ".join(f"{name} {value:.1e}" for name, value in worst.items())
    return max(worst.values()) <= most, f"{what} differ by at most {told} ({most:g} is allowed in {precision})"
