"""`release prune`: complete pruned model folders, of which nothing is measured but their bytes."""

from collections import Counter
from collections.abc import Sequence

from release.build import PlannedRelease, Release, build, claimed, open_bench
from release.plan import Plan
from release.progress import Console
from release.release_folder import ReleaseFolder
from release.stages import of_pruning
from release.workspace import Workspace


def prune_only(plans: Sequence[Plan], console: Console) -> list[Release]:
    """Write complete pruned model folders, with their records.

    Args:
        plans: They differ in their recipes alone. One is written to its `out`; several to folders of their own inside.
    """
    console.plan(of_pruning(Counter(plan.batch for plan in plans).values()))
    bench = open_bench(plans, console, measured=False)
    named = [plan.out / plan.name(bench.base.slug) if len(plans) > 1 else plan.out for plan in plans]
    folders = [ReleaseFolder(root, alone=True) for root in named]
    planned = [PlannedRelease(plan, Workspace(folder)) for plan, folder in zip(plans, folders, strict=True)]
    with claimed(bench, planned):
        return list(build(bench, planned))
