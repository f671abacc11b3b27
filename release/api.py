"""The public functions, with defaults for whoever calls them from Python; `release` exports them.

Each says on stderr what it does, as the command of its name does; `Console(quiet=True)` keeps it silent. Whatever is
wrong with what they are given is a `ReleaseError`, whose `seen` says what and whose `remedy` says what to do.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from release import pipeline
from release.build import Release
from release.commands import rebuild as commands
from release.commands.measure import measure_only
from release.commands.prune import prune_only
from release.evals.again import Spot
from release.plan import Plan
from release.progress import Console
from release.publishing import upload
from release.schema.measurements import Measurements
from release.settings.measuring import Measuring
from release.settings.publication import PublishOptions
from release.sources.base import base_files, pruned_files, pruned_folder
from release.verification import verify as verification
from release.verification.remask import Again
from release.verification.signing import Who
from release.verification.verify import BaseAsked, Requested, Verification

if TYPE_CHECKING:
    from release.hub import Pushed

MEASURING = Measuring()
"""BBQ and latency on samples that fit this machine, perplexity on 32 windows."""
OPTIONS = PublishOptions()
"""A public model repository and its Space, on main."""


def publish(plan: Plan, key: Path | None = None, console: Console | None = None) -> Release:
    """Prune, audit, measure, write record, card and Space, and upload them unless the plan is local.

    The same call again goes on where an interrupted one stopped, and changes nothing in a release that is whole.

    Args:
        plan: The release lies in `plan.out`, in a folder named after base and recipe.
        key: The private key (PEM) that the release is signed with.

    Raises:
        ReleaseError: See `release.errors`.
    """
    return pipeline.publish(plan, console or Console(), key)


def prune(plan: Plan, *further: Plan, console: Console | None = None) -> list[Release]:
    """Write complete pruned model folders, audited, with their records and cards; nothing is measured or uploaded.

    Args:
        plan: A single one is written to its `out`; several to folders of their own inside.
        further: More plans for the same base. Those that differ in sparsity alone are made from one read of it.

    Raises:
        ReleaseError: See `release.errors`.
    """
    return prune_only([plan.unmeasured() for plan in (plan, *further)], console or Console())


def measure(
    pruned: Path | str,
    base: str,
    measuring: Measuring = MEASURING,
    out: Path | None = None,
    console: Console | None = None,
) -> Measurements:
    """Measure any pruned model beside its base; changes neither.

    Args:
        pruned: A model folder, or a release.
        base: The dense model: an alias, a Hub id `org/name[@revision]`, a folder, or `demo`.
        out: Folder that receives the answers item by item, and figures; None keeps none.

    Raises:
        ReleaseError: See `release.errors`.
    """
    return measure_only(Path(pruned), base, measuring, out, console or Console())


def verify(
    release: Path | str,
    base: str | None = None,
    *,
    again: Again | None = None,
    spot: Spot | None = None,
    who: Who | None = None,
    console: Console | None = None,
) -> Verification:
    """Read every weight again and compare with record, card and base; see `Verification.ok` and `.checks`.

    Args:
        release: A release, a model folder, or a repository on the Hub as `org/name[@revision]`.
        base: The dense model; by default the one on record, where it was fetched before.
        again: Make every mask again from base and recipe; None leaves that out.
        spot: Ask some items of both models again; None leaves that out.
        who: Whose signature it has to be: the path of a public key (PEM), or an identity.

    Raises:
        ReleaseError: There is nothing that can be read. What is found wrong with a release is a failed check.
    """
    console = console or Console()
    files = pruned_files(str(release), console)
    dense = None if base is None else BaseAsked(lambda: base_files(base, console), base)
    return verification.verify(files, dense, console, Requested(again, who, spot))


def rebuild(release: Path | str, base: str, out: Path, console: Console | None = None) -> Path:
    """Make a pruned model from its base, without its weights; every file is checked by its SHA-256.

    Args:
        release: A release, a model folder, or a repository on the Hub.
        out: The model folder to write; it is returned.

    Raises:
        ReleaseError: See `release.errors`.
    """
    console = console or Console()
    return commands.rebuild(pruned_folder(str(release), console), base, out, console)


def push(
    release: Path | str,
    options: PublishOptions = OPTIONS,
    *,
    key: Path | None = None,
    console: Console | None = None,
) -> "Pushed":
    """Upload a release that was built before, once it has verified.

    Args:
        options: Under which name, whether the demo Space goes along, and how.
        key: The private key (PEM) that the release is signed with.

    Raises:
        ReleaseError: See `release.errors`.
    """
    return upload.push_only(Path(release), options.namespace, options, options.space, console or Console(), key)
