"""Shares of items, with intervals by question templates."""

import numpy as np
from numpy.typing import NDArray

from release.evals.bbq.scores import Templates
from release.evals.engine.clustered import share_of_clusters
from release.evals.engine.statistics import Floats
from release.values import Rate


def rate(templates: Templates, hits: Floats | NDArray[np.bool_], among: Floats | NDArray[np.bool_]) -> Rate:
    """Return the share of what was counted, with Wilson's interval for the sample size that the templates leave.

    Args:
        hits: How often each item counts, (items,).
        among: How often it could, (items,).
    """
    part, whole = (templates.sums(np.asarray(each, dtype=float)) for each in (hits, among))
    return share_of_clusters(part, whole)
