"""Shares of items, with intervals by question templates."""

import numpy as np
from numpy.typing import NDArray

from release.evals.bbq.scores import Templates
from release.evals.engine.clustered import Strata, ratio_of_sums, spread
from release.evals.engine.statistics import Floats, clustered_wilson
from release.values import Rate


def rate(templates: Templates, hits: Floats | NDArray[np.bool_], among: Floats | NDArray[np.bool_]) -> Rate:
    """Return the share of what was counted, with Wilson's interval for the sample size that the templates leave.

    It is a share of the items asked and not a mean over categories, so all templates make one stratum.

    Args:
        hits: How often each item counts, (items,).
        among: How often it could, (items,).
    """
    part, whole = (templates.sums(np.asarray(each, dtype=float)) for each in (hits, among))
    strata = Strata.one(len(whole))
    known = spread(ratio_of_sums(part, whole, strata, np.ones(1)), strata)
    return clustered_wilson(
        round(part.sum()), round(whole.sum()), float(known.error), float(known.df), int(known.clusters)
    )
