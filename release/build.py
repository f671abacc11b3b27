"""From plans to finished releases: the one spine of `publish`, `prune` and every grid of plans.

    Base ─prune→ model/ + Pruning ─audit→ Audited ─measure→ Measurements
         ─record→ release.json ─card→ README.md ─space→ space/

`open_bench` finds the base, checks all that may refuse, and lays out what will be asked of every model; `claimed` takes
the folders; `build` then makes one release after the other. Plans that differ in sparsity alone share one read.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from release import files
from release.asked import settled
from release.build_record import describe
from release.card import file as card_file
from release.checkpoint.files import Folder
from release.checkpoint.folder import Checkpoint, open_checkpoint
from release.checkpoint.forms import refuse_embeddings
from release.checkpoint.prunable import prunable
from release.checkpoint.steady import steady
from release.digests import FileDigest
from release.errors import BadOption
from release.evals import cache
from release.evals import spread as seeds
from release.evals.storage.result import Storage
from release.evals.work import ModelPair
from release.format import listed
from release.formats import derived
from release.models.class_check import class_answer
from release.place import require_place
from release.plan import Plan
from release.progress import Console
from release.pruning import masks
from release.pruning.prune import Calibrating, Job, PruneContext, forget_blocks, prune, require_room
from release.pruning.prune_tensor import require_rows
from release.publishing import leaks
from release.schema.measurements import Mask, Measurements
from release.schema.record import FILE_NAME, Pruning, Record
from release.settings.recipe import CalibrationPlan
from release.sources.base import BaseModel, resolve
from release.space.write import write_space
from release.stages import Stage
from release.verification import sparsity_table as sparsity
from release.verification import weightless
from release.verification.audit import Audited, audit
from release.verification.read_back import read_back
from release.verification.signing import Signer
from release.workspace import Workspace, carry_side_files, require_side_files

if TYPE_CHECKING:
    from release.evals.eval_plan import EvalPlan
    from release.hub import Pushed

TextKey = tuple[CalibrationPlan, int, Path | None] | None
"""What decides a calibration text: how it is cut, the seed that draws from it, and the file; None for none."""


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


@dataclass(frozen=True)
class PlannedRelease:
    """A plan, and where what it asks for is built.

    Attributes:
        signer: Who the record is to say has signed; None for nobody.
    """

    plan: Plan
    workspace: Workspace
    signer: Signer | None = None


@dataclass(frozen=True)
class Bench:
    """A base model, and all that plans for it are made with.

    Attributes:
        eval_plan: What dense and pruned are asked; None where nothing is measured.
        contexts: What pruning works with, for each calibration text.
    """

    base: BaseModel
    eval_plan: "EvalPlan | None"
    contexts: Mapping[TextKey, PruneContext]
    console: Console

    @property
    def checkpoint(self) -> Checkpoint:
        """The base's files."""
        return self.base.checkpoint

    def close(self) -> None:
        """Let go of what measuring keeps from one copy to the next; what is built after begins anew."""
        if self.eval_plan is not None:
            self.eval_plan.close()


@dataclass(frozen=True)
class PrunedCopy:
    """A pruned model folder that passed the audit."""

    pruning: Pruning
    audited: Audited


def open_bench(plans: Sequence[Plan], console: Console, measured: bool = True, *, brief: bool = False) -> Bench:
    """Find the base of some plans, and refuse whatever cannot be done with it, before any work.

    Args:
        plans: One at least. They may differ in their recipes.
        measured: Whether what the plans say of measuring counts.
        brief: Whether what is refused is enough, since nothing is built on the bench.

    Raises:
        BadOption: The plans are of several bases, or are measured in several ways; there is no such device; an amount
            is not understood; or a recipe does not fit the base.
        UnusableBase: It cannot be pruned, or not be asked what it is to be asked.
        MissingSource: Data cannot be fetched.
        UnusableData: Data were altered or are too short, or a prompt does not fit the model.
    """
    first = plans[0]
    console.begin(Stage.CHECK)
    _require_one_base(plans)
    for plan in plans:
        require_place(plan.out, plan.model)
    base = resolve(first.model, console, first.identity)
    if base.left:
        console.say(f"Left behind, since no loader of weights or tokenizer reads them: {listed(base.left, 20)}.")
    _require_prunable(base.checkpoint)
    for plan in plans:
        _require_recipe(base.checkpoint, plan)
    eval_plan = _eval_plan(base.checkpoint, first, console, brief=brief) if measured else None
    contexts: dict[TextKey, PruneContext] = {}
    for plan in plans:
        if (key := _text_key(plan)) not in contexts:
            contexts[key] = _prune_context(plan, base, console)
    return Bench(base, eval_plan, contexts, console)


def _require_one_base(plans: Sequence[Plan]) -> None:
    first = plans[0]
    if any((p.model, p.identity, p.measuring) != (first.model, first.identity, first.measuring) for p in plans):
        raise BadOption(
            "The plans are of several bases, or are measured in several ways.",
            "Give plans together that share model, identity and measuring; make the others by a call of their own.",
        )


def _require_prunable(base: Checkpoint) -> None:
    """Refuse a checkpoint that cannot be pruned, before any work; its class is asked for this once, whatever the plans.

    Raises:
        UnusableBase: Names the tensor or module.
    """
    require_side_files(base.folder)
    refuse_embeddings(Folder(base.folder).name, Folder(base.folder).sizes)
    class_answer(base)


def _require_recipe(base: Checkpoint, plan: Plan) -> None:
    """Refuse a plan whose recipe does not fit the base.

    Raises:
        BadOption: See `require_rows`; or the method leaves no mask to publish.
    """
    require_rows(base.folder, {name: base.shapes[name] for name in prunable(base)}, plan.recipe)
    require_masks(plan)


def require_masks(plan: Plan) -> None:
    """Refuse a mask, or a release without weights, that would not give the weights again; the base is not asked.

    Raises:
        BadOption: Names the option.
    """
    if plan.with_mask:
        masks.require_enough(plan.recipe)
    if plan.publication.weights == "none":
        weightless.require_enough(plan.recipe, plan.with_mask)


def _eval_plan(base: Checkpoint, plan: Plan, console: Console, *, brief: bool = False) -> "EvalPlan":
    from release.evals.eval_plan import prepare

    return prepare(base.folder, plan.measuring, console, brief=brief)


def _text_key(plan: Plan) -> TextKey:
    asked = plan.recipe.calibration
    return None if asked is None else (asked, plan.recipe.seed, plan.calibration_file)


def _prune_context(plan: Plan, base: BaseModel, console: Console) -> PruneContext:
    """Bring what pruning works with: for calibrated methods a device and text that nothing is measured on."""
    if plan.recipe.calibration is None:
        return PruneContext(plan.threads)
    from release.models.device import choose_device
    from release.models.load import require_known
    from release.pruning.calibration import TextReader, calibration_text
    from release.sources.text import read_text

    device = choose_device(plan.measuring.device)
    folder = base.checkpoint.folder
    reader = TextReader.of(folder, on_hub=base.source == "hub")
    text = calibration_text(plan.recipe.calibration, plan.calibration_file, reader, plan.recipe.seed, console)
    require_known(folder, text.ids.tolist())
    if plan.measuring.perplexity != "off":
        text.require_apart(read_text(plan.measuring.text, console, plan.measuring.perplexity_preset)[0])
    return PruneContext(plan.threads, Calibrating(text, device))


@contextmanager
def claimed(bench: Bench, planned: Sequence[PlannedRelease]) -> Iterator[None]:
    """Take the folders of all releases that will be built, for as long as they are built.

    Raises:
        OutputConflict: One holds something else, another run is at work there, or its card was edited where it is
            generated.
        DiskFull: There is no room for the weights.
    """
    with ExitStack() as claims:
        for each in planned:
            claims.enter_context(each.workspace.claimed(bench.checkpoint, each.plan.recipe))
            card_file.require_intact(each.workspace.model, each.workspace.record())
        # One further mask lies beside the published one at a time.
        copies = [each.workspace.model for each in planned for _ in range(min(each.plan.seeds, 2))]
        require_room(bench.checkpoint, copies)
        yield


def build(bench: Bench, planned: Sequence[PlannedRelease]) -> Iterator[Release]:
    """Build releases in folders that are claimed, and yield each as soon as it is finished.

    Those that differ in sparsity alone come one after the other.

    Raises:
        AuditFailed: What was written is not what was planned.
        UnusableBase: The base was changed meanwhile.
        LeakFound: A release would give away what is private.
    """
    with closing(bench):
        for batch in _batches(planned):
            for each, copy in zip(batch, pruned(bench, batch), strict=True):
                yield _built(bench, each, copy)


def _built(bench: Bench, each: PlannedRelease, copy: PrunedCopy) -> Release:
    """Measure a pruned copy, and write all that is said of it."""
    measurements = _measured(bench, each, copy)
    bench.console.begin(Stage.RECORD)
    record = _recorded(bench, each, copy, measurements)
    if each.workspace.folder.alone:
        each.workspace.close()
    else:
        write_space(record, each.workspace.folder, each.plan.measuring.bbq_data, bench.console)
    return Release(each.workspace.folder.root, record)


def _batches(planned: Sequence[PlannedRelease]) -> list[list[PlannedRelease]]:
    """Put together what one read can make."""
    found: dict[str, list[PlannedRelease]] = {}
    for each in planned:
        found.setdefault(each.plan.batch, []).append(each)
    return list(found.values())


def pruned(bench: Bench, batch: Sequence[PlannedRelease], context: PruneContext | None = None) -> list[PrunedCopy]:
    """Write pruned model folders, all from one read, and read each again; only what passed the gate comes back.

    Args:
        batch: Their recipes differ in sparsity alone.
        context: What to prune with; by default what the bench holds for the first.

    Raises:
        AuditFailed: The written files are not what was planned.
    """
    base, made = bench.checkpoint, []
    context = context or bench.contexts[_text_key(batch[0].plan)]
    places = [each.workspace for each in batch]
    wanted = [
        Job(each.plan.recipe, at.model, at.work, sparsity.known_budgets(at.model))
        for each, at in zip(batch, places, strict=True)
    ]
    bench.console.begin(Stage.PRUNE)
    with steady(base.stamps), read_back(base, wanted) as (jobs, readers):
        copies = prune(base, jobs, bench.console, context)
        for each, job, reader, copy in zip(batch, jobs, readers, copies, strict=True):
            pruning = each.workspace.remember(copy.pruning)
            bench.console.begin(Stage.AUDIT)
            carry_side_files(base.folder, each.workspace.model)
            written = open_checkpoint(each.workspace.model)
            audited = audit(reader, written, each.plan.recipe, copy.budgets, copy.sums, bench.console)
            sparsity.write(audited.table, each.workspace.model)
            forget_blocks(job)
            if each.plan.with_mask:
                masks.write(written, each.workspace.model, bench.console)
            made.append(PrunedCopy(pruning, audited))
    return made


def _measured(bench: Bench, each: PlannedRelease, copy: PrunedCopy) -> Measurements:
    """Put dense and pruned side by side, and one mask beside others of its kind, as the plan asks for."""
    if bench.eval_plan is None:
        storage = Storage.of(copy.audited.base_files, copy.audited.audit.files)
        return Measurements.model_validate({"storage": storage})
    with steady(bench.checkpoint.stamps):
        found = _side_by_side(bench, bench.eval_plan, each, copy)
        return _beside_other_masks(bench, each, copy, found)


def _side_by_side(bench: Bench, eval_plan: "EvalPlan", each: PlannedRelease, copy: PrunedCopy) -> Measurements:
    """Measure dense and pruned, or recall what was measured on these very files."""
    from release.evals.run import measure

    workspace, weights = each.workspace, _weights(copy)
    key = cache.key_of(weights["dense"], weights["pruned"], each.plan.measuring)
    if known := cache.recall(workspace, key):
        bench.console.say("These very files were measured before; their numbers are taken over.")
        return known
    for folder in cache.FOLDERS:
        shutil.rmtree(workspace.model / folder, ignore_errors=True)
    models = ModelPair(bench.checkpoint.folder, workspace.model, weights)
    result = measure(eval_plan, models, workspace.model, bench.console, logs=workspace.work)
    cache.remember(workspace, key, result)
    return result


def _beside_other_masks(bench: Bench, each: PlannedRelease, copy: PrunedCopy, found: Measurements) -> Measurements:
    """Add the spread between masks: each further one is pruned, measured beside the same base, and removed.

    They are asked the very items that the published one was asked, whatever chose these.
    """
    plan, work = each.plan, each.workspace.work
    if plan.seeds == 1:
        return found
    key = cache.key_of(copy.audited.base_files, copy.audited.audit.files, plan.measuring)
    same = {"precision": None, "latency": "off", "divergence": "off", "log_format": None}
    asked = settled(plan.measuring.model_copy(update=same), found.bbq)
    eval_plan, known = None, [seeds.published(found, plan.recipe.seed)]
    for further in plan.further():
        if (mask := seeds.recall(work, key, further.recipe.seed)) is None:
            alike = further.model_copy(update={"measuring": asked})
            eval_plan = eval_plan or _eval_plan(bench.checkpoint, alike, bench.console)
            mask = _further_mask(bench, each, further, eval_plan)
            seeds.remember(work, key, mask)
        known.append(mask)
    return found.model_copy(update={"masks": seeds.spread_of(known)})


def _further_mask(bench: Bench, each: PlannedRelease, further: Plan, eval_plan: "EvalPlan") -> Mask:
    from release.evals.masks import measured

    seed = further.recipe.seed
    bench.console.begin(Stage.MASK)
    bench.console.say(f"A further mask, of seed {seed}, is measured and removed again.")
    with each.workspace.further() as place:
        copies = pruned(bench, [PlannedRelease(further, place)], bench.contexts[_text_key(each.plan)])
        models = ModelPair(bench.checkpoint.folder, place.model, _weights(copies[0]))
        return measured(eval_plan, seed, models, bench.console)


def _weights(copy: PrunedCopy) -> dict[str, tuple[FileDigest, ...]]:
    """The weight files of both sides."""
    return {"dense": copy.audited.base_files, "pruned": copy.audited.audit.files}


def _recorded(bench: Bench, each: PlannedRelease, copy: PrunedCopy, measurements: Measurements) -> Record:
    """Write release.json and the card into a model folder whose other files are all there.

    A record that says the same but for its date stands: a rerun changes nothing.
    """
    model = each.workspace.model
    signed_as = each.signer.signed_as(bench.console) if each.signer else None
    found = describe(each.plan, bench.base, copy.pruning, copy.audited, measurements, model)
    record, known = found.model_copy(update={"signed_as": signed_as}), each.workspace.record()
    # What is derived holds the date: a rerun that changes nothing leaves it, too, as it was.
    dated = record.model_copy(update={"created": known.created}) if known else record
    if known is None or (record := derived.added(dated, model)) != known:
        record = derived.added(found.model_copy(update={"signed_as": signed_as}), model)
    files.write(model / FILE_NAME, record.to_json())
    card_file.write(model, card_file.renewed(model, record))
    leaks.refuse([model], signed_as)
    return record
