"""What a push would do, from looking at both sides; nothing is changed by looking."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from huggingface_hub import SpaceHardware

from release.errors import BadOption
from release.format import size
from release.frozen import Frozen
from release.hub import collections
from release.hub.account import Account, rights
from release.hub.admission import admitted, told
from release.hub.client import HubClient
from release.hub.makers import adoption
from release.hub.repos import Compared, Found, Kind, RepoFolder, Upload, compare
from release.hub.space import requested_hardware
from release.progress import Console
from release.settings.publication import PublishOptions, WeightFiles
from release.sources.refusals import WAYS_TO_A_SPACE

MARKS = {"there": "=", "new": "+", "changed": "~", "gone": "-"}
ZERO = "zero-a10g"
FREE = "cpu-basic"

Visibility = Literal["private", "public"]


class PlannedRepo(Frozen):
    """One repository, as it is and as it would be.

    Attributes:
        exists: Whether it is there already; otherwise it is created, private until all is proven.
        visibility: Before; None where it does not exist.
        then: Visibility after.
        gated: Who has to ask, after; False for nobody.
        files: All files, compared by digest; none where the release is not built yet.
        bytes_to_send: Of files that are new or changed, at most: parts that the Hub knows are not sent.
        card_diff: What would change in the card that is published; None for nothing, or where there is none yet.
        adoption: What becomes of somebody else's work there, in words; None where there is none.
    """

    kind: Kind
    id: str
    url: str
    revision: str
    exists: bool
    visibility: Visibility | None
    then: Visibility
    gated: str | bool
    files: tuple[Compared, ...]
    bytes_to_send: int
    card_diff: str | None = None
    adoption: str | None = None

    @property
    def changes(self) -> bool:
        """Whether any file differs, or who may see it."""
        return any(file.state != "there" for file in self.files) or self.visibility != self.then


class PushPlan(Frozen):
    """What a push would do.

    Attributes:
        account: Who is logged in.
        namespace: Who the repositories belong to.
        repos: The model's, and the Space's where one goes along.
        bytes_to_send: At most.
        pull_request: Whether the files are only proposed.
        hardware: What the Space would run on; None without one.
        may_host: Whether the account may make that Space: yes, or what the Hub will say.
        collection: Title or slug.
        rights: What the token lacks, in words; None where nothing is known to lack.
        disk_free: Bytes where the release lies; the client's cache of chunks may take some.
        weights: "none" where weights stay here, and the recipe alone is sent.
    """

    account: str
    namespace: str
    repos: tuple[PlannedRepo, ...]
    bytes_to_send: int
    pull_request: bool
    hardware: str | None
    may_host: str | None
    collection: str | None
    disk_free: int
    rights: str | None = None
    weights: WeightFiles = "all"

    @property
    def changes(self) -> bool:
        """Whether anything would be sent or shown."""
        return any(repo.changes for repo in self.repos)

    def lines(self) -> Iterator[str]:
        """Say it for people, a fact a line."""
        yield f"Account       {self.account}, publishing as {self.namespace}"
        if self.rights:
            yield f"Token         {self.rights}"
        for repo in self.repos:
            yield from _lines(repo, self.pull_request)
        if self.weights == "none":
            yield "Weights       none: they stay here, and `release rebuild` makes them from base and recipe"
        yield f"To send       at most {size(self.bytes_to_send)}"
        if self.hardware:
            yield f"Space runs on {self.hardware}; may be made: {self.may_host}"
        if self.collection:
            yield f"Collection    {self.collection}"
        yield f"Disk free     {size(self.disk_free)}"


def _lines(repo: PlannedRepo, pull_request: bool) -> Iterator[str]:
    how = "update" if repo.exists else "create"
    where = "a pull request" if pull_request else f"branch {repo.revision}"
    gated = f", gated ({repo.gated})" if repo.gated else ""
    yield f"{repo.kind.capitalize():<13} {how} {repo.url}, {where}, {repo.visibility or 'new'} → {repo.then}{gated}"
    if repo.adoption:
        yield f"  ! {repo.adoption}"
    for file in repo.files:
        yield f"  {MARKS[file.state]} {file.path}  {file.bytes:,}"
    yield from (repo.card_diff or "").splitlines()


def survey(
    upload: Upload,
    options: PublishOptions,
    account: Account,
    console: Console,
    client: HubClient | None = None,
    card_diff: str = "",
) -> PushPlan:
    """Look at both sides and say what a push would do.

    Args:
        card_diff: How the card on the Hub would change.

    Raises:
        OutputConflict: It would be refused; see `admitted`.
        BadOption: There is no such hardware for a Space, or no such collection.
        HubFailed: The Hub does not say what it holds.
    """
    client = client or HubClient()
    check_hardware(options)
    collections.check(client, options.collection, upload.id.split("/")[0])
    repos = _planned_repos(client, upload, options, console, card_diff)
    space = next((repo for repo in repos if repo.kind == "space"), None)
    hardware = _hardware(client, space, options) if space else None
    namespace = upload.id.split("/")[0]
    return PushPlan(
        account=account.name,
        namespace=namespace,
        repos=repos,
        bytes_to_send=sum(repo.bytes_to_send for repo in repos),
        pull_request=options.pull_request,
        hardware=hardware,
        may_host=may_host(account, namespace, hardware, space.exists) if space and hardware else None,
        collection=options.collection,
        rights=rights(account, [repo.id for repo in repos]),
        disk_free=shutil.disk_usage(_existing(upload.model)).free,
        weights=options.weights,
    )


def _planned_repos(
    client: HubClient, upload: Upload, options: PublishOptions, console: Console, card_diff: str
) -> tuple[PlannedRepo, ...]:
    targets = upload.targets(options.revision)
    found = admitted(client, targets, options)
    model, *others = (_planned(client, *pair, options, console) for pair in zip(targets, found, strict=True))
    return model.model_copy(update={"card_diff": card_diff or None}), *others


def _planned(
    client: HubClient, target: RepoFolder, found: Found | None, options: PublishOptions, console: Console
) -> PlannedRepo:
    files = compare(target, found.files if found else {}, console) if target.folder.is_dir() else ()
    before: Visibility | None = None if found is None else "public" if found.public else "private"
    stays = options.private or options.proposes
    return PlannedRepo(
        kind=target.kind,
        id=target.id,
        url=client.url(target.kind, target.id),
        revision=target.revision,
        exists=found is not None,
        visibility=before,
        then=(before or "private") if stays else "public",
        gated=_gated(target, found, options),
        files=files,
        bytes_to_send=sum(file.bytes for file in files if file.state in ("new", "changed")),
        adoption=adoption(client.url(target.kind, target.id), found, target.kind) if found else None,
    )


def _gated(target: RepoFolder, found: Found | None, options: PublishOptions) -> str | bool:
    if target.kind == "model" and options.gated and not options.proposes:
        return options.gated
    return found.gated if found else False


def _hardware(client: HubClient, space: PlannedRepo, options: PublishOptions) -> str:
    """Say what the Space would run on: what is wished for, what it runs on already, or what the Hub gives."""
    if options.space_hardware or not space.exists:
        return options.space_hardware or FREE
    with told(client, "space", space.id):
        return requested_hardware(client, space.id) or FREE


def _existing(folder: Path) -> Path:
    return next(parent for parent in (folder, *folder.absolute().parents) if parent.is_dir())


def check_hardware(options: PublishOptions) -> None:
    """Refuse hardware that the Hub does not offer.

    Raises:
        BadOption: Names what it offers.
    """
    known = [each.value for each in SpaceHardware]
    if options.space_hardware is not None and options.space_hardware not in known:
        raise BadOption(f"There is no Space hardware {options.space_hardware!r}.", f"Choose {', '.join(known)}.")


def may_host(account: Account, namespace: str, hardware: str, exists: bool) -> str:
    """Say whether the account may make a Gradio Space on this hardware, as far as the Hub lets one know."""
    if exists:
        return "yes, it is there already"
    if namespace in account.paid:
        return f"yes, {namespace} has a paid plan"
    if hardware == ZERO:
        return "yes, if the account is in good standing and has fewer than two Spaces on ZeroGPU"
    return f"perhaps not: {namespace} shows no paid plan, and the Hub may answer 402. {WAYS_TO_A_SPACE}"
