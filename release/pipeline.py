"""How a release comes to be, top to bottom.

    MODEL ─resolve→ Base ─prune→ model/ + Pruned ─audit→ Audit ─measure→ Measurements
          ─record→ release.json ─render→ README.md ─space→ space/ [─sign→ model.sig] ─push→ Hub (model repo + Space)

This is the one place that knows the order. Every step takes frozen values and gives one; nothing flows backwards.
"""

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from release import files
from release.build_record import describe, settled
from release.card import file as card_file
from release.card.merge import Merged
from release.card.parts import NOWHERE
from release.checkpoint.files import Folder
from release.checkpoint.folder import Checkpoint, model_folder, open_checkpoint
from release.checkpoint.forms import refuse_embeddings
from release.checkpoint.prunable import prunable
from release.checkpoint.steady import steady
from release.contents import is_own
from release.evals import cache as memory
from release.evals import spread as seeds
from release.evals.storage.result import Storage
from release.format import listed
from release.models import classes
from release.plan import Measuring, Plan
from release.progress import Console
from release.pruning import masks
from release.pruning.prune import Calibrating, Job, PruneContext, forget_blocks, prune, require_room
from release.pruning.prune_tensor import require_rows
from release.pruning.rebuild import rebuild as rebuild_weights
from release.pruning.recipe import Recipe
from release.publishing import leaks
from release.publishing.upload import login_for, parcel_of, push_release, take_names, write_space
from release.schema.measurements import Measurements
from release.schema.record import CARD, FILE_NAME, Pruning, Record, Signed
from release.sources.base import BaseModel, resolve
from release.verification import signing, weightless
from release.verification import sparsity_table as sparsity
from release.verification.audit import Audited, audit, refuse_failed
from release.verification.closure import check_method
from release.verification.verify import required_record, verify
from release.workspace import Workspace, carry_files, carry_side_files, place_for_answers, require_side_files

if TYPE_CHECKING:
    from release.evals.run import EvalPlan
    from release.hub import Pushed


@dataclass(frozen=True)
class Release:
    """A finished release.

    Attributes:
        folder: Where it lies: model/, space/ and work/, or a single model folder.
        pushed: What the Hub answered; None for a release that stays here.
    """

    folder: Path
    record: Record
    pushed: "Pushed | None" = None


def publish(plan: Plan, console: Console, key: Path | None = None) -> Release:
    """Make a release: the whole path of the flow above.

    Args:
        key: The private key that its files are signed with at last.

    Raises:
        ReleaseError: Any of its kinds; see `release.errors`.
    """
    signer = signing.signer(key) if key else None
    publisher = None if plan.local else login_for(plan.namespace, plan.ways)
    base = resolve(plan.model, console, plan.identity)
    say_left_behind(base, console)
    require_prunable(base.checkpoint, plan)
    desk = measuring_means(plan.measuring, base.checkpoint, console)
    means = pruning_means(plan, base, console)
    folder = plan.out / plan.name(base.slug)
    parcel = parcel_of(folder, folder.name, publisher, plan.space, plan.ways) if publisher else None
    workspace = Workspace(folder / "model", folder / "work")
    with workspace.claimed(base.checkpoint, plan.recipe):
        card_file.require_intact(workspace.model, workspace.record())
        if parcel and publisher:
            parcel = take_names(parcel, plan.ways, publisher, console)
        require_room(base.checkpoint, [workspace.model] * min(plan.seeds, 2))
        with steady(base.checkpoint.stamps):
            [(pruning, audited)] = prune_and_audit(base.checkpoint, [(plan, workspace)], means, console)
            measurements = measured(base.checkpoint, audited, desk, workspace, console)
            measurements = with_masks(plan, base.checkpoint, audited, measurements, means, workspace, console)
        signed_as = signer.signed_as(console) if signer else None
        whole = plan.ways.weights == "all"
        record = write_record(plan, base, pruning, audited, measurements, workspace, signed_as if whole else None)
        write_space(record, folder, plan.measuring.bbq_data, console)
        if publisher is None:
            signing.settle(workspace.model, signer, console, record.audit.files)
            return Release(folder, record)
        signed = record.model_copy(update={"signed_as": signed_as})
        pushed = push_release(folder, signed, publisher, plan.ways, plan.space, console, signer, parcel)
        return Release(folder, record, pushed)


def say_left_behind(base: BaseModel, console: Console) -> None:
    """Tell which files of the base the release will not hold."""
    if base.left:
        console.say(f"Left behind, since no loader of weights or tokenizer reads them: {listed(base.left, 20)}.")


def require_prunable(base: Checkpoint, plan: Plan) -> None:
    """Refuse a checkpoint that cannot be pruned as asked, before any work.

    Raises:
        UnusableBase: Names the tensor or module.
        BadOption: See `require_rows`; or the method leaves no mask to publish.
    """
    from release.models.fitness import require_fit

    require_side_files(base.folder)
    refuse_embeddings(Folder(base.folder).name, Folder(base.folder).sizes)
    model = require_fit(base.folder, base.shapes)
    classes.require_prunable(model, base.config, {t.name: (t.dtype, t.shape) for t in base.tensors()})
    require_rows(base.folder, {name: base.shapes[name] for name in prunable(base)}, plan.recipe)
    if plan.with_mask:
        masks.require_enough(plan.recipe)
    if plan.ways.weights == "none":
        weightless.require_enough(plan.recipe, plan.with_mask)


def pruning_means(plan: Plan, base: BaseModel, console: Console) -> PruneContext:
    """Bring what pruning works with: for calibrated methods a device and text that nothing is measured on.

    Raises:
        BadOption: There is no such device, or the windows are longer than the model reads.
        MissingSource: The text cannot be fetched.
        UnusableData: The text is too short, or is what perplexity is measured on.
    """
    if plan.recipe.calibration is None:
        return PruneContext(plan.threads)
    from release.models.device import choose_device
    from release.models.load import context_window, read_config, read_tokenizer, require_known
    from release.pruning.calibration import calibration_text
    from release.sources.text import read_text

    device = choose_device(plan.measuring.device)
    folder = base.checkpoint.folder
    text = calibration_text(
        plan.recipe.calibration,
        plan.calibration_file,
        read_tokenizer(folder),
        context_window(read_config(folder)),
        base.source == "hub",
        plan.recipe.seed,
        console,
    )
    require_known(folder, text.ids.tolist())
    if plan.measuring.perplexity != "off":
        text.require_apart(read_text(plan.measuring.text, console)[0])
    return PruneContext(plan.threads, Calibrating(text, device))


def prune_and_audit(
    base: Checkpoint, wanted: Sequence[tuple[Plan, Workspace]], means: PruneContext, console: Console
) -> list[tuple[Pruning, Audited]]:
    """Write pruned model folders, all from one read, and read each again; only what passed the gate comes back.

    Raises:
        AuditFailed: The written files are not what was planned.
    """
    jobs = [Job(plan.recipe, where.model, where.work, sparsity.known_budgets(where.model)) for plan, where in wanted]
    results = []
    for (plan, where), job, pruned in zip(wanted, jobs, prune(base, jobs, console, means), strict=True):
        pruning = where.remember(pruned.pruning)
        carry_side_files(base.folder, where.model)
        written = open_checkpoint(where.model)
        audited = audit(base, written, plan.recipe, pruned.budgets, pruned.files, console)
        sparsity.write(audited.table, where.model)
        forget_blocks(job)
        if plan.with_mask:
            masks.write(written, where.model, console)
        results.append((pruning, audited))
    return results


def write_record(
    plan: Plan,
    base: BaseModel,
    pruning: Pruning,
    audited: Audited,
    measurements: Measurements,
    workspace: Workspace,
    signed_as: Signed | None = None,
) -> Record:
    """Write release.json and the card into a model folder whose other files are all there.

    A record that says the same but for its date stands: a rerun changes nothing.
    """
    model = workspace.model
    found = describe(plan, base, pruning, audited, measurements, model)
    record = found.model_copy(update={"signed_as": signed_as})
    if (known := workspace.record()) and record.same_but_date(known):
        record = known
    files.write(model / FILE_NAME, record.to_json())
    card_file.write(model, card_file.renewed(model, record))
    leaks.refuse([model], signed_as)
    return record


def prune_only(plans: Sequence[Plan], console: Console) -> list[Release]:
    """Write complete pruned model folders, with their records; nothing is measured but storage.

    Args:
        plans: They differ in sparsity alone. One is written to its `out`; several to folders of their own inside.
    """
    base = resolve(plans[0].model, console, plans[0].identity)
    say_left_behind(base, console)
    for plan in plans:
        require_prunable(base.checkpoint, plan)
    means = pruning_means(plans[0], base, console)
    wanted = [(plan, _pruned_workspace(plan, base, several=len(plans) > 1)) for plan in plans]
    with ExitStack() as claims:
        for plan, workspace in wanted:
            claims.enter_context(workspace.claimed(base.checkpoint, plan.recipe))
        with steady(base.checkpoint.stamps):
            results = prune_and_audit(base.checkpoint, wanted, means, console)
        records = [_record_pruned(*each, base, *result) for each, result in zip(wanted, results, strict=True)]
        return [_finished(workspace, record) for (_, workspace), record in zip(wanted, records, strict=True)]


def _pruned_workspace(plan: Plan, base: BaseModel, several: bool) -> Workspace:
    folder = plan.out / plan.name(base.slug) if several else plan.out
    return Workspace(folder, folder / ".release")


def _record_pruned(plan: Plan, workspace: Workspace, base: BaseModel, pruning: Pruning, audited: Audited) -> Record:
    nothing = Measurements(bbq=None, perplexity=None, latency=None, storage=storage_of(audited))
    return write_record(plan, base, pruning, audited, nothing, workspace)


def _finished(workspace: Workspace, record: Record) -> Release:
    workspace.close()
    return Release(workspace.model, record)


def rebuild(release: Path, base: str, out: Path, console: Console) -> Path:
    """Make a release's model folder from its base, without the release's weights; every file is checked by hash.

    It is made and verified aside, and only then put where it was asked for: what a record that nobody vouches for asks
    for is not there for a moment. Of the release only files of this tool's own are taken; all others are the base's.

    Args:
        release: A release or its model folder; weight files are not needed.

    Raises:
        OutputConflict: `out` holds something else, or `release` has no record.
        AuditFailed: What was made is not the release.
        BadOption: It cannot be made from the base.
    """
    source = model_folder(release)
    record = required_record(source)
    refuse_failed([check_method(record.pruning)])
    dense = resolve(base, console).checkpoint
    recipe = Recipe.recorded(record.pruning)
    workspace = Workspace(out, out / ".release")
    with workspace.claimed(dense, recipe), workspace.aside() as made:
        rebuild_weights(dense, recipe, masks.published(source), record.audit.files, made, console)
        carry_side_files(dense.folder, made)
        own = [file.name for file in record.files if is_own(file.name) and (source / file.name).is_file()]
        carry_files(source, made, dict.fromkeys([*own, FILE_NAME, CARD]))
        if weightless.is_recipe(record):
            _say_whole(made, weightless.whole(record))
        refuse_failed(verify(Folder(made), lambda: Folder(dense.folder), console).checks)
    return out


def _say_whole(made: Path, record: Record) -> None:
    """Write record and card anew for a model folder that holds its weights again; nobody signed that one."""
    alone = record.model_copy(update={"signed_as": None})
    card_file.write(made, card_file.renewed(made, alone, NOWHERE))
    files.write(made / FILE_NAME, alone.to_json())


def storage_of(audited: Audited) -> Storage:
    """Bytes of the weight files, dense and pruned."""
    return Storage(
        dense_bytes=sum(file.bytes for file in audited.base_files),
        pruned_bytes=sum(file.bytes for file in audited.audit.files),
    )


def measuring_means(plan: Measuring, base: Checkpoint, console: Console) -> "EvalPlan":
    """Lay out all that both models will be asked, so that what is missing or does not fit stops a run before any work.

    Raises:
        BadOption: There is no such device, or an amount is not understood.
        MissingSource: Data cannot be fetched.
        UnusableBase: The tokenizer cannot be used as asked, or two models do not fit beside each other for latency.
        UnusableData: Data were altered or are too short, or a prompt does not fit the model.
    """
    from release.evals.run import prepare

    return prepare(base.folder, plan, console)


def measured(
    base: Checkpoint, audited: Audited, desk: "EvalPlan", workspace: Workspace, console: Console
) -> Measurements:
    """Measure dense and pruned side by side, or recall what was measured on these very files."""
    from release.evals.run import measure

    files = {"dense": audited.base_files, "pruned": audited.audit.files}
    key = memory.key_of(files["dense"], files["pruned"], desk.plan)
    if known := memory.recall(workspace, key):
        console.say("These very files were measured before; their numbers are taken over.")
        return known
    for folder in memory.FOLDERS:
        shutil.rmtree(workspace.model / folder, ignore_errors=True)
    result = measure(desk, base.folder, workspace.model, workspace.model, console, files, logs=workspace.work)
    memory.remember(workspace, key, result)
    return result


def with_masks(
    plan: Plan,
    base: Checkpoint,
    audited: Audited,
    found: Measurements,
    means: PruneContext,
    workspace: Workspace,
    console: Console,
) -> Measurements:
    """Add the spread between masks: each further one is pruned, measured beside the same base, and removed.

    They are asked the very items that the published one was asked, whatever chose these.
    """
    if plan.seeds == 1:
        return found
    from release.evals.masks import measured as measure_mask

    key = memory.key_of(audited.base_files, audited.audit.files, plan.measuring)
    same = {"precision": None, "latency": "off", "log_format": None}
    asked = settled(plan.measuring.model_copy(update=same), found.bbq)
    desk = None
    masks = [seeds.published(found, plan.recipe.seed)]
    for each in plan.further():
        if (known := seeds.recall(workspace.work, key, each.recipe.seed)) is None:
            desk = desk or measuring_means(asked, base, console)
            console.say(f"A further mask, of seed {each.recipe.seed}, is measured and removed again.")
            with workspace.further() as place:
                [(_, made)] = prune_and_audit(base, [(each, place)], means, console)
                digests = {"dense": audited.base_files, "pruned": made.audit.files}
                known = measure_mask(desk, each.recipe.seed, base.folder, place.model, digests, console)
            seeds.remember(workspace.work, key, known)
        masks.append(known)
    return found.model_copy(update={"masks": seeds.spread_of(masks)})


def measure_only(pruned: Path, base: str, plan: Measuring, out: Path | None, console: Console) -> Measurements:
    """Measure any pruned model beside its base; per-item answers and figures go to `out`, where one is given."""
    from release.evals.run import measure

    folder = model_folder(pruned)
    dense = resolve(base, console).checkpoint
    desk = measuring_means(plan, dense, console)
    model = open_checkpoint(folder)
    with steady(dense.stamps), steady(model.stamps), place_for_answers(out) as place:
        return measure(desk, dense.folder, model.folder, place, console)


def render_again(folder: Path) -> Path:
    """Write the card of a release anew, from its record alone, and return its path.

    Raises:
        OutputConflict: Somebody wrote where it is generated.
    """
    return card_file.write(model_folder(folder), _card_again(folder))


def card_changes(folder: Path) -> str:
    """Return how the card of a release would change if it were written anew; "" for not at all."""
    return card_file.changes(_card_again(folder), card_file.text_of(model_folder(folder)))


def _card_again(folder: Path) -> Merged:
    model = model_folder(folder)
    return card_file.renewed(model, required_record(model))


def run_space(releases: list[Path], base: str | None, console: Console) -> None:
    """Run the Space of one or more releases of the same base on this machine, until interrupted."""
    from release import local_space

    records = [required_record(model_folder(release)) for release in releases]
    dense = resolve(base or _base_of(records[0]), console).checkpoint.folder
    local_space.run(releases, dense, console)


def _base_of(record: Record) -> str:
    if record.base.source == "demo":
        return "demo"
    return f"{record.base.id}@{record.base.revision}" if record.base.revision else record.base.id
