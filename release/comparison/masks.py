"""What a recipe does, over masks: several releases that differ in their seed alone.

One release is one mask, so its interval says how surely that mask changed a metric, and nothing of the next mask. Of
several masks, measured on the same samples, the mean change m̄ has the variance

    s²_sampling + s²_masks / K,

with s²_sampling the mean of the squared standard errors, which does not shrink with K since all masks are asked the
same, and s²_masks the variance between the K masks. What is printed is m̄ with Student's interval, its degrees of
freedom by Satterthwaite (1946) from both parts. s²_masks holds what sampling adds to the difference of two masks as
well, so the interval is wide rather than narrow.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from release.comparison.rows import ComparedRelease, column
from release.evals.engine.statistics import LOG, PLAIN, Scale, exponential, standard_error, t_interval
from release.evals.line import Line
from release.schema.record import Record
from release.values import Estimate

RATIOS = ("perplexity", "seconds")
"""Forms of metrics whose change is a ratio, which is made on the logarithm."""


class OverMasks(NamedTuple):
    """One metric's change over the masks of a recipe.

    Attributes:
        recipe: The names that the releases share, without the seed.
        line: The first mask's, which names the metric.
        seeds: Of the masks.
        mean: Mean change, difference or ratio as the metric's own, with the interval for the recipe.
        between: Standard deviation between masks; of a ratio, of its logarithm.
        sampling: Standard error of one mask's change, likewise; the root of the mean square.
        releases: Names of the releases that these masks are.
    """

    recipe: str
    line: Line
    seeds: tuple[int, ...]
    mean: Estimate
    between: float
    sampling: float
    releases: tuple[str, ...] = ()


def over_masks(releases: Sequence[ComparedRelease]) -> list[OverMasks]:
    """Return every headline metric of every recipe of which there are two masks or more with intervals."""
    found = []
    for name, records in _groups(releases).items():
        seeds = tuple(record.pruning.seed for record in records)
        by_column = [
            {column(line): line for line in ComparedRelease.built_here(record).headlines} for record in records
        ]
        for key in by_column[0]:
            lines = [lines[key] for lines in by_column if key in lines]
            if len(lines) == len(records) and (one := _over(name, seeds, lines)):
                found.append(one._replace(releases=tuple(record.name for record in records)))
    return found


def _groups(releases: Sequence[ComparedRelease]) -> Mapping[str, list[Record]]:
    """Put together releases whose recipe, base and measuring differ in the mask's seed alone."""
    groups: dict[tuple[str, str, str], list[Record]] = defaultdict(list)
    for record in (release.record for release in releases if release.record):
        recipe = record.plan.recipe.model_dump_json(exclude={"seed"})
        asked = record.plan.measuring
        measuring = f"{asked.model_dump_json(exclude={'seed', 'sample_seed'})} {asked.sampling_seed}"
        groups[record.base.id, recipe, measuring].append(record)
    several = [records for records in groups.values() if len({record.pruning.seed for record in records}) > 1]
    return {_name(records): records for records in several}


def _name(records: Sequence[Record]) -> str:
    """The shortest of their names: that of the default seed has no seed in it."""
    return min((record.name for record in records), key=lambda name: (len(name), name))


def _over(recipe: str, seeds: tuple[int, ...], lines: Sequence[Line]) -> OverMasks | None:
    scale = LOG if lines[0].metric.form in RATIOS else PLAIN
    errors = [standard_error(line.change, scale) for line in lines]
    known = [error for error in errors if error is not None]
    if len(known) < len(lines):
        return None
    values = np.array([scale.to(line.change.value or 0.0) for line in lines])
    between, sampling = float(values.var(ddof=1)), float(np.mean(np.square(known)))
    masks = between / len(values)
    df = _degrees(sampling, min(line.change.df or math.inf for line in lines), masks, len(values) - 1)
    mean = t_interval(float(values.mean()), math.sqrt(sampling + masks), df)
    return OverMasks(recipe, lines[0], seeds, _told(mean, scale), math.sqrt(between), math.sqrt(sampling))


def _degrees(sampling: float, df: float, masks: float, others: int) -> float:
    spent = sampling**2 / df + masks**2 / others
    return (sampling + masks) ** 2 / spent if spent > 0 else float(others)


def _told(mean: Estimate, scale: Scale) -> Estimate:
    return exponential(mean) if scale is LOG else mean
