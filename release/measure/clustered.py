"""Ratios over clustered answers: their value, and what each cluster adds to their spread.

The clusters are question templates; they are drawn within strata, the categories. A ratio is linearised (Taylor series,
Woodruff 1971; Binder 1983): z_i is by how much the value would move if cluster i counted a little more. The variance of
the value is that of the sum of z within strata, and the difference of two values has the difference of their z, so
paired answers stay paired. Every function takes leading axes, so that many worlds can be simulated at once.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from release.statistics import FEWEST_CLUSTERS, FEWEST_VARYING, Floats


class Strata(NamedTuple):
    """Which stratum each cluster belongs to.

    Attributes:
        of: Index of each cluster's stratum, (clusters,).
        member: 1 where a cluster belongs to a stratum, (clusters, strata).
    """

    of: NDArray[np.int64]
    member: Floats

    @classmethod
    def named(cls, names: Sequence[str], order: Sequence[str]) -> "Strata":
        """Take each cluster's stratum by name; `order` names every stratum once."""
        of = np.array([order.index(name) for name in names], dtype=np.int64)
        return cls(of, np.eye(len(order))[of])


class Linear(NamedTuple):
    """A value and its linearisation.

    Attributes:
        value: (…); NaN where it is not defined.
        z: What each cluster adds, (…, clusters); 0 where it says nothing.
        own: The cluster's own value, by which one sees whether clusters differ, (…, clusters); NaN where it has none.
        weight: Share of each stratum in the value, (…, strata); 0 where it is left out.
    """

    value: Floats
    z: Floats
    own: Floats
    weight: Floats

    def minus(self, other: "Linear") -> "Linear":
        """Return self − other, of answers of the same clusters."""
        return Linear(self.value - other.value, self.z - other.z, _apart(self.own, other.own), self.weight)

    def log_over(self, other: "Linear") -> "Linear":
        """Return the logarithm of self / other; NaN where either is not above 0."""
        defined = (self.value > 0) & (other.value > 0)
        mine, theirs = (np.where(defined, each.value, np.nan) for each in (self, other))
        z = self.z / mine[..., None] - other.z / theirs[..., None]
        return Linear(np.log(mine / theirs), np.nan_to_num(z), _apart(self.own, other.own), self.weight)


def _apart(own: Floats, other: Floats) -> Floats:
    """Return by how much clusters differ; one that answers for one model alone differs by what it answers there."""
    silent = np.isnan(own) & np.isnan(other)
    return np.where(silent, np.nan, np.nan_to_num(own) - np.nan_to_num(other))


def quotient(part: Floats, whole: Floats) -> Floats:
    """Divide; NaN where there is nothing to divide by."""
    return np.asarray(np.divide(part, whole, out=np.full(np.broadcast(part, whole).shape, np.nan), where=whole > 0))


def by_stratum(part: Floats, whole: Floats, strata: Strata) -> tuple[Floats, Floats]:
    """Return the ratio of each stratum, (…, strata), and z of each cluster within its own, (…, clusters).

    Args:
        part: Sums of what is counted, (…, clusters).
        whole: Sums of what it is counted among, (…, clusters).
    """
    wholes = whole @ strata.member
    ratios = quotient(part @ strata.member, wholes)
    residual = part - ratios[..., strata.of] * whole
    return ratios, np.nan_to_num(quotient(residual, wholes[..., strata.of]))


def mean_of_ratios(part: Floats, whole: Floats, strata: Strata, counted: NDArray[np.bool_]) -> Linear:
    """Return the unweighted mean over strata of each stratum's ratio.

    Args:
        counted: Which strata make the mean, (…, strata): chosen once, the same for both models.
    """
    ratios, z = by_stratum(part, whole, strata)
    n = counted.sum(axis=-1, keepdims=True)
    weight = quotient(counted.astype(float), n * np.ones(counted.shape))
    value = np.where(n[..., 0] > 0, (np.where(counted, ratios, 0) * np.nan_to_num(weight)).sum(axis=-1), np.nan)
    weight = np.nan_to_num(weight)
    return Linear(value, z * weight[..., strata.of], quotient(part, whole), weight)


def ratio_of_one(part: Floats, whole: Floats, strata: Strata, stratum: int) -> Linear:
    """Return the ratio of one stratum."""
    ratios, z = by_stratum(part, whole, strata)
    inside = strata.of == stratum
    weight = np.broadcast_to(np.eye(ratios.shape[-1])[stratum], ratios.shape)
    own = np.where(inside, quotient(part, whole), np.nan)
    return Linear(ratios[..., stratum], np.where(inside, z, 0), own, np.asarray(weight))


def ratio_of_sums(part: Floats, whole: Floats, strata: Strata, share: Floats) -> Linear:
    """Return the ratio of weighted sums over all strata.

    Args:
        share: How much an item of each stratum weighs, (strata,).
    """
    each = share[strata.of]
    total = (whole * each).sum(axis=-1)
    value = quotient((part * each).sum(axis=-1), total)
    z = np.nan_to_num(quotient(each * (part - value[..., None] * whole), total[..., None] * np.ones_like(whole)))
    weight = np.nan_to_num(quotient((whole @ strata.member) * share, total[..., None] * np.ones(share.shape)))
    return Linear(value, z, quotient(part, whole), weight)


class Spread(NamedTuple):
    """What is known of a value's spread; NaN where that is too little for an interval.

    Attributes:
        error: Standard error, (…).
        df: Degrees of freedom, (…).
        clusters: Clusters that answer, (…).
    """

    error: Floats
    df: Floats
    clusters: NDArray[np.int64]


def spread(found: Linear, strata: Strata) -> Spread:
    """Return the standard error of a linearised value, with Satterthwaite's degrees of freedom.

    Of k clusters of a stratum the variance of the sum is k / (k − 1) · Σ(z − mean z)². The degrees of freedom are those
    of Welch (1947), (Σv)² / Σ(v² / (k + 1)) − 2, at least 1: the plain (Σv)² / Σ(v² / (k − 1)) is far too small where
    strata hold two or three clusters. A stratum of a single cluster is given the mean variance of a cluster in the
    others. There is no error where fewer than `FEWEST_CLUSTERS` clusters answer, or fewer than `FEWEST_VARYING` of
    them differ from the one in the middle.
    """
    answers = np.isfinite(found.own) & (found.weight[..., strata.of] > 0)
    k = answers @ strata.member
    mean = np.nan_to_num(quotient(found.z @ strata.member, k))
    centred = np.where(answers, found.z - mean[..., strata.of], 0) ** 2 @ strata.member
    several = k > 1
    variance = np.where(several, centred * np.nan_to_num(quotient(k, k - 1)), 0)
    known = variance.sum(axis=-1)
    df = quotient(known**2, (variance**2 / (k + 1)).sum(axis=-1)) - 2
    df = np.clip(df, 1, np.maximum(np.where(several, k - 1, 0).sum(axis=-1), 1))
    total = known + _imputed(variance, k, found.weight)
    enough = (k.sum(axis=-1) >= FEWEST_CLUSTERS) & (_varying(np.where(answers, found.own, np.nan)) >= FEWEST_VARYING)
    defined = enough & np.isfinite(found.value) & (total > 0)
    clusters = k.sum(axis=-1).astype(np.int64)
    return Spread(np.where(defined, np.sqrt(total), np.nan), np.where(defined, df, np.nan), clusters)


def _imputed(variance: Floats, k: Floats, weight: Floats) -> Floats:
    """Return the variance that strata of one cluster add: that of a cluster in the others, on the mean."""
    several = k > 1
    of_one = np.nan_to_num(quotient(np.where(several, variance * k, 0), weight**2))
    typical = np.nan_to_num(quotient(of_one.sum(axis=-1), several.sum(axis=-1).astype(float)))
    return np.asarray((typical[..., None] * weight**2 * (k == 1)).sum(axis=-1))


def _varying(own: Floats) -> NDArray[np.int64]:
    """Count the clusters whose value is not that of the one in the middle."""
    ordered = np.sort(own, axis=-1)  # NaN come last
    middle = np.maximum(np.isfinite(own).sum(axis=-1, keepdims=True) - 1, 0) // 2
    differs = np.abs(own - np.take_along_axis(ordered, middle, axis=-1)) > 1e-9
    return np.asarray(differs.sum(axis=-1), dtype=np.int64)
