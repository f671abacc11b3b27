"""Intervals and tests, as formulas on numbers; nothing here knows what was measured."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from release.measurements import Estimate, Mcnemar, Rate

REPLICATES = 2000
LEVEL = 0.95

Floats = NDArray[np.float64]


def wilson(count: int, n: int) -> Rate:
    """Return a share with its Wilson score interval (Wilson 1927); undefined for n = 0."""
    if n == 0:
        return Rate(count=0, n=0, value=None, low=None, high=None)
    z = float(stats.norm.ppf((1 + LEVEL) / 2))
    share = count / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Rate(count=count, n=n, value=share, low=max(0.0, centre - half), high=min(1.0, centre + half))


def mcnemar(only_dense: int, only_pruned: int) -> Mcnemar:
    """Return McNemar's exact test: of the discordant pairs each side is a fair coin (two-sided; 1 for none)."""
    discordant = only_dense + only_pruned
    p = stats.binomtest(only_dense, discordant, 0.5).pvalue if discordant else 1.0
    return Mcnemar(only_dense_right=only_dense, only_pruned_right=only_pruned, p_value=float(p))


def cohens_h(dense: float, pruned: float) -> float:
    """Return the effect size of a change between two shares, 2·asin√pruned − 2·asin√dense (Cohen 1988).

    Args:
        dense: Share in [0, 1].
        pruned: Share in [0, 1].

    Returns:
        −π to π; 0.2 is called small, 0.5 medium, 0.8 large.
    """
    return 2 * math.asin(math.sqrt(pruned)) - 2 * math.asin(math.sqrt(dense))


def achieved_significance(differences: Floats) -> float | None:
    """Return the two-sided achieved significance level of a difference (Efron and Tibshirani 1993, chapter 15).

    Twice the share of replicates on the rarer side of zero, the sample itself counted among both (Davison and Hinkley
    1997, section 4.2). It is the level at which the percentile interval would just reach zero: never 0, and exactly
    1 where every replicate is zero.

    Args:
        differences: (1 + replicates,), as `estimate` takes them.

    Returns:
        In (0, 1]; None where the difference is not defined.
    """
    replicates = differences[1:][np.isfinite(differences[1:])]
    if not np.isfinite(differences[0]) or not len(replicates):
        return None
    rarer = min(int((replicates <= 0).sum()), int((replicates >= 0).sum()))
    return min(1.0, 2 * (1 + rarer) / (1 + len(replicates)))


def benjamini_hochberg(p_values: Sequence[float | None]) -> list[float | None]:
    """Return p-values adjusted for being several (Benjamini and Hochberg 1995); None is passed over and stays None.

    Of the changes that are called so at an adjusted p below q, a share of q is expected to be none.
    """
    asked = [p for p in p_values if p is not None]
    adjusted = iter(stats.false_discovery_control(asked, method="bh").tolist() if asked else [])
    return [None if p is None else float(next(adjusted)) for p in p_values]


def cluster_weights(strata: Sequence[str], replicates: int, seed: int) -> Floats:
    """Return how often each cluster counts, (1 + replicates, clusters); row 0 is the sample itself, all ones.

    Clusters are resampled within their stratum. Of n clusters n − 1 are drawn with replacement and weighted by
    n / (n − 1) (Rao and Wu 1988): drawing n would make intervals too narrow where n is small. A stratum of one
    cluster says nothing about spread, so such strata are merged with each other or, if there is only one, with the
    next smallest.
    """
    rng = np.random.default_rng(seed)
    weights = np.ones((1 + replicates, len(strata)))
    for members in _merged(strata):
        n = len(members)
        if n > 1:
            counts = rng.multinomial(n - 1, np.full(n, 1 / n), size=replicates)
            weights[1:, members] = counts * (n / (n - 1))
    return weights


def _merged(strata: Sequence[str]) -> list[list[int]]:
    """Return the clusters of each stratum, single ones merged."""
    found: dict[str, list[int]] = {}
    for index, stratum in enumerate(strata):
        found.setdefault(stratum, []).append(index)
    ordered = sorted(found.values(), key=len)
    single = [members for members in ordered if len(members) == 1]
    rest = ordered[len(single) :]
    merged = [index for members in single for index in members]
    if len(merged) == 1 and rest:
        merged += rest.pop(0)
    return [members for members in (merged, *rest) if members]


def estimate(values: Floats) -> Estimate:
    """Return a value with its percentile interval; without one where there are no replicates.

    Args:
        values: (1 + replicates,): the value first, then its bootstrap replicates; NaN where one is undefined.
    """
    value, replicates = float(values[0]), values[1:][np.isfinite(values[1:])]
    if not np.isfinite(value) or not len(replicates):
        return Estimate(value=value if np.isfinite(value) else None, low=None, high=None)
    # Of R replicates the α-quantile is the (R + 1)·α-th; numpy's usual one lies further in, where R is small.
    low, high = np.quantile(replicates, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="weibull")
    return Estimate(value=value, low=float(low), high=float(high))


def resampled_means(values: Floats, replicates: int, seed: int) -> Floats:
    """Return the mean of independent units and its bootstrap replicates.

    Args:
        values: (n,) or (n, k); rows are the units, resampled together so that columns stay paired.
        replicates: Replicates drawn.
        seed: Seed of the draws.

    Returns:
        (1 + replicates,) or (1 + replicates, k).
    """
    weights = cluster_weights([""] * len(values), replicates, seed)
    return np.asarray(weights @ values / len(values))
