"""Between masks: how far what pruning changed depends on the seed that was published."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from release import files
from release.evals.engine.statistics import LEVEL
from release.evals.registry import EVALS
from release.frozen import Frozen
from release.schema.measurements import NO_SPREAD, Mask, Masks, Measurements, Spread
from release.values import Estimate

FILE_NAME = "masks.json"
TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)


class Kept(Frozen):
    """Masks that a run measured before it was stopped, or that the run before this one measured.

    Attributes:
        key: What they were measured beside and on; see `cache.key_of`.
    """

    key: str
    masks: tuple[Mask, ...] = ()


def recall(work: Path, key: str, seed: int) -> Mask | None:
    """Return what is known of a seed's mask."""
    return next((mask for mask in _kept(work, key).masks if mask.seed == seed), None)


def remember(work: Path, key: str, mask: Mask) -> None:
    """Keep what was measured on one mask, so that a rerun does not make it again."""
    known = _kept(work, key)
    files.write(work / FILE_NAME, known.model_copy(update={"masks": (*known.masks, mask)}).model_dump_json(indent=1))


def _kept(work: Path, key: str) -> Kept:
    known = files.recall(work / FILE_NAME, Kept.model_validate_json)
    return known if known is not None and known.key == key else Kept(key=key)


def published(found: Measurements, seed: int) -> Mask:
    """Return what the published mask changed."""
    return mask_of(seed, {row.key: found.get(row.key) for row in EVALS})


def mask_of(seed: int, results: Mapping[str, Any]) -> Mask:
    """Return what one mask changed.

    Args:
        results: Of the evaluations, by their key; None where one is off.
    """
    changed: dict[str, float | None] = {}
    for row in EVALS:
        if row.changes is not None and (found := results.get(row.key)) is not None:
            changed |= row.changes(found)
    return Mask.model_validate({"seed": seed, **changed})


def spread_of(masks: Sequence[Mask]) -> Masks:
    """Put masks beside each other, two at least."""
    spreads = {name: _spread([mask.get(name) for mask in masks]) for row in EVALS for name in row.varying}
    return Masks.model_validate({"masks": tuple(masks), **spreads})


def _spread(values: Sequence[float | None]) -> Spread:
    known = [value for value in values if value is not None]
    if len(known) < max(2, len(values)):
        return NO_SPREAD
    from scipy import special  # takes its time, and a card is rendered without it

    df = len(known) - 1
    with np.errstate(over="ignore", invalid="ignore"):  # a record may hold numbers that nobody measured
        mean, deviation = float(np.mean(known)), float(np.std(known, ddof=1))
        low, high = (deviation * float(np.sqrt(df / special.chdtri(df, tail))) for tail in TAILS)
    if not math.isfinite(mean + high):
        return NO_SPREAD
    return Spread(mean=mean, deviation=Estimate(value=deviation, low=low, high=high, df=df))
