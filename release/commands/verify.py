"""`release verify`: a release, or any pruned checkpoint, read again and held against what it claims to be."""

from functools import partial

from release.evals.again import Spot
from release.progress import Console
from release.settings.verifying import VerifyOptions
from release.sources.base import base_files, changed_since, pruned_files
from release.sources.changes import told_where_it_fails
from release.stages import of_verifying
from release.verification.keyless import whose
from release.verification.remask import Again
from release.verification.verify import BaseAsked, Requested, Verification, verify


def verify_as_asked(path_or_repo: str, base: str | None, asked: VerifyOptions, console: Console) -> Verification:
    """Verify a release, and say what changed on the Hub since the revision that was asked for.

    Raises:
        BadOption: Options contradict each other, or a key's file holds none.
    """
    who = whose(asked.key, asked.identity, asked.identity_provider)
    files = pruned_files(path_or_repo, console)
    changed = changed_since(asked.since, files) if asked.since is not None else None
    dense = BaseAsked(partial(base_files, base, console), base) if base is not None else None
    console.plan(of_verifying(asked))
    with told_where_it_fails(changed, console):
        found = verify(files, dense, console, Requested(_again(asked), who, _spot(asked)))
    return found.model_copy(update={"since": changed})


def _again(asked: VerifyOptions) -> Again | None:
    return Again(asked.calibration, asked.device) if asked.rebuild else None


def _spot(asked: VerifyOptions) -> Spot | None:
    if asked.spot_check is None:
        return None
    return Spot(asked.spot_check, asked.spot_seed, asked.device, asked.bbq_data, asked.text)
