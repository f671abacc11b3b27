"""`release prune`: complete pruned model folders, of which nothing is measured but their bytes."""

from collections import Counter
from collections.abc import Sequence

from release.build import PlannedRelease, Release, build, claimed, open_bench
from release.occupant import pruned_at, require_alike
from release.plan import Plan
from release.progress import Console
from release.stages import of_pruning
from release.workspace import Workspace


def prune_only(plans: Sequence[Plan], console: Console) -> list[Release]:
    """Write complete pruned model folders, with their records.

    Args:
        plans: They differ in their recipes alone. One is written to its `out`; several to folders of their own inside.
    """
    console.plan(of_pruning(Counter(plan.batch for plan in plans).values()))
    folders = pruned_at(plans)
    for plan, folder in zip(plans, folders, strict=True):
        require_alike(plan, folder)
    bench = open_bench(plans, console, measured=False)
    planned = [PlannedRelease(plan, Workspace(folder)) for plan, folder in zip(plans, folders, strict=True)]
    with claimed(bench, planned):
        return list(build(bench, planned))
