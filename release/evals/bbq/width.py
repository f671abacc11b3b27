"""How wide the interval of the change in SRS will be, known from a sample's design before anything is asked.

The mean over C categories of the paired change in SRS has the variance of a mean of clustered means:

    Var = 1/C² · Σ_c σ² · ((1 − ρ)/n_c + ρ/T_c)        half width = t · √Var

n_c are the ambiguous items with a target that category c gives, and T_c = n_c² / Σ_t n_t² is its effective number of
question templates (Kish 1965). It assumes that a change of one item (target chosen before or after: −1, 0 or 1) has
the variance σ² everywhere, that two items of one template correlate by ρ, and that templates are independent.
t is the 97.5 % point of Student's distribution with the degrees of freedom that the design leaves (`clustered`).
What σ² and ρ will be depends on the models, so there are two answers: a typical one, and one that no pair of models
exceeds, save by the luck of the draw.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from release.evals.bbq.result import Forecast
from release.evals.bbq.sample import Sample
from release.evals.engine.clustered import design_df
from release.evals.engine.statistics import FEWEST_CLUSTERS, FEWEST_DF, quantile


class Plug(NamedTuple):
    """What the formula needs to know of the models.

    Attributes:
        variance: σ² of the change of one item, 0 to 1.
        correlation: ρ of two items of one template, 0 to 1.
    """

    variance: float
    correlation: float


TYPICAL = Plug(0.25, 0.1)
"""Near what was measured on SmolLM2-135M-Instruct beside pruned copies of it; see docs/sampling.md."""
WORST = Plug(1.0, 1.0)
"""Every item may change, half of them each way, and all items of a template alike."""


class Cell(NamedTuple):
    """What one category gives to the mean.

    Attributes:
        items: Ambiguous items that have a target.
        templates: Their effective number of question templates, 1 to the number of templates.
        clusters: Their number of question templates.
    """

    items: int
    templates: float
    clusters: int


def design_of(sample: Sample) -> dict[str, Cell]:
    """Count what a sample gives to SRS, by category; one without ambiguous items is left out."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for item in sample.items:
        if item.condition == "ambig" and item.target is not None:
            counts[item.category][item.question_index] += 1
    return {
        category: Cell(found.total(), found.total() ** 2 / sum(n * n for n in found.values()), len(found))
        for category, found in counts.items()
    }


def half_width(design: Mapping[str, Cell], plug: Plug = TYPICAL) -> float | None:
    """Return the half width that the 95 % interval of the mean change in SRS will have; None where there is none."""
    df = _degrees(design)
    if df is None:
        return None
    within, between = (1 - plug.correlation) * plug.variance, plug.correlation * plug.variance
    variance = sum(within / cell.items + between / cell.templates for cell in design.values()) / len(design) ** 2
    return quantile(df) * math.sqrt(variance)


def _degrees(design: Mapping[str, Cell]) -> float | None:
    """Return the degrees of freedom of the interval; None where there are too few templates for one."""
    if sum(cell.clusters for cell in design.values()) < FEWEST_CLUSTERS:
        return None
    squares = np.array([1 / cell.templates for cell in design.values()])
    df = float(design_df(squares, np.full(len(design), 1 / len(design))))
    return df if df >= FEWEST_DF else None


def forecast(sample: Sample) -> Forecast:
    """Foretell the half width from the design alone."""
    design = design_of(sample)
    most = half_width(design, WORST)
    return Forecast(items=len(sample.items), typical=half_width(design), most=None if most is None else min(most, 1.0))
