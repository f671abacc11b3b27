"""From a finished release to the Hub: who publishes, what is sent, and the push itself."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from release import files
from release.card import file as card_file
from release.card.parts import CardPlace, parse
from release.checkpoint.files import Folder, is_hidden
from release.checkpoint.folder import model_folder
from release.errors import BadOption
from release.names import MASK, SIGNATURE
from release.plan import PublishOptions
from release.progress import Console
from release.pruning.recipe import Recipe
from release.publishing import leaks
from release.schema.record import CARD, FILE_NAME, Record
from release.verification import signing, weightless
from release.verification.audit import refuse_failed
from release.verification.signing import Signer
from release.verification.verify import required_record, verify

if TYPE_CHECKING:
    from release.hub import Account, Pushed, PushPlan, Upload


@dataclass(frozen=True)
class Publisher:
    """Who publishes, and under which name."""

    account: "Account"
    namespace: str


def push_only(
    folder: Path, namespace: str | None, ways: PublishOptions, space: bool, console: Console, key: Path | None = None
) -> "Pushed":
    """Upload a release that was built before, once it has verified.

    Args:
        key: The private key that its files are signed with.

    Raises:
        NotLoggedIn: Before anything else.
        AuditFailed: It is not what its record says.
        OutputConflict: Another run is at work there, or the release may not go where it is to go.
        UnusableBase: See `require_own_files`.
    """
    record = _publishable(folder, ways)
    signer = signing.signer(key) if key else None
    publisher = login_for(namespace, ways)
    require_admitted(parcel_of(folder, record.name, publisher, space, ways), ways, publisher)
    with files.locked(work_folder(folder)):
        found = verify(Folder(model_folder(folder)), None, console).checks
        # A run that was stopped before it signed leaves a record that names the signer; what is written here is right.
        refuse_failed([check for check in found if check.name != signing.AS_RECORDED])
        if signer:
            record = record.model_copy(update={"signed_as": signer.signed_as(console)})
        return push_release(folder, record, publisher, ways, space, console, signer)


def push_release(
    folder: Path,
    record: Record,
    publisher: Publisher,
    ways: PublishOptions,
    space: bool,
    console: Console,
    signer: Signer | None = None,
    claimed: "Upload | None" = None,
) -> "Pushed":
    """Write card and Space for the repositories they go to, sign the model, say what will be done, and upload both.

    Args:
        claimed: As `take_names` returned it before the release was built.

    Raises:
        OutputConflict: Somebody wrote where the card is generated, here or on the Hub.
        LeakFound: It would give away what is private.
        UnusableBase: See `require_own_files`.
    """
    from release import hub

    require_own_files(folder)
    parcel, changes = _prepared(folder, record, publisher, ways, space, console)
    if claimed:
        hub.require_no_release(parcel, claimed, ways)
    signing.settle(parcel.model, signer, console, record.audit.files)
    if record.signed_as and not (parcel.model / SIGNATURE).exists():
        record = record.model_copy(update={"signed_as": None})
        parcel, changes = _prepared(folder, record, publisher, ways, space, console)
    for line in hub.survey(parcel, ways, publisher.account, console, card_diff=changes).lines():
        console.say(line)
    pushed = hub.push(parcel, ways, console)
    card_file.remember(model_folder(folder), parcel.work)
    return pushed


def _publishable(folder: Path, ways: PublishOptions) -> Record:
    """Read the record of a release that can be published as asked, its weights at hand.

    Raises:
        BadOption: Nobody could make the weights again that are to be left out.
        OutputConflict: There is no record, or the weights are not there.
        UnusableBase: See `require_own_files`.
    """
    model = model_folder(folder)
    record = required_record(model)
    weightless.require_whole(record, folder)
    require_own_files(folder)
    if ways.weights == "none":
        weightless.require_enough(Recipe.recorded(record.pruning), (model / MASK).is_file())
    return record


def require_own_files(folder: Path) -> None:
    """Refuse a release in which something is a link that leads out of it: what is uploaded would be somebody else's.

    Hidden files are never uploaded.

    Raises:
        UnusableBase: Names it.
    """
    for part in (model_folder(folder), files.require_inside(folder, "space")):
        found = Folder(part)
        for names, require in ((found.sizes, files.require_own), (found.others, files.require_inside)):
            for name in names:
                if not is_hidden(name):
                    require(part, name)


def push_preview(
    folder: Path, namespace: str | None, ways: PublishOptions, space: bool, console: Console
) -> "PushPlan":
    """Say what `push_only` would do; writes nothing here or there.

    Raises:
        NotLoggedIn: There is no token, or the Hub refuses it.
        UnusableBase: See `require_own_files`.
    """
    from release import hub

    record = _publishable(folder, ways)
    publisher = login_for(namespace, ways)
    with TemporaryDirectory() as scratch:
        copy = _mirrored(folder.resolve(), Path(scratch) / folder.resolve().name)
        parcel, changes = _prepared(copy, record, publisher, ways, space, console)
        return hub.survey(parcel, ways, publisher.account, console, card_diff=changes)


def _mirrored(folder: Path, copy: Path) -> Path:
    """Make a folder of links to a release's files; its card is a copy, for it will be written."""
    # symlinks: what the folder itself links to may lie outside, and is not looked at.
    shutil.copytree(folder, copy, symlinks=True, copy_function=_linked)
    path = model_folder(copy) / CARD
    if path.is_file():
        files.write(path, path.read_bytes())
    return copy


def _linked(source: str, target: str) -> None:
    """Link to a file, or copy it where the system or the account may not."""
    try:
        Path(target).symlink_to(source)
    except OSError:  # Windows, but for developers and administrators
        shutil.copyfile(source, target)


def _prepared(
    folder: Path, record: Record, publisher: Publisher, ways: PublishOptions, space: bool, console: Console
) -> tuple["Upload", str]:
    """Write card and Space for the repositories they go to, and say how the card on the Hub would change."""
    from release import hub

    parcel = parcel_of(folder, record.name, publisher, space and (folder / "space").is_dir(), ways)
    on_hub, adopted, sight = hub.standing_card(parcel, ways)
    if ways.weights == "none":
        record, parcel = _without_weights(record, parcel)
    target = CardPlace(parcel.id, _behind_a_gate(ways, on_hub))
    merged = card_file.renewed(parcel.model, record, target, on_hub, parcel.work, adopted)
    changes = card_file.changes(merged, on_hub) if on_hub is not None else ""
    card_file.write(parcel.model, merged)
    if (path := parcel.model / FILE_NAME).read_bytes() != (text := record.to_json()).encode():
        files.write(path, text)
    if parcel.space:
        write_space(record, folder, None, console, parcel.id, parcel.space_id)
    leaks.refuse([folder for folder in (parcel.model, parcel.space) if folder], record.signed_as)
    return replace(parcel, expects=sight), changes


def _without_weights(record: Record, parcel: "Upload") -> tuple[Record, "Upload"]:
    """Lay out the view that goes in the place of the whole model folder, and the record that says so."""
    if parcel.space:
        weightless.require_for_space(record, (parcel.model / MASK).is_file())
    view = weightless.lay_out(parcel.model, parcel.work / weightless.VIEW, record)
    return weightless.recipe_of(record), replace(parcel, model=view)


def _behind_a_gate(ways: PublishOptions, on_hub: str | None) -> bool:
    """Whether people have to ask: as wished for, or as it is."""
    there = parse(on_hub or "")
    return ways.gated is not None or (there is not None and there.target.gated)


def parcel_of(folder: Path, name: str, publisher: Publisher, space: bool, ways: PublishOptions) -> "Upload":
    """Say which folders go where; they need not be there yet.

    Raises:
        BadOption: The Hub would refuse a name, or the Space is to go where the account may not write.
    """
    from release import hub

    repo_id = ways.into or f"{publisher.namespace}/{name}"
    space_id = ways.space_into or repo_id
    hub.check_names(repo_id, space_id)
    hub.check_namespace(publisher.account, space_id.split("/")[0])
    model = model_folder(folder) if folder.is_dir() else folder / "model"
    return hub.Upload(model, folder / "space" if space else None, repo_id, work_folder(folder), space_id=space_id)


def work_folder(folder: Path) -> Path:
    """Where a release's markers and caches lie: beside its model folder, or hidden inside it."""
    alone = folder.is_dir() and model_folder(folder) == folder
    return folder / (".release" if alone else "work")


def login_for(namespace: str | None, ways: PublishOptions) -> Publisher:
    """Return who publishes and under which name, once the Hub has accepted who is asking.

    Nothing is pruned before this is settled.

    Raises:
        NotLoggedIn: There is no token, or the Hub refuses it.
        BadOption: The account may not publish there, or --to and --into name two namespaces.
    """
    from release import hub

    owner = ways.into.split("/")[0] if ways.into else namespace
    if namespace is not None and owner != namespace:
        raise BadOption(f"--to {namespace} and --into {ways.into} name two namespaces.", "Leave out --to.")
    namespace = owner
    account = hub.login("publishing")
    return Publisher(account, hub.check_namespace(account, namespace))


def require_admitted(parcel: "Upload", ways: PublishOptions, publisher: Publisher) -> None:
    """Refuse, before any work, to go where this release, or this token, may not; changes nothing.

    Raises:
        NotLoggedIn: The token has no right to write there.
        OutputConflict: See `release.hub.admission.admitted`.
    """
    from release import hub

    hub.require_rights(publisher.account, [target.id for target in parcel.targets(ways.revision)])
    hub.standing_card(parcel, ways)


def take_names(parcel: "Upload", ways: PublishOptions, publisher: Publisher, console: Console) -> "Upload":
    """Make both repositories, private and empty: what the Hub refuses is known before any work.

    Returns:
        The parcel, and what its repositories hold.
    """
    from release import hub

    require_admitted(parcel, ways, publisher)
    return replace(parcel, expects=hub.claim(parcel, ways, console=console))


def write_space(
    record: Record,
    folder: Path,
    bbq_data: Path | None,
    console: Console,
    repo_id: str | None = None,
    space_id: str | None = None,
) -> None:
    """Write the Space of a release, for the repositories that the model and it go to where these are known."""
    from release.evals.bbq.examples import examples
    from release.space import build as space

    dense_id = record.base.id if record.base.on_hub else None
    chosen = examples(folder / "model", bbq_data, console)
    space.write_folder(record, folder / "space", dense_id, repo_id or record.name, chosen, space_id or repo_id)
