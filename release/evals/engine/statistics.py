"""Intervals and tests, as formulas on numbers; nothing here knows what was measured."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from release.values import Estimate, Rate

LEVEL = 0.95
ALPHA = 1 - LEVEL

FEWEST_CLUSTERS = 12
"""Clusters that an interval or a test rests on at least: an exact test over k of them cannot go below 2 / 2^k."""
FEWEST_VARYING = 2
"""Clusters that differ from the others at least: from a single one no spread is told."""
FEWEST_DF = 10
"""Degrees of freedom that an interval over clusters rests on at least: with fewer, a few heavy clusters decide it, and
where their answers are skewed it covers too little."""
FEWEST_DF_UNEVEN = 20
"""The same, where strata weigh unequally: of 200 items of BBQ, five templates stood for 27 % of it (Race_x_gender), 13
degrees of freedom were left, and the interval of s_DIS held the truth in 97.6 % of simulated worlds instead of 95 %."""

FEWEST_IN_SERIES = 16
"""Values in a row that an interval of their mean rests on at least: fewer leave a single slow movement, or two."""
SLOW = 0.4
"""Cosines taken of a series of n, over n^(2/3) (Lazarus, Lewis, Stock and Watson 2018)."""

EXACT_CLUSTERS = 12
"""Up to so many clusters every pattern of signs is tried."""
PATTERNS = 9_999
"""Patterns of signs drawn where there are more."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scale:
    """On what scale an interval is made: differences and losses as they are, ratios by their logarithm."""

    kind: Literal["plain", "log"]

    def to(self, value: float) -> float:
        """Take a value to the scale; infinite at the end of the range."""
        if self.kind == "plain":
            return value
        return math.log(value) if value > 0 else -math.inf


PLAIN, LOG = Scale("plain"), Scale("log")


def quantile(df: float | None) -> float:
    """Return the 97.5 % point of Student's t, or of the normal distribution where df is None."""
    from scipy import special  # takes its time, and a card is rendered without it

    return float(special.ndtri((1 + LEVEL) / 2) if df is None else special.stdtrit(df, (1 + LEVEL) / 2))


def two_sided(t: float, df: float | None) -> float:
    """Return the chance of a value at least as far from 0 as t, on either side."""
    from scipy import special

    return float(2 * (special.ndtr(-abs(t)) if df is None else special.stdtr(df, -abs(t))))


def t_interval(value: float, error: float, df: float) -> Estimate:
    """Return a value with Student's interval.

    Args:
        value: NaN where it is not defined.
        error: Standard error of the value; NaN where too little is known for an interval.
        df: Degrees of freedom.
    """
    if not math.isfinite(value):
        return Estimate(value=None, low=None, high=None)
    if not math.isfinite(error):
        return Estimate(value=value, low=None, high=None)
    reach = quantile(df) * error
    return Estimate(value=value, low=value - reach, high=value + reach, df=df)


def mean_interval(values: Floats) -> Estimate:
    """Return the mean of independent draws with Student's interval; without one for a single draw.

    Args:
        values: (n,).
    """
    n = len(values)
    error = float(values.std(ddof=1)) / math.sqrt(n) if n > 1 else math.nan
    return t_interval(float(values.mean()), error, n - 1)


def drifting_mean(values: Floats) -> Estimate:
    """Return the mean of a series whose neighbours may be alike, with Student's interval.

    The variance of the mean is read off the slowest movements of the series: the mean of its squared products with the
    first B cosines, which is the spectrum near frequency 0 (Müller 2007). B = ⌊0.4 n^(2/3)⌋, which is also the number
    of degrees of freedom, keeps what a correlation of neighbours adds small (Lazarus, Lewis, Stock and Watson 2018).
    Where nothing varies, there is no interval.

    Args:
        values: (n,), in order.
    """
    n = len(values)
    cosines = int(SLOW * n ** (2 / 3))
    phases = np.pi * np.outer((np.arange(n) + 0.5) / n, np.arange(1, cosines + 1))
    moved = math.sqrt(2 / n) * (values - values.mean()) @ np.cos(phases)
    varies = n >= FEWEST_IN_SERIES and float(np.ptp(values)) > 0
    error = math.sqrt(float((moved**2).mean()) / n) if varies else math.nan
    return t_interval(float(values.mean()), error, cosines)


def positive_mean(values: Floats) -> Estimate:
    """Return the mean of a series of values of at least 0 as `drifting_mean` does, its interval on the logarithm.

    The standard error of the logarithm is that of the mean over the mean (delta method), so that no end lies below 0.
    """
    plain = drifting_mean(values)
    error = standard_error(plain)
    if error is None or not plain.value or plain.value <= 0:
        return Estimate(value=plain.value, low=None, high=None)
    return exponential(t_interval(math.log(plain.value), error / plain.value, plain.df or 0.0))


def drifting_quantile(values: Floats, share: float) -> Estimate:
    """Return a quantile over a series of groups whose neighbors may be alike, with Woodruff's interval (1952).

    How sure it is that a share of all values lies at or below the quantile is known from the groups, as `drifting_mean`
    of the groups' own shares; the ends are the quantiles at the ends of that. There is no interval where one of these
    lies outside 0 to 1: then the largest value that was seen bounds nothing.

    Args:
        values: (groups, values of each), in order.
        share: 0 to 1.
    """
    every = np.sort(values, axis=None)
    value = float(np.quantile(every, share))
    reach = drifting_mean((values <= value).mean(axis=1)).spread
    if reach is None or not 0 <= share - reach <= share + reach <= 1:
        return Estimate(value=value, low=None, high=None)
    low, high = (float(np.quantile(every, share + side * reach)) for side in (-1, 1))
    return Estimate(value=value, low=low, high=high)


def exponential(logarithm: Estimate) -> Estimate:
    """Return e to the power of a value and of the ends of its interval."""
    ends = (logarithm.value, logarithm.low, logarithm.high)
    value, low, high = (None if end is None else math.exp(min(end, 700.0)) for end in ends)
    return Estimate(value=value, low=low, high=high, df=logarithm.df)


def standard_error(estimate: Estimate, scale: Scale = PLAIN) -> float | None:
    """Return the standard error, on the scale, from which an interval was made; None where there is none.

    Where an end of the interval cannot be told from the end of the range, the other half of the interval tells it.
    """
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return None
    place = scale.to(estimate.value)
    halves = [half for end in (estimate.low, estimate.high) if math.isfinite(half := abs(scale.to(end) - place))]
    return sum(halves) / len(halves) / quantile(estimate.df) if halves else None


def p_against(estimate: Estimate, bound: float, scale: Scale = PLAIN) -> float | None:
    """Return the two-sided p-value of "it is the bound"; below 0.05 exactly where the interval leaves the bound out.

    None where there is no interval, or where it is a point: nothing varied, so nothing is inferred.
    """
    error = standard_error(estimate, scale)
    if not error or estimate.value is None:
        return None
    t = (scale.to(estimate.value) - scale.to(bound)) / error
    return None if math.isnan(t) else two_sided(t, estimate.df)


def wilson(count: int, n: int) -> Rate:
    """Return a share of independent draws with its Wilson score interval (Wilson 1927); undefined for n = 0."""
    if n == 0:
        return Rate(count=0, n=0, value=None, low=None, high=None)
    low, high = _wilson(count / n, n, quantile(None))
    return Rate(count=count, n=n, value=count / n, low=low, high=high)


def clustered_wilson(count: int, n: int, error: float, df: float, clusters: int) -> Rate:
    """Return a share with Wilson's interval for the sample size that clusters leave of n (Dean and Pagano 2015).

    That is n over the design effect, the variance over that of independent draws. The design effect is itself known
    from few clusters, so it grows by (t_df / t_(n−1))², with t the 97.5 % points (Korn and Graubard 1998). Where
    clusters do not vary, they count as single draws. Without an interval where fewer than `FEWEST_CLUSTERS` clusters
    answer or they leave fewer than `FEWEST_DF` degrees of freedom.

    Args:
        error: Standard error of the share, from the clusters; NaN where they do not vary.
        df: Degrees of freedom of it.
        clusters: Clusters that the n draws come from.
    """
    if n == 0 or clusters < FEWEST_CLUSTERS or not df >= FEWEST_DF:
        value = count / n if n else None
        return Rate(count=count, n=n, value=value, low=None, high=None, templates=clusters)
    share = count / n
    independent = share * (1 - share) / n
    varies = math.isfinite(error) and independent > 0
    effect = (error**2 / independent if varies else n / clusters) * (quantile(df) / quantile(n - 1)) ** 2
    low, high = _wilson(share, n / effect, quantile(None))
    return Rate(count=count, n=n, value=share, low=low, high=high, templates=clusters, design_effect=effect)


def _wilson(share: float, n: float, z: float) -> tuple[float, float]:
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def p_of_share(rate: Rate, bound: float) -> float | None:
    """Return the two-sided p-value of "the share is the bound": the score test that Wilson's interval inverts."""
    if rate.low is None or rate.value is None or rate.n < 1:
        return None
    error = math.sqrt(bound * (1 - bound) * (rate.design_effect or 1) / rate.n)
    return two_sided((rate.value - bound) / error, None)


def mcnemar(only_dense: int, only_pruned: int) -> float:
    """Return the p-value of McNemar's exact test: of the discordant pairs each side is a fair coin (two-sided)."""
    from scipy import special  # `stats` takes twice as long to import

    discordant = only_dense + only_pruned
    return min(1.0, 2 * float(special.bdtr(min(only_dense, only_pruned), discordant, 0.5))) if discordant else 1.0


def signs(clusters: int, seed: int) -> tuple[NDArray[np.int8], bool]:
    """Return patterns of signs for a test over clusters, (patterns, clusters), and whether they are all there are."""
    if clusters <= EXACT_CLUSTERS:
        return np.array(list(product((1, -1), repeat=clusters)), dtype=np.int8), True
    drawn = np.random.default_rng(seed).integers(0, 2, size=(PATTERNS, clusters), dtype=np.int8)
    return np.asarray(2 * drawn - 1, dtype=np.int8), False


def sign_flip(part: Floats, whole: Floats, seed: int) -> float | None:
    """Test by permutation whether a ratio changed: each cluster's two models change places or stay (Fisher 1935).

    Under "the models answer alike" every pattern of exchanges is as likely as the one seen. The p-value is the share of
    patterns whose |difference| is at least that seen, so never below 2 / 2^k; where patterns are drawn, the one seen
    counts among them (Phipson and Smyth 2010).

    Args:
        part: What is counted, (2, clusters): dense, pruned.
        whole: What it is counted among, (2, clusters).
        seed: Of the patterns drawn.

    Returns:
        None where fewer than `FEWEST_CLUSTERS` clusters answer, or no cluster changed.
    """
    answers = (whole > 0).any(axis=0)
    part, whole = part[:, answers], whole[:, answers]
    changed = np.abs(part[0] * whole[1] - part[1] * whole[0]) > 1e-9
    if answers.sum() < FEWEST_CLUSTERS or not changed.any() or not (whole.sum(axis=1) > 0).all():
        return None
    flips, exact = signs(part.shape[1], seed)
    sums, spans = (_exchanged(each, flips) for each in (part, whole))
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.abs(sums[1] / spans[1] - sums[0] / spans[0])
        seen = abs(part[1].sum() / whole[1].sum() - part[0].sum() / whole[0].sum())
    hits = int((found >= seen - 1e-9).sum())
    return hits / len(found) if exact else (1 + hits) / (1 + len(found))


def _exchanged(values: Floats, flips: NDArray[np.int8]) -> tuple[Floats, Floats]:
    """Return the sums of both models under each pattern of exchanges, (patterns,) each."""
    half, turned = values.sum() / 2, flips @ ((values[0] - values[1]) / 2)
    return half + turned, half - turned


def cohens_h(dense: float, pruned: float) -> float:
    """Return the effect size of a change between two shares, 2·asin√pruned − 2·asin√dense (Cohen 1988).

    Args:
        dense: Share in [0, 1].
        pruned: Share in [0, 1].

    Returns:
        −π to π; 0.2 is called small, 0.5 medium, 0.8 large.
    """
    return 2 * math.asin(math.sqrt(pruned)) - 2 * math.asin(math.sqrt(dense))


def benjamini_hochberg(p_values: Sequence[float | None]) -> list[float | None]:
    """Return p-values adjusted for being several (Benjamini and Hochberg 1995); None is passed over and stays None.

    Of the changes that are called so at an adjusted p below q, a share of q is expected to be none.
    """
    asked = np.array([p for p in p_values if p is not None], dtype=float)
    falling = asked.argsort()[::-1]
    stepped = asked[falling] * len(asked) / np.arange(len(asked), 0, -1)
    adjusted = np.empty_like(asked)
    adjusted[falling] = np.minimum.accumulate(stepped).clip(max=1)
    rest = iter(adjusted.tolist())
    return [None if p is None else next(rest) for p in p_values]


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for being several (Holm 1979).

    Where those below q are called changes, the chance that even one of them is none is at most q, however the tests
    hang together.
    """
    adjusted, highest = [1.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted
