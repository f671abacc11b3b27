"""Which releases no other beats: as sparse or sparser, and as good or better by a metric."""

from collections.abc import Sequence

from release.comparison.rows import ComparedRelease, column
from release.evals.line import Line


def front(releases: Sequence[ComparedRelease], key: str) -> list[ComparedRelease]:
    """Return the Pareto front of zeros against one metric, by its point values, the sparsest last.

    Args:
        releases: Of one base, since others cannot be compared.
        key: Column of a metric of which lower or higher is better.
    """
    points = [(each.zeros, cost, each) for each in releases if (cost := _cost(each, key)) is not None and each.zeros]
    kept = [
        (zeros, cost, each)
        for zeros, cost, each in points
        if not any(more >= zeros and less <= cost and (more, less) != (zeros, cost) for more, less, _ in points)
    ]
    return [each for _, _, each in sorted(kept, key=lambda point: point[:2])]


def _cost(release: ComparedRelease, key: str) -> float | None:
    found: Line | None = next((line for line in release.lines if column(line) == key), None)
    if found is None or found.pruned is None or found.metric.better == "neither":
        return None
    return found.pruned if found.metric.better == "lower" else -found.pruned
