"""Verification by closure: the whole folder is what pruning the base would write, and nothing beside it.

Whatever file somebody's loader would take first is then either the base's, byte for byte, or not there.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence

from release import contents
from release.checkpoint.files import FOLDER, Files
from release.checkpoint.folder import Checkpoint
from release.checkpoint.loading import INDEX
from release.checkpoint.tally import Movement, TensorCount
from release.errors import InputError
from release.format import listed
from release.pruning.recipe import Recipe, recorded_options
from release.pruning.registry import METHODS
from release.schema.record import Check, Pruning, Record
from release.verification.inspection import Inspection

FURTHEST = 2.0
"""How far kept weights may move in one tensor, as a share of the norm of the weights it lost.

SparseGPT makes up for what it takes: on four architectures at sparsities from 5 % to 95 % the share was 0.2 to 1.04.
"""
SCALES = (0.5, 1.5)
"""Between which factors the weights kept in one tensor may lie to the base's; there it was 0.80 to 1.10."""


def check_contents(files: Files, record: Record | None, weights: Collection[str]) -> Check:
    """No file lies there beside what a release of this tool holds, whatever its record says.

    Of a model that another tool made nothing is known but what a loader would take instead of what was counted; that
    is refused where the model is opened.

    Args:
        files: As they were published.
        weights: The names of the weight files that belong there; without any, no index does.
    """
    names, theirs = files.sizes.keys(), theirs_of(files, record)
    wrong = contents.unexpected(names, weights) + [INDEX] * (INDEX in names and not weights)
    wrong += [
        f"{name}, {kind}"
        for name, kind in sorted(files.others.items())
        if kind != FOLDER and not contents.is_of_the_way(name)
    ]
    if record is None:
        detail = "made by another tool: no list says what belongs to it" + (
            f"; beside it: {listed(wrong)}" * bool(wrong)
        )
        return Check(name="contents", ok=None, detail=detail)
    if wrong:
        kind = "release of this tool" if weights else "release without weights"
        detail = f"no {kind} holds {listed(wrong)}; some loader may take it instead (delete it)"
        return Check(name="contents", ok=False, detail=detail)
    added = f"; added by a person, and read by no loader: {listed(theirs)}" if theirs else ""
    return Check(name="contents", ok=True, detail=f"{len(names)} files, none beside those of a release{added}")


def theirs_of(files: Files, record: Record | None) -> tuple[str, ...]:
    """The files that a person added and the record does not list."""
    recorded = {file.name for file in record.files} if record else set()
    return tuple(sorted(name for name in files.sizes if name not in recorded and contents.is_theirs(name)))


def check_plan(record: Record) -> Check:
    """What was asked for is what the record says was done."""
    plan, done = record.plan, recorded_options(record.pruning)
    wrong = [field for field in type(done).model_fields if getattr(plan.recipe, field) != getattr(done, field)]
    wrong += ["seed of the samples"] * (plan.measuring.seed != plan.recipe.seed)
    return Check(name="plan", ok=not wrong, detail=listed(wrong) or "what was asked for is what was done")


def check_method(pruning: Pruning) -> Check:
    """What the record says of the method is what the registry knows: a record is its maker's, the registry is not."""
    wrong = list(_contradictions(pruning))
    detail = listed(wrong) or f"{pruning.method}, version {pruning.algorithm_version}, as this tool knows it"
    return Check(name="method", ok=not wrong, detail=detail)


def _contradictions(pruning: Pruning) -> Iterator[str]:
    row = METHODS.get(pruning.method)
    if row is None:
        yield f"there is no method {pruning.method!r}"
        return
    if not 1 <= pruning.algorithm_version <= row.version:
        yield f"there is no version {pruning.algorithm_version} of {row.key}: this tool knows 1 to {row.version}"
    if pruning.updates_kept_weights != row.updates_kept_weights:
        yield f"{row.key} {'changes' if row.updates_kept_weights else 'never changes'} the weights it keeps"
    if not 0 < pruning.target_sparsity < 1:
        yield "the target sparsity lies outside 0 to 1"
    try:
        recipe = Recipe.recorded(pruning)
    except InputError as error:
        yield error.seen
        return
    if (recipe.calibration is None) == (row.calibrated or recipe.allocation == "owl"):
        yield f"{row.key} is {'never' if recipe.calibration else 'always'} calibrated"


def updates(pruning: Pruning) -> bool:
    """Whether the method may change weights that it keeps; by the registry, whatever the record says."""
    row = METHODS.get(pruning.method)
    return row is not None and row.updates_kept_weights


def check_headers(base: Checkpoint, written: Checkpoint) -> Check:
    """The same weight files, and in each the same header byte for byte: every tensor of the base, and no other."""
    due, held = ({h.path.name: h for h in each.headers} for each in (base, written))
    wrong = [f"{name} is missing" for name in sorted(due.keys() - held.keys())]
    wrong += [f"the base has no {name}" for name in sorted(held.keys() - due.keys())]
    wrong += list(tensor_differences(base, written))
    both = sorted(due.keys() & held.keys())
    wrong += [f"the header of {name} is another" for name in both if due[name].raw != held[name].raw]
    return Check(name="headers", ok=not wrong, detail=listed(wrong) or "as the base's, byte for byte")


def check_tensors(base: Checkpoint, written: Checkpoint) -> Check:
    """The same tensors both ways, whichever files they lie in."""
    wrong = list(tensor_differences(base, written))
    detail = f"{len(base.shapes)} tensors, the base's and no other"
    return Check(name="tensors of the base", ok=not wrong, detail=listed(wrong) or detail)


def tensor_differences(base: Checkpoint, written: Checkpoint) -> Iterator[str]:
    """Name the tensors that one has and the other lacks, or has in another form."""
    due, held = (_forms(each) for each in (base, written))
    yield from (f"{name} of the base is missing" for name in sorted(due.keys() - held.keys()))
    yield from (f"the base has no {name}" for name in sorted(held.keys() - due.keys()))
    for name in sorted(due.keys() & held.keys()):
        if due[name] != held[name]:
            yield f"{name} is {held[name][0]} {held[name][1]} where the base has {due[name][0]} {due[name][1]}"


def _forms(checkpoint: Checkpoint) -> Mapping[str, tuple[str, str]]:
    return {t.name: (t.dtype, "×".join(map(str, t.shape))) for t in checkpoint.tensors()}


def check_side_files(subject: Inspection, due: Mapping[str, bytes]) -> Check:
    """Configuration, tokenizer, templates and licence are what pruning the base writes, both ways, byte for byte.

    A model that another tool made has files of its own: what differs is listed, and not judged.
    """
    held = {f.name: f.sha256 for f in subject.other_files if f.name in set(contents.carried_names([f.name]))}
    wanted = {name: hashlib.sha256(data).hexdigest() for name, data in due.items()}
    wrong = [f"{name} of the base is missing" for name in sorted(wanted.keys() - held.keys())]
    wrong += [f"the base has no {name}" for name in sorted(held.keys() - wanted.keys())]
    wrong += [f"{name} is not the base's" for name in sorted(wanted.keys() & held.keys()) if wanted[name] != held[name]]
    ok = not wrong or (None if subject.record is None else False)
    return Check(
        name="side files", ok=ok, detail=listed(wrong) or f"{len(wanted)} files, as pruning the base writes them"
    )


def check_moved(counts: Sequence[TensorCount]) -> Check:
    """Kept weights that a method changed lie where it may have moved them; that it did needs a second calibration."""
    moved = {c.name: c.moved for c in counts if c.moved is not None}
    wrong = [f"{name} ({_movement(moved[name])})" for name in sorted(moved) if not _is_near(moved[name])]
    wrong += [f"{c.name} has no counterpart in the base" for c in counts if c.moved is None]
    bounds = f"at most {FURTHEST:g} of what was zeroed, scaled by {SCALES[0]:g} to {SCALES[1]:g}"
    if wrong:
        return Check(name="kept weights", ok=False, detail=f"{listed(wrong)}; a tensor's kept weights move {bounds}")
    most = max((each.reach for each in moved.values()), default=0.0)
    detail = f"changed by the method, so not proven without --rebuild; moved by up to {most:.2f}, {bounds}"
    return Check(name="kept weights", ok=None, detail=detail)


def _is_near(moved: Movement) -> bool:
    # Written so that NaN is far.
    return moved.reach <= FURTHEST and SCALES[0] <= moved.scale <= SCALES[1]


def _movement(moved: Movement) -> str:
    return f"moved by {moved.reach:.2f}, scaled by {moved.scale:.2f}"
