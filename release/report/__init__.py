"""What a command's result looks like: one JSON object on stdout, or plain tables for people.

Each is imported when it is asked for: a command that shows a few facts does not wait for the tables of another.
"""

from typing import TYPE_CHECKING

from release.lazily import exported

if TYPE_CHECKING:
    from release.report.checks import after_verify, show_verification
    from release.report.measurements import show_measurements
    from release.report.plans import show_preview, show_previews, show_push_plan
    from release.report.releases import after_push, show_release, show_releases
    from release.report.short import (
        show_cache,
        show_changes,
        show_facts,
        show_findings,
        show_methods,
        show_models,
        show_reported,
        show_watched,
    )
    from release.report.sweep_watch import is_watched, watching
    from release.report.sweeps import show_comparison, show_planned_sweep, show_sweep

__all__ = [
    "after_push",
    "after_verify",
    "is_watched",
    "show_cache",
    "show_changes",
    "show_comparison",
    "show_facts",
    "show_findings",
    "show_measurements",
    "show_methods",
    "show_models",
    "show_planned_sweep",
    "show_preview",
    "show_previews",
    "show_push_plan",
    "show_release",
    "show_releases",
    "show_reported",
    "show_sweep",
    "show_verification",
    "show_watched",
    "watching",
]

_HOMES = {
    "checks": ("after_verify", "show_verification"),
    "measurements": ("show_measurements",),
    "plans": ("show_preview", "show_previews", "show_push_plan"),
    "releases": ("after_push", "show_release", "show_releases"),
    "short": (
        *("show_cache", "show_changes", "show_facts", "show_findings"),
        *("show_methods", "show_models", "show_reported", "show_watched"),
    ),
    "sweep_watch": ("is_watched", "watching"),
    "sweeps": ("show_comparison", "show_planned_sweep", "show_sweep"),
}

__getattr__ = exported(__name__, {f"{__name__}.{module}": names for module, names in _HOMES.items()})
