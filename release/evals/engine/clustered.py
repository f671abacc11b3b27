"""Ratios over clustered answers: their value, and what each cluster adds to their spread.

The clusters are question templates; they are drawn within strata, the categories. A value is a weighted mean of the
strata's ratios, and is linearised (Taylor series, Woodruff 1971; Binder 1983): z_i is by how much it would move if
cluster i counted a little more. The difference of two values has the difference of their z, so paired answers stay
paired. How large clusters are, and how much each stratum weighs, is taken as given. Every function takes leading axes,
so that many worlds can be simulated at once.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from release.evals.engine.statistics import (
    FEWEST_CLUSTERS,
    FEWEST_DF,
    FEWEST_DF_UNEVEN,
    FEWEST_VARYING,
    Floats,
    clustered_wilson,
    t_interval,
)
from release.values import Estimate, Rate


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

    @classmethod
    def one(cls, clusters: int) -> "Strata":
        """Put all clusters into one stratum."""
        return cls(np.zeros(clusters, dtype=np.int64), np.ones((clusters, 1)))


class Linear(NamedTuple):
    """A value and its linearisation.

    Attributes:
        value: (…); NaN where it is not defined.
        z: What each cluster adds, (…, clusters); 0 where it says nothing. It sums to 0 over each stratum.
        own: The cluster's own value, by which one sees whether clusters differ, (…, clusters); NaN where it has none.
        mass: What each cluster is counted among, (…, clusters).
        size: How large each was meant to be, whatever was answered, (…, clusters).
        weight: Share of each stratum in the value, (…, strata); 0 where it is left out.
    """

    value: Floats
    z: Floats
    own: Floats
    mass: Floats
    size: Floats
    weight: Floats

    def minus(self, other: "Linear") -> "Linear":
        """Return self − other, of answers of the same clusters."""
        return self._apart_from(other, self.value - other.value, self.z - other.z)

    def log_over(self, other: "Linear") -> "Linear":
        """Return the logarithm of self / other; NaN where either is not above 0."""
        defined = (self.value > 0) & (other.value > 0)
        mine, theirs = (np.where(defined, each.value, np.nan) for each in (self, other))
        z = self.z / mine[..., None] - other.z / theirs[..., None]
        return self._apart_from(other, np.log(mine / theirs), _or_zero(z))

    def _apart_from(self, other: "Linear", value: Floats, z: Floats) -> "Linear":
        mass, size, weight = (
            (mine + theirs) / 2
            for mine, theirs in ((self.mass, other.mass), (self.size, other.size), (self.weight, other.weight))
        )
        return Linear(value, z, _apart(self.own, other.own), mass, size, weight)


def _apart(own: Floats, other: Floats) -> Floats:
    """Return by how much clusters differ; one that answers for one model alone differs by what it answers there."""
    silent = np.isnan(own) & np.isnan(other)
    return np.where(silent, np.nan, _or_zero(own) - _or_zero(other))


def _or_zero(values: Floats) -> Floats:
    """Put 0 where nothing is known; numpy's own function looks for infinities too, which takes ten times as long."""
    return np.where(np.isnan(values), 0.0, values)


def quotient(part: Floats, whole: Floats) -> Floats:
    """Divide; NaN where there is nothing to divide by."""
    return np.asarray(np.divide(part, whole, out=np.full(np.broadcast(part, whole).shape, np.nan), where=whole > 0))


def mean_of_ratios(part: Floats, whole: Floats, strata: Strata, counted: NDArray[np.bool_]) -> Linear:
    """Return the unweighted mean over strata of each stratum's ratio.

    Args:
        part: Sums of what is counted, (…, clusters).
        whole: Sums of what it is counted among, (…, clusters).
        counted: Which strata make the mean, (…, strata): chosen once, the same for both models.
    """
    return _weighted(part, whole, strata, quotient(counted.astype(float), counted.sum(axis=-1, keepdims=True)))


def ratio_of_one(part: Floats, whole: Floats, strata: Strata, stratum: int) -> Linear:
    """Return the ratio of one stratum."""
    weight = np.broadcast_to(np.eye(strata.member.shape[1])[stratum], (*part.shape[:-1], strata.member.shape[1]))
    return _weighted(part, whole, strata, weight)


def ratio_of_sums(part: Floats, whole: Floats, strata: Strata, share: Floats) -> Linear:
    """Return the ratio of weighted sums over all strata.

    Args:
        part: Sums of what is counted, (…, clusters).
        whole: Sums of what it is counted among, (…, clusters).
        share: How much an item of each stratum weighs, (strata,).
    """
    weighed = (whole @ strata.member) * share
    return _weighted(part, whole, strata, quotient(weighed, weighed.sum(axis=-1, keepdims=True)))


def _weighted(part: Floats, whole: Floats, strata: Strata, weight: Floats) -> Linear:
    """Return the weighted mean of the strata's ratios; NaN where nothing has a weight, or one that has no ratio has.

    Args:
        weight: (…, strata), of sum 1; NaN where there is none.
    """
    wholes = whole @ strata.member
    ratios = quotient(part @ strata.member, wholes)
    value = np.where(weight > 0, ratios * weight, weight * 0).sum(axis=-1)
    weight = _or_zero(weight)
    inside = weight[..., strata.of] > 0
    residual = part - _or_zero(ratios)[..., strata.of] * whole
    z = np.where(inside, weight[..., strata.of] * _or_zero(quotient(residual, wholes[..., strata.of])), 0)
    return Linear(value, z, np.where(inside, quotient(part, whole), np.nan), whole, whole, weight)


class ClusterSpread(NamedTuple):
    """What is known of a value's spread.

    Attributes:
        error: Standard error, (…); NaN where there is none.
        df: Degrees of freedom, (…); NaN where there are none.
        clusters: Clusters that answer, (…).
        varying: Clusters whose value is not that of the one in the middle, (…).
        uneven: Whether some strata weigh more than others, (…).
    """

    error: Floats
    df: Floats
    clusters: NDArray[np.int64]
    varying: NDArray[np.int64]
    uneven: NDArray[np.bool_]

    @property
    def shown(self) -> Floats:
        """The standard error where an interval may be made of it, else NaN.

        It may where `FEWEST_CLUSTERS` clusters answer, `FEWEST_VARYING` of them differ from the one in the middle, and
        the design leaves `FEWEST_DF` degrees of freedom, or `FEWEST_DF_UNEVEN` where strata weigh unequally.
        """
        fewest_df = np.where(self.uneven, FEWEST_DF_UNEVEN, FEWEST_DF)
        enough = (self.clusters >= FEWEST_CLUSTERS) & (self.varying >= FEWEST_VARYING) & (self.df >= fewest_df)
        return np.where(enough, self.error, np.nan)


def spread(found: Linear, strata: Strata) -> ClusterSpread:
    """Return the standard error of a linearised value, and the degrees of freedom that its design leaves.

    Let clusters have values of their own of one variance σ². A cluster of share h in its stratum is left with the
    variance (1 − 2h + Σh²) σ² around the stratum's mean; its z² is divided by that, so that the sum has no bias (CR2,
    Bell and McCaffrey 2002). A stratum of a single cluster is given the variance of a cluster in the others.
    """
    answers = np.isfinite(found.own) & (found.weight[..., strata.of] > 0)
    share, several, alone = _shares(np.where(answers, found.mass, 0), strata)
    left = 1 - 2 * share + (share**2 @ strata.member)[..., strata.of]
    variance = _or_zero(quotient(np.where(several, found.z**2, 0), left)).sum(axis=-1)
    reach = found.weight[..., strata.of] * share  # by how much the value moves with the cluster's own
    measured, other = ((np.where(each, reach, 0) ** 2).sum(axis=-1) for each in (several, alone))
    variance = variance * (1 + quotient(other, measured))
    return ClusterSpread(
        np.where(np.isfinite(found.value) & (variance > 0), np.sqrt(variance), np.nan),
        degrees(found.size, found.weight, strata),
        answers.sum(axis=-1),
        _varying(np.where(answers, found.own, np.nan)),
        _uneven(found.weight),
    )


def _shares(mass: Floats, strata: Strata) -> tuple[Floats, NDArray[np.bool_], NDArray[np.bool_]]:
    """Return each cluster's share of its stratum, whether others are beside it there, and whether it is alone."""
    there = mass > 0
    several = (there @ strata.member > 1)[..., strata.of]
    share = _or_zero(quotient(mass, (mass @ strata.member)[..., strata.of]))
    return share, there & several, there & ~several


def degrees(size: Floats, weight: Floats, strata: Strata) -> Floats:
    """Return the degrees of freedom of a standard error (Satterthwaite 1946).

    Each stratum has one fewer than its effective number of clusters, (Σ size)² / Σ size² (Kish 1965). They depend on
    the design and not on the answers: those estimated from answers are noise where strata hold two or three clusters.
    They shrink by the share of the variance that is not measured, since a cluster is alone in its stratum.

    Args:
        size: Of each cluster, (…, clusters); 0 where it was not asked.
        weight: Share of each stratum in the value, (…, strata).

    Returns:
        (…); NaN where no stratum with a weight holds two clusters.
    """
    share, _, _ = _shares(size, strata)
    return design_df(share**2 @ strata.member, weight)


def design_df(squares: Floats, weight: Floats) -> Floats:
    """Return the degrees of freedom of `degrees`.

    Args:
        squares: 1 over the effective number of clusters of each stratum, (…, strata); 0 for one that has none.
        weight: Share of each stratum in the value, (…, strata).
    """
    known = (squares > 0) & (squares < 1) & (weight > 0)
    variance = weight**2 * squares
    measured = np.where(known, variance, 0).sum(axis=-1)
    spent = np.where(known, variance**2 * quotient(squares, 1 - squares), 0).sum(axis=-1)
    df = quotient(measured**2, spent) * quotient(measured, variance.sum(axis=-1))
    return np.asarray(df.round(9))  # as whole as it is, on every machine: an interval hangs on it


def _varying(own: Floats) -> NDArray[np.int64]:
    """Count the clusters whose value is not that of the one in the middle."""
    ordered = np.sort(own, axis=-1)  # NaN come last
    middle = np.maximum(np.isfinite(own).sum(axis=-1, keepdims=True) - 1, 0) // 2
    differs = np.abs(own - np.take_along_axis(ordered, middle, axis=-1)) > 1e-9
    return np.asarray(differs.sum(axis=-1), dtype=np.int64)


def _uneven(weight: Floats) -> NDArray[np.bool_]:
    """Whether of the strata that have a weight some weigh more than others."""
    lowest = np.where(weight > 0, weight, np.inf).min(axis=-1)
    return np.asarray(weight.max(axis=-1) > lowest * (1 + 1e-9))


def estimated(found: Linear, strata: Strata) -> Estimate:
    """Return a value with Student's interval, where one may be made."""
    known = spread(found, strata)
    return t_interval(float(found.value), float(known.shown), float(known.df))


def share_of_clusters(part: Floats, whole: Floats) -> Rate:
    """Return the share of what was counted, with Wilson's interval for the sample size that the clusters leave.

    It is a share of the items asked and not a mean over strata, so all clusters make one stratum.

    Args:
        part: How often each cluster counts, (clusters,).
        whole: How often it could, (clusters,).
    """
    strata = Strata.one(len(whole))
    known = spread(ratio_of_sums(part, whole, strata, np.ones(1)), strata)
    return clustered_wilson(
        round(part.sum()), round(whole.sum()), float(known.error), float(known.df), int(known.clusters)
    )
