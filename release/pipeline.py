"""How a release is published, top to bottom.

    Plan ─check→ CheckedPlan ─claim→ folder here, names on the Hub
         ─build→ Release [─sign→ model.sig] ─push→ Hub (model repository and Space)

This is the one place that knows the order. `release.build` holds the arrows inside *build*: prune, audit, measure,
record, card, space. Every step takes frozen values and gives one; nothing flows backwards.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from release.build import Bench, PlannedRelease, Release, build, claimed, open_bench
from release.occupant import published_at, require_alike
from release.plan import Plan
from release.progress import Console
from release.publishing.upload import Publisher, login_for, push_release, take_names, upload_of
from release.release_folder import ReleaseFolder
from release.schema.record import Record
from release.stages import Stage, of_publishing
from release.verification import signing
from release.verification.signing import Signer
from release.workspace import Workspace

if TYPE_CHECKING:
    from release.hub import Upload


def publish(plan: Plan, console: Console, key: Path | None = None) -> Release:
    """Make a release: the whole path of the flow above.

    Args:
        key: The private key that its files are signed with at last.

    Raises:
        ReleaseError: Any of its kinds; see `release.errors`.
    """
    console.plan(of_publishing(plan))
    require_alike(plan, published_at(plan))
    job = checked(plan, console, key)
    with _claimed(job) as upload:
        release = next(build(job.bench, [job.planned]))
        if job.publisher is None:
            signing.settle(job.folder.model, job.signer, console, release.record.audit.files)
            return release
        console.begin(Stage.UPLOAD)
        record = _signed(job, release.record)
        pushed = push_release(job.folder, record, job.publisher, console, job.signer, upload)
        return Release(release.folder, record, pushed)


@dataclass(frozen=True)
class CheckedPlan:
    """A plan that nothing refused, and all that it is carried out with.

    Attributes:
        publisher: Who publishes, and how; None for a release that stays here, as is `upload`.
        signer: Who signs it; None for nobody.
    """

    plan: Plan
    bench: Bench
    folder: ReleaseFolder
    publisher: Publisher | None
    upload: "Upload | None"
    signer: Signer | None

    @property
    def planned(self) -> PlannedRelease:
        """What is to be built. Without weights, only what is uploaded is signed, and not the folder here."""
        return PlannedRelease(self.plan, Workspace(self.folder), self.signer if self.whole else None)

    @property
    def whole(self) -> bool:
        """Whether the weights are uploaded, too."""
        return self.plan.publication.weights == "all"


def checked(plan: Plan, console: Console, key: Path | None) -> CheckedPlan:
    """Find all that a release takes, and refuse whatever cannot be done, before any work; nothing is written.

    Raises:
        ReleaseError: Bad input, an unusable base, missing data, or a Hub that refuses who is asking.
    """
    signer = signing.signer(key) if key else None
    publisher = None if plan.local else login_for(plan.namespace, plan.publication, plan.space)
    bench = open_bench([plan], console)
    folder = ReleaseFolder(plan.out / plan.name(bench.base.slug))
    upload = upload_of(folder, folder.root.name, publisher) if publisher else None
    return CheckedPlan(plan, bench, folder, publisher, upload, signer)


@contextmanager
def _claimed(job: CheckedPlan) -> "Iterator[Upload | None]":
    """Take the folder here and then the names on the Hub, so that what either refuses is known before any work."""
    with claimed(job.bench, [job.planned]):
        if job.upload and job.publisher:
            yield take_names(job.upload, job.publisher, job.bench.console)
        else:
            yield None


def _signed(job: CheckedPlan, record: Record) -> Record:
    """The record as it is uploaded: it names who signs, which the one of a folder that stays unsigned does not."""
    if job.signer is None or job.whole:
        return record
    return record.model_copy(update={"signed_as": job.signer.signed_as(job.bench.console)})
