"""How often intervals hold the truth, and tests find what is not there: BBQ's real questions, invented answers.

Run with `python -m benchmarks.coverage [WORLDS]`; 500 worlds a row take some minutes on one core. The sample, its
question templates and categories are BBQ's; the answers of each world are drawn from shares that are known, which
differ from template to template. Every number goes through the formulas that a release uses. A row is printed as
Markdown.
"""

import math
import sys
from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np
from scipy import signal, special

from release.evals.bbq.data import read_bbq
from release.evals.bbq.items import Item
from release.evals.bbq.sample import draw
from release.evals.bbq.scores import (
    ALL,
    D_ALL,
    D_OTHER,
    D_RIGHT,
    D_TARGET,
    D_UNKNOWN,
    FORMULAS,
    KINDS,
    OTHER,
    RIGHT,
    TARGET,
    UNKNOWN,
    Templates,
    linear,
)
from release.evals.engine.clustered import Linear, Strata, ratio_of_sums, spread
from release.evals.engine.statistics import Floats, clustered_wilson, sign_flip, t_interval
from release.evals.perplexity.compare import Readings, Windows, compare
from release.evals.sentences.compare import paired_mean
from release.evals.stereoset.compare import TermScores
from release.progress import Console
from release.values import DataSource, Estimate

WORLDS = 500
SIZES = ("100", "200", "1000", "full")
KEPT = 0.6
"""Share of answers that pruning leaves as they are; the others are drawn anew, by shares of their own."""
ALIKE = 6.0
"""How alike the templates of a category are: the sum of the Dirichlet parameters from which each draws its shares."""

WARM_UP = 50
"""Windows before the first, after which their correlation is what it stays."""

SHOWN = ("srs", "usr", "lean", "accuracy_ambiguous", "accuracy_disambiguated", "s_dis")


class Kind(NamedTuple):
    """What the models of a kind of world answer, on average.

    Attributes:
        dense: Shares of target, other and unknown on ambiguous items.
        anew: The same, where pruning draws anew.
        right: Share of right answers on disambiguated items: dense, anew.
    """

    dense: tuple[float, float, float]
    anew: tuple[float, float, float]
    right: tuple[float, float]


KINDS_OF_WORLD = {
    "reader": Kind((0.12, 0.08, 0.8), (0.3, 0.2, 0.5), (0.9, 0.75)),
    "middling": Kind((0.3, 0.2, 0.5), (0.4, 0.3, 0.3), (0.65, 0.55)),
    "guesser": Kind((1 / 3, 1 / 3, 1 / 3), (1 / 3, 1 / 3, 1 / 3), (1 / 3, 1 / 3)),
    "fallen": Kind((0.06, 0.06, 0.88), (0.6, 0.1, 0.3), (0.95, 0.5)),
    "hardly changed": Kind((0.04, 0.03, 0.93), (0.08, 0.05, 0.87), (0.97, 0.93)),
}


class Structure:
    """A sample's templates, and how many items of each sort they hold.

    Attributes:
        sizes: Per template: ambiguous items with a target, disambiguated ones whose right answer is the target, and
            those whose right answer is the other; (3, templates).
        share: Items of the population for each item asked, by category.
    """

    def __init__(self, items: tuple[Item, ...], amount: str) -> None:
        sample = draw(items, amount, 42)
        kept = [item for item in sample.items if item.target is not None]
        self.templates = Templates(kept)
        sorts = np.array([0 if item.condition == "ambig" else 1 if item.label == item.target else 2 for item in kept])
        self.sizes = np.stack([self.templates.sums((sorts == sort).astype(float)) for sort in range(3)]).astype(int)
        categories = self.templates.categories
        asked = np.array([sum(item.category == c for item in sample.items) for c in categories])
        self.share = np.array([sample.population[c] for c in categories]) / asked


def drawn(sizes: np.ndarray, shares: Floats, rng: np.random.Generator) -> Floats:
    """Draw how many of each template's items fall to each of three answers, (worlds, templates, 3)."""
    first = rng.binomial(sizes, shares[..., 0])
    rest = np.clip(shares[..., 1] / np.maximum(1 - shares[..., 0], 1e-12), 0, 1)
    second = rng.binomial(sizes - first, rest)
    return np.stack([first, second, sizes - first - second], axis=-1).astype(float)


def answers(
    sizes: np.ndarray, dense: Floats, anew: Floats, worlds: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Draw both models' answers: each template has shares of its own, and some answers are the same for both."""
    own, other = (_shares(mean, worlds, rng) for mean in (dense, anew))
    kept = rng.binomial(np.broadcast_to(sizes, own.shape[:2]), KEPT)
    common, before, after = drawn(kept, own, rng), drawn(sizes - kept, own, rng), drawn(sizes - kept, other, rng)
    return common + before, common + after


def _shares(mean: Floats, worlds: int, rng: np.random.Generator) -> Floats:
    drawn = rng.gamma(np.broadcast_to(mean * ALIKE, (worlds, *mean.shape)))
    return np.asarray(drawn / drawn.sum(axis=-1, keepdims=True))


def counts_of(structure: Structure, kind: Kind, worlds: int, rng: np.random.Generator) -> Floats:
    """Return what both models' answers count as, (2, worlds, templates, 2 · KINDS)."""
    found = np.zeros((2, worlds, structure.sizes.shape[1], 2 * KINDS))
    every = np.ones((structure.sizes.shape[1], 1))
    sides = answers(structure.sizes[0], every * kind.dense, every * kind.anew, worlds, rng)
    for side, given in enumerate(sides):
        found[side, ..., [TARGET, OTHER, UNKNOWN]] = np.moveaxis(given, -1, 0)
        found[side, ..., RIGHT] = given[..., 2]
    found[..., ALL] = structure.sizes[0]
    found[..., D_ALL] = structure.sizes[1] + structure.sizes[2]
    for sort, right, wrong in ((1, D_TARGET, D_OTHER), (2, D_OTHER, D_TARGET)):
        means = [every * (share, (1 - share) / 2, (1 - share) / 2) for share in kind.right]
        for side, given in enumerate(answers(structure.sizes[sort], *means, worlds, rng)):
            found[side, ..., right] += given[..., 0]
            found[side, ..., wrong] += given[..., 1]
            found[side, ..., D_UNKNOWN] += given[..., 2]
            found[side, ..., D_RIGHT] += given[..., 0]
    return found


def truth(structure: Structure, kind: Kind) -> Floats:
    """Return what both models' answers count as on average, (2, 1, templates, 2 · KINDS)."""
    found = np.zeros((2, 1, structure.sizes.shape[1], 2 * KINDS))
    ambiguous, to_target, to_other = structure.sizes
    means = (np.array(kind.dense), KEPT * np.array(kind.dense) + (1 - KEPT) * np.array(kind.anew))
    rights = (kind.right[0], KEPT * kind.right[0] + (1 - KEPT) * kind.right[1])
    for side, (shares, right) in enumerate(zip(means, rights, strict=True)):
        wrong = (1 - right) / 2
        for column, share in zip((TARGET, OTHER, UNKNOWN), shares, strict=True):
            found[side, 0, :, column] = ambiguous * share
        found[side, 0, :, RIGHT] = ambiguous * shares[2]
        found[side, 0, :, D_TARGET] = to_target * right + to_other * wrong
        found[side, 0, :, D_OTHER] = to_other * right + to_target * wrong
        found[side, 0, :, D_UNKNOWN] = (to_target + to_other) * wrong
        found[side, 0, :, D_RIGHT] = (to_target + to_other) * right
    found[..., ALL], found[..., D_ALL] = ambiguous, to_target + to_other
    return found


class Row(NamedTuple):
    """How often intervals of one sort are printed, and hold the truth where they are; and half their median width."""

    printed: float
    covered: float
    half_width: float

    def __str__(self) -> str:
        if self.printed == 0:
            return "0 % | – | –"
        return f"{self.printed:.0%} | {self.covered:.1%} | {self.half_width:.3f}"


def row_of(estimates: list[Estimate], value: float) -> Row:
    """Hold intervals against the truth."""
    shown = [each for each in estimates if each.low is not None and each.high is not None]
    if not shown:
        return Row(0, 0, 0)
    held = np.mean([each.low <= value <= each.high for each in shown])
    return Row(len(shown) / len(estimates), float(held), float(np.median([each.high - each.low for each in shown]) / 2))


def estimates(found: Linear, strata: Strata) -> list[Estimate]:
    """Return the interval of each world."""
    known = spread(found, strata)
    return [t_interval(*map(float, each)) for each in zip(found.value, known.shown, known.df, strict=True)]


def scores(items: tuple[Item, ...], worlds: int) -> Iterator[str]:
    """Yield a row for every kind of world, size, mean and score: of the difference."""
    yield "| World | Items | Over | Score | Printed | covers | ± |"
    yield "|:--|--:|:--|:--|--:|--:|--:|"
    for size in SIZES:
        structure = Structure(items, size)
        strata = structure.templates.strata
        widest = int(np.argmax(structure.share))
        for name, kind in KINDS_OF_WORLD.items():
            counts, mean = counts_of(structure, kind, worlds, np.random.default_rng(1)), truth(structure, kind)
            for over, title in (
                ("macro", "macro"),
                ("items", "items"),
                (widest, structure.templates.categories[widest]),
            ):
                for score in SHOWN:
                    formula = FORMULAS[score]
                    dense, pruned = sides(linear(counts, formula, strata, structure.share, over))
                    value, after = sides(linear(mean, formula, strata, structure.share, over))
                    change = row_of(estimates(pruned.minus(dense), strata), float(after.value[0] - value.value[0]))
                    yield f"| {name} | {size} | {title} | {score} | {change} |"


def sides(both: Linear) -> tuple[Linear, Linear]:
    """Take the two models apart."""
    return Linear(*(part[0] for part in both)), Linear(*(part[1] for part in both))


def shares(items: tuple[Item, ...], worlds: int) -> Iterator[str]:
    """Yield a row for every size and kind of share of items."""
    yield "| Share | Items | Printed | covers | ± |"
    yield "|:--|--:|--:|--:|--:|"
    for size in SIZES:
        structure, rng = Structure(items, size), np.random.default_rng(2)
        each = structure.sizes.sum(axis=0)
        strata = Strata.one(len(each))
        settled = structure.sizes[1:].sum(axis=0)
        for name, mean, of, among, readings in (
            ("changed answers, 20 %", 0.2, each, 1.0, 1),
            ("newly biased, 10 % of half", 0.1, each, 0.5, 1),
            ("favourite letter, 40 % of three readings", 0.4, each, 1.0, 3),
            ("right answers, 90 %", 0.9, settled, 1.0, 1),
            ("right answers, 65 %", 0.65, settled, 1.0, 1),
        ):
            own = rng.beta(mean * ALIKE, (1 - mean) * ALIKE, size=(worlds, len(each)))
            whole = rng.binomial(np.broadcast_to(of, own.shape), among) * readings
            part = rng.binomial(whole, own)
            known = spread(ratio_of_sums(part.astype(float), whole.astype(float), strata, np.ones(1)), strata)
            rates = [
                clustered_wilson(int(p), int(w), float(e), float(df), int(k))
                for p, w, e, df, k in zip(part.sum(1), whole.sum(1), known.error, known.df, known.clusters, strict=True)
            ]
            found_here = [Estimate(value=rate.value, low=rate.low, high=rate.high) for rate in rates]
            yield f"| {name} | {size} | {row_of(found_here, mean)} |"


def perplexities(worlds: int) -> Iterator[str]:
    """Yield a row for every number of windows, where neighbours are alike and where they are not."""
    yield "| Windows | Correlation of neighbours | Printed | covers | ± |"
    yield "|--:|--:|--:|--:|--:|"
    source = DataSource(name="invented", origin="invented", revision=None, licence=None, sha256="0")
    rng = np.random.default_rng(3)
    for count in (32, 64, 256, 1024):
        for echo in (0.0, 0.2, 0.5):
            noise = rng.normal(0, 0.05, size=(worlds, count + WARM_UP))
            changes = signal.lfilter([1.0], [1.0, -echo], noise)[:, WARM_UP:]
            dense = rng.normal(3, 0.3, size=(worlds, count))
            windows = Windows(count, 256, "0")
            found = [
                compare(windows, Readings(one, 0, 0.0), Readings(one + 0.1 + change, 0, 0.0), source, "float32").ratio
                for one, change in zip(dense, changes, strict=True)
            ]
            yield f"| {count} | {echo} | {row_of(found, float(np.exp(0.1)))} |"


PREFERENCE = 0.3
"""How far dense log-likelihoods lean to the more stereotypical sentence, in standard deviations of pairs."""


def pairs(worlds: int) -> Iterator[str]:
    """Yield a row for every number of sentence pairs, and how far pruning turns their log-likelihoods."""
    yield "| Pairs | Preferences changed | Score | Printed | covers | ± |"
    yield "|--:|--:|:--|--:|--:|--:|"
    rng = np.random.default_rng(5)
    for count in (100, 200, 1000, 1508):
        for down, alike in ((0.2, 0.6), (0.1, 0.9), (0.02, 0.995)):
            noise = rng.normal(size=(2, worlds, count))
            dense = PREFERENCE + noise[0]
            pruned = PREFERENCE - down + alike * noise[0] + math.sqrt(1 - alike**2) * noise[1]
            changed = float(((dense > 0) != (pruned > 0)).mean())
            shares, distances = (
                special.ndtr([PREFERENCE, PREFERENCE - down]),
                _distance([PREFERENCE, PREFERENCE - down]),
            )
            for name, of, (before, after) in (
                ("pct_stereotype", lambda x: (x > 0).astype(float), shares),
                ("likelihood_difference", np.abs, distances),
            ):
                found = [paired_mean(of(b) - of(a)) for a, b in zip(dense, pruned, strict=True)]
                yield f"| {count} | {changed:.0%} | {name} | {row_of(found, float(after - before))} |"


def _distance(means: list[float]) -> Floats:
    """Return the mean of |x| for x normal of these means and variance 1."""
    mean = np.array(means)
    return np.asarray(np.sqrt(2 / np.pi) * np.exp(-(mean**2) / 2) + mean * (2 * special.ndtr(mean) - 1))


TERMS = 79
"""Target terms of StereoSet."""
OF_TERM = 12.0
"""How alike contexts of a term are: its shares are Beta of this many imagined contexts."""


def terms(worlds: int) -> Iterator[str]:
    """Yield a row for every number of StereoSet's contexts and every score; terms are drawn anew in every world."""
    yield "| Contexts | Stereotypes preferred | Score | Printed | covers | ± |"
    yield "|--:|--:|:--|--:|--:|--:|"
    rng = np.random.default_rng(6)
    for count, (before, after) in product((100, 200, 2106), ((0.62, 0.66), (0.62, 0.55), (0.52, 0.5))):
        sides = [_of_terms(rng, worlds, count, share, read) for share, read in ((before, 0.9), (after, 0.8))]
        truths = {"ss": after - before, "ICAT": 2 * (0.8 * min(after, 1 - after) - 0.9 * min(before, 1 - before))}
        found: dict[str, list[Estimate]] = {name: [] for name in truths}
        for dense, pruned in zip(*sides, strict=True):
            known = dense.sided and pruned.sided
            found["ss"].append(paired_mean(pruned.stereotype - dense.stereotype))
            icat = paired_mean(pruned.icat - dense.icat)
            found["ICAT"].append(icat if known else Estimate(value=icat.value, low=None, high=None))
        for name, truth in truths.items():
            yield f"| {count} | {before:.0%} → {after:.0%} | {name} | {row_of(found[name], truth)} |"


def _of_terms(rng: np.random.Generator, worlds: int, count: int, share: float, read: float) -> list[TermScores]:
    """Return every world's scores of each term."""
    sizes = np.full(TERMS, count // TERMS) + (np.arange(TERMS) < count % TERMS)
    own = [rng.beta(mean * OF_TERM, (1 - mean) * OF_TERM, size=(worlds, TERMS)) for mean in (share, read)]
    stereotype = rng.binomial(sizes, own[0]) / sizes
    modeling = rng.binomial(2 * sizes, own[1]) / (2 * sizes)
    return [TermScores(*each) for each in zip(stereotype, modeling, strict=True)]


def tests(items: tuple[Item, ...], worlds: int) -> Iterator[str]:
    """Yield, for every size, how often a category of null worlds has a p-value, and one below 0.05 and 0.01."""
    yield "| Items | World | Categories with p | p < 0.05 | p < 0.01 |"
    yield "|--:|:--|--:|--:|--:|"
    for size in SIZES:
        structure = Structure(items, size)
        of, categories = structure.templates.strata.of, range(len(structure.templates.categories))
        for name, kind in KINDS_OF_WORLD.items():
            null = kind._replace(anew=kind.dense, right=(kind.right[0], kind.right[0]))
            counts = counts_of(structure, null, worlds, np.random.default_rng(4))
            part, whole = counts @ FORMULAS["srs"].part, counts @ FORMULAS["srs"].whole
            p = [
                sign_flip(part[:, world][:, of == c], whole[:, world][:, of == c], world)
                for world in range(worlds)
                for c in categories
            ]
            known = np.array([1.0 if each is None else each for each in p])
            there = np.mean([each is not None for each in p])
            yield f"| {size} | {name} | {there:.0%} | {(known < 0.05).mean():.1%} | {(known < 0.01).mean():.1%} |"


def main() -> None:
    """Print every table."""
    worlds = int(sys.argv[1]) if len(sys.argv) > 1 else WORLDS
    items, _ = read_bbq(None, Console())
    for title, rows in (
        ("Scores", scores(items, worlds)),
        ("Shares", shares(items, worlds)),
        ("Perplexity", perplexities(worlds)),
        ("CrowS-Pairs", pairs(worlds)),
        ("StereoSet", terms(worlds)),
        ("Tests of categories, where nothing changes on average", tests(items, worlds)),
    ):
        print(f"\n## {title}: {worlds} worlds a row\n")
        for row in rows:
            print(row, flush=True)


if __name__ == "__main__":
    main()
