"""Between masks: how far what pruning changed depends on the seed that was published."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from release import files
from release.evals.engine.statistics import LEVEL
from release.frozen import Frozen
from release.schema.measurements import Mask, Masks, Measurements, Spread
from release.values import Estimate, Score

FILE_NAME = "masks.json"
TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
NOTHING = Spread(mean=None, deviation=Estimate(value=None, low=None, high=None))


class Kept(Frozen):
    """Masks that a run measured before it was stopped, or that the run before this one measured.

    Attributes:
        key: What they were measured beside and on; see `memory.key_of`.
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
    return mask(seed, found.bbq.scores if found.bbq else (), found.perplexity.ratio if found.perplexity else None)


def mask(seed: int, scores: Iterable[Score], ratio: Estimate | None) -> Mask:
    """Return what one mask changed.

    Args:
        scores: Of BBQ, over all categories; none where it is off.
        ratio: Perplexity, pruned / dense; None where it is off.
    """
    change = {score.name: score.difference.value for score in scores if score.over == "macro"}
    value = ratio.value if ratio is not None else None
    log = math.log(value) if value is not None and value > 0 else None
    return Mask(seed=seed, srs=change.get("srs"), lean=change.get("lean"), log_perplexity=log)


def spread_of(masks: Sequence[Mask]) -> Masks:
    """Put masks beside each other, two at least."""
    return Masks(
        masks=tuple(masks),
        srs=_spread([mask.srs for mask in masks]),
        lean=_spread([mask.lean for mask in masks]),
        log_perplexity=_spread([mask.log_perplexity for mask in masks]),
    )


def _spread(values: Sequence[float | None]) -> Spread:
    known = [value for value in values if value is not None]
    if len(known) < max(2, len(values)):
        return NOTHING
    from scipy import special  # takes its time, and a card is rendered without it

    df = len(known) - 1
    with np.errstate(over="ignore", invalid="ignore"):  # a record may hold numbers that nobody measured
        mean, deviation = float(np.mean(known)), float(np.std(known, ddof=1))
        low, high = (deviation * float(np.sqrt(df / special.chdtri(df, tail))) for tail in TAILS)
    if not math.isfinite(mean + high):
        return NOTHING
    return Spread(mean=mean, deviation=Estimate(value=deviation, low=low, high=high, df=df))
