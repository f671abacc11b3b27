"""The table of a comparison, a row a release: its metrics, what the masks of its recipe did, what a study reported."""

from collections.abc import Sequence

from release.comparison.masks import over_masks
from release.comparison.reported import SIGNIFICANCE
from release.comparison.rows import ComparedRelease, Value, flat
from release.comparison.rows import column as column_of
from release.schema.record import Record

LONGEST_QUOTE = 300
"""Characters of what a study reported, in one cell."""
Row = dict[str, Value]


def table(releases: Sequence[ComparedRelease]) -> tuple[list[str], list[Row]]:
    """Return the columns that any release has, in their order, and the rows.

    Releases that are masks of one recipe have the same values in the columns `<metric>_masks…`: how many masks, their
    mean change with the interval for the recipe, the deviation between masks, and the sampling error.
    """
    spread = _spread(releases)
    rows = [
        flat(each) | (spread.get(each.record.name, {}) | _study(each.record) if each.record else {})
        for each in releases
    ]
    return list(dict.fromkeys(name for row in rows for name in row)), rows


def _spread(releases: Sequence[ComparedRelease]) -> dict[str, Row]:
    found: dict[str, Row] = {}
    for each in over_masks(releases):
        name, mean = f"{column_of(each.line)}_masks", each.mean
        row = {name: len(each.seeds), f"{name}_mean": mean.value, f"{name}_low": mean.low, f"{name}_high": mean.high}
        row |= {f"{name}_between": each.between, f"{name}_sampling": each.sampling}
        for release in each.releases:
            found.setdefault(release, {}).update(row)
    return found


def _study(record: Record) -> Row:
    """What the study that a release accompanies reported of such releases, by the metric that says the same."""
    found: dict[str, list[str]] = {}
    recipe = record.pruning
    for result in record.study.results if record.study else ():
        if result.tells_of(record.base.id, recipe.method, recipe.target_sparsity):
            for metric in (each for each in result.metrics if each != SIGNIFICANCE):
                found.setdefault(f"{metric}_study", []).append(f"{result.value} ({result.setting})")
    return {name: "; ".join(said)[:LONGEST_QUOTE] for name, said in found.items()}
