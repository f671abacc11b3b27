"""From a finished release to the Hub: who publishes, what is sent, and the push itself."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from release import files, hub
from release.card import file as card_file
from release.card.parts import CardPlace, parse
from release.checkpoint.files import Folder, is_hidden
from release.errors import BadOption, HubUnreachable, NotLoggedIn
from release.hub import Account, Pushed, PushPlan, Upload
from release.names import MASK, SIGNATURE
from release.progress import Console
from release.pruning.recipe import Recipe
from release.publishing import leaks
from release.publishing.unasked import UnaskedPush, unasked
from release.release_folder import ReleaseFolder
from release.schema.record import CARD, FILE_NAME, Record
from release.settings.publication import PublishOptions
from release.space.write import write_space
from release.stages import Stage
from release.verification import signing, weightless
from release.verification.audit import refuse_failed
from release.verification.signing import Signer
from release.verification.verify import required_record, verify


@dataclass(frozen=True)
class Publisher:
    """Who publishes, under which name, and how.

    Attributes:
        space: Whether the demo Space goes along.
        shared_space: Id of a Space that shows this release beside others, which its card links to.
    """

    account: Account
    namespace: str
    options: PublishOptions
    space: bool
    shared_space: str | None = None


def push_only(
    folder: Path, namespace: str | None, options: PublishOptions, space: bool, console: Console, key: Path | None = None
) -> Pushed:
    """Upload a release that was built before, once it has verified.

    Args:
        key: The private key that its files are signed with.

    Raises:
        NotLoggedIn: Before anything else.
        AuditFailed: It is not what its record says.
        OutputConflict: Another run is at work there, or the release may not go where it is to go.
        UnusableBase: See `require_own_files`.
    """
    console.plan((Stage.VERIFY, Stage.UPLOAD))
    release = ReleaseFolder.found(folder)
    record = _publishable(release, options)
    signer = signing.signer(key) if key else None
    publisher = login_for(namespace, options, space)
    require_admitted(upload_of(release, record.name, publisher), publisher)
    with _verified(release, console):
        console.begin(Stage.UPLOAD)
        if signer:
            record = record.model_copy(update={"signed_as": signer.signed_as(console)})
        return push_release(release, record, publisher, console, signer)


@contextmanager
def _verified(release: ReleaseFolder, console: Console) -> Iterator[None]:
    """Hold a release that verifies, so that it stays as it is.

    Raises:
        AuditFailed: It is not what its record says.
        OutputConflict: Another run is at work there.
    """
    console.begin(Stage.VERIFY)
    with files.locked(release.work):
        found = verify(Folder(release.model), None, console).checks
        # A run that was stopped before it signed leaves a record that names the signer; what is written here is right.
        refuse_failed([check for check in found if check.name != signing.AS_RECORDED])
        yield


def stage_release(folder: Path, publisher: Publisher, console: Console) -> tuple[Upload, bool]:
    """Fill the repository of a release that is one of several, once it has verified; who may see it stays as it is.

    Returns:
        What `release.hub.push` shows when all others are there, too, and whether anything had to be sent.

    Raises:
        AuditFailed: As for `push_only`, as are the others.
    """
    release = ReleaseFolder.found(folder)
    record = _publishable(release, publisher.options)
    with _verified(release, console):
        upload, _ = _prepared(release, record, publisher, console)
        changed = hub.stage(upload, publisher.options, console).changed
        card_file.remember(release.model, upload.work)
    return replace(upload, expects=None), changed


def push_release(
    folder: ReleaseFolder,
    record: Record,
    publisher: Publisher,
    console: Console,
    signer: Signer | None = None,
    claimed: Upload | None = None,
) -> Pushed:
    """Write card and Space for the repositories they go to, sign the model, say what will be done, and upload both.

    Args:
        claimed: As `take_names` returned it before the release was built.

    Raises:
        OutputConflict: Somebody wrote where the card is generated, here or on the Hub.
        LeakFound: It would give away what is private.
        UnusableBase: See `require_own_files`.
    """
    require_own_files(folder)
    anew = signer is not None and signer.identity is not None  # such a signature is another one each time
    upload, changes = _prepared(folder, record, publisher, console, anew)
    if claimed:
        hub.require_no_release(upload, claimed, publisher.options)
    signing.settle(upload.model, signer, console, record.audit.files)
    if record.signed_as and not (upload.model / SIGNATURE).exists():
        record = record.model_copy(update={"signed_as": None})
        upload, changes = _prepared(folder, record, publisher, console)
    if hub.outdated(upload, console):  # the signature alone is new
        upload, changes = _prepared(folder, record, publisher, console, anew=True)
        signing.settle(upload.model, signer, console, record.audit.files)
    for line in hub.survey(upload, publisher.options, publisher.account, console, card_diff=changes).lines():
        console.say(line)
    pushed = hub.push(upload, publisher.options, console)
    card_file.remember(folder.model, upload.work)
    return pushed


def _publishable(folder: ReleaseFolder, options: PublishOptions) -> Record:
    """Read the record of a release that can be published as asked, its weights at hand.

    Raises:
        BadOption: Nobody could make the weights again that are to be left out.
        OutputConflict: There is no record, or the weights are not there.
        UnusableBase: See `require_own_files`.
    """
    record = required_record(folder.model)
    weightless.require_whole(record, folder.root)
    require_own_files(folder)
    if options.weights == "none":
        weightless.require_enough(Recipe.recorded(record.pruning), (folder.model / MASK).is_file())
    return record


def require_own_files(folder: ReleaseFolder) -> None:
    """Refuse a release in which something is a link that leads out of it: what is uploaded would be somebody else's.

    Hidden files are never uploaded.

    Raises:
        UnusableBase: Names it.
    """
    for part in (folder.model, files.require_inside(folder.root, folder.space.name)):
        found = Folder(part)
        for names, require in ((found.sizes, files.require_own), (found.others, files.require_inside)):
            for name in names:
                if not is_hidden(name):
                    require(part, name)


def push_preview(
    folder: Path, namespace: str | None, options: PublishOptions, space: bool, console: Console
) -> PushPlan | UnaskedPush:
    """Say what `push_only` would do, or, without a login or a Hub, what it would send; writes nothing here or there.

    Raises:
        UnusableBase: See `require_own_files`.
    """
    found = ReleaseFolder.found(folder)
    record = _publishable(found, options)
    try:
        publisher = login_for(namespace, options, space)
    except (NotLoggedIn, HubUnreachable) as error:
        return unasked(found, record.name, namespace, options, f"{error.seen} {error.remedy}")
    with TemporaryDirectory() as scratch:
        copy = _mirrored(folder.resolve(), Path(scratch) / folder.resolve().name)
        upload, changes = _prepared(copy, record, publisher, console)
        return hub.survey(upload, publisher.options, publisher.account, console, card_diff=changes)


def _mirrored(folder: Path, copy: Path) -> ReleaseFolder:
    """Make a folder of links to a release's files; its card is a copy, for it will be written."""
    # symlinks: what the folder itself links to may lie outside, and is not looked at.
    shutil.copytree(folder, copy, symlinks=True, copy_function=_linked)
    release = ReleaseFolder.found(copy)
    path = release.model / CARD
    if path.is_file():
        files.write(path, path.read_bytes())
    return release


def _linked(source: str, target: str) -> None:
    """Link to a file, or copy it where the system or the account may not."""
    try:
        Path(target).symlink_to(source)
    except OSError:  # Windows, but for developers and administrators
        shutil.copyfile(source, target)


def _prepared(
    folder: ReleaseFolder, record: Record, publisher: Publisher, console: Console, anew: bool = False
) -> tuple[Upload, str]:
    """Write card and Space for the repositories they go to, and say how the card on the Hub would change.

    This card is another one than `release.build` wrote. It names its repository, says whether readers must ask, keeps
    what people wrote on the Hub, and may be the card of a recipe without weights; all that is read from the Hub now,
    since a release may be built long before it is pushed. It names the tag under which it will stand: where nothing
    else is new, that of the commit which is there. The one that was built stands by itself: a release that stays here,
    or whose push is refused, is whole.

    Args:
        anew: Whether there will be a new commit in any case.
    """
    options = publisher.options
    upload = upload_of(folder, record.name, publisher)
    if not folder.space.is_dir():
        upload = replace(upload, space=None)
    on_hub, adopted, sight = hub.standing_card(upload, options)
    upload = hub.named(replace(upload, expects=sight), options, anew)
    said = record.model_copy(update={"contact": options.contact} if options.contact is not None else {})
    if options.weights == "none":
        said, upload = _without_weights(said, upload)
    target = _place_of(upload, _behind_a_gate(options, on_hub), publisher.shared_space)
    merged = card_file.renewed(upload.model, said, target, on_hub, upload.work, adopted)
    card_file.write(upload.model, merged)
    if (path := upload.model / FILE_NAME).read_bytes() != (text := said.to_json()).encode():
        files.write(path, text)
    if hub.outdated(upload, console):
        return _prepared(folder, record, publisher, console, anew=True)
    if upload.space:
        write_space(said, folder, None, console, upload.id, upload.space_id)
    leaks.refuse([folder for folder in (upload.model, upload.space) if folder], said.signed_as)
    return upload, card_file.changes(merged, on_hub) if on_hub is not None else ""


def _place_of(upload: Upload, gated: bool, shared_space: str | None) -> CardPlace:
    tag = upload.tag.name if upload.tag else None
    return CardPlace(upload.id, gated, upload.space_id if upload.space else shared_space, tag)


def _without_weights(record: Record, upload: Upload) -> tuple[Record, Upload]:
    """Lay out the view that goes in the place of the whole model folder, and the record that says so."""
    if upload.space:
        weightless.require_for_space(record, (upload.model / MASK).is_file())
    view = weightless.lay_out(upload.model, upload.work / weightless.VIEW, record)
    return weightless.recipe_of(record), replace(upload, model=view)


def _behind_a_gate(options: PublishOptions, on_hub: str | None) -> bool:
    """Whether people have to ask: as wished for, or as it is."""
    there = parse(on_hub or "")
    return options.gated is not None or (there is not None and there.target.gated)


def upload_of(folder: ReleaseFolder, name: str, publisher: Publisher) -> Upload:
    """Say which folders go where; they need not be there yet.

    Raises:
        BadOption: The Hub would refuse a name, or the Space is to go where the account may not write.
    """
    repo_id = publisher.options.into or f"{publisher.namespace}/{name}"
    space_id = publisher.options.space_into or repo_id
    hub.check_names(repo_id, space_id)
    hub.check_namespace(publisher.account, space_id.split("/")[0])
    space = folder.space if publisher.space else None
    return hub.Upload(folder.model, space, repo_id, folder.work, space_id=space_id)


def login_for(namespace: str | None, options: PublishOptions, space: bool) -> Publisher:
    """Return who publishes and under which name, once the Hub has accepted who is asking.

    Nothing is pruned before this is settled.

    Raises:
        NotLoggedIn: There is no token, or the Hub refuses it.
        BadOption: The account may not publish there, or --to and --into name two namespaces.
    """
    owner = options.into.split("/")[0] if options.into else namespace
    if namespace is not None and owner != namespace:
        raise BadOption(f"--to {namespace} and --into {options.into} name two namespaces.", "Leave out --to.")
    namespace = owner
    account = hub.login("publishing")
    return Publisher(account, hub.check_namespace(account, namespace), options, space)


def require_admitted(upload: Upload, publisher: Publisher) -> None:
    """Refuse, before any work, to go where this release, or this token, may not; changes nothing.

    Raises:
        NotLoggedIn: The token has no right to write there.
        OutputConflict: See `release.hub.admission.admitted`.
    """
    hub.require_rights(publisher.account, [target.id for target in upload.targets(publisher.options.revision)])
    hub.standing_card(upload, publisher.options)


def take_names(upload: Upload, publisher: Publisher, console: Console) -> Upload:
    """Make both repositories, private and empty: what the Hub refuses is known before any work.

    Returns:
        What will be uploaded, and what its repositories hold.
    """
    require_admitted(upload, publisher)
    return replace(upload, expects=hub.claim(upload, publisher.options, console=console))
