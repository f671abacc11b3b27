"""Put what was found together into one record."""

import shlex
from datetime import UTC, datetime
from pathlib import Path

from release.checkpoint.files import is_hidden
from release.contents import UNRECORDED
from release.digests import FileDigest, digest_of
from release.environment import environment
from release.evals import claims
from release.evals.bbq.result import Bbq
from release.models.classes import loader_of
from release.plan import DEFAULT_SEED, SCOPE_WORDS, Measuring, Plan
from release.schema.measurements import Measurements
from release.schema.record import Base, CalibrationPlan, PlanRecord, Pruning, Record
from release.sources.base import BaseModel
from release.verification.audit import Audited

MEASURING = (
    *("bbq", "precision", "bbq_scoring", "bbq_engine", "bbq_categories", "perplexity", "latency", "latency_engine"),
    *("eval_dtype", "log_format"),
)
"""Options of the same names that change what is measured."""


def describe(
    plan: Plan, base: BaseModel, pruning: Pruning, audited: Audited, measurements: Measurements, model: Path
) -> Record:
    """Build the record of a release whose other files all lie in `model` already."""
    weights = {file.name for file in audited.audit.files}
    return Record(
        name=plan.name(base.slug),
        created=datetime.now(UTC).date().isoformat(),
        plan=_plan_record(plan, base, measurements.bbq),
        base=_base_record(base, audited),
        pruning=pruning,
        audit=audited.audit,
        measurements=measurements,
        claims=claims.decide(audited.audit, measurements),
        environment=environment(),
        files=side_files(model, weights),
        study=plan.study,
    )


def side_files(model: Path, weights: set[str]) -> tuple[FileDigest, ...]:
    """Digest every file of a model folder but its weights, its card, its signature, the record and hidden ones."""
    left_out = {*weights, *UNRECORDED}
    names = (path.relative_to(model) for path in model.rglob("*") if path.is_file())
    # By its parts: Windows would put paths in another order.
    return tuple(
        digest_of(model / name, name.as_posix())
        for name in sorted(names, key=lambda name: name.parts)
        if name.as_posix() not in left_out and not is_hidden(name.as_posix())
    )


def _plan_record(plan: Plan, base: BaseModel, bbq: Bbq | None) -> PlanRecord:
    recipe, measuring = plan.recipe, plan.measuring
    return PlanRecord(
        model=base.asked,
        method=recipe.method,
        sparsity=recipe.sparsity,
        scope=recipe.scope,
        pattern=recipe.pattern,
        seed=recipe.seed,
        bbq=measuring.bbq,
        perplexity=measuring.perplexity,
        latency=measuring.latency,
        latency_engine=measuring.latency_engine,
        bbq_engine=measuring.bbq_engine,
        allocation=recipe.allocation,
        bbq_scoring=measuring.bbq_scoring,
        bbq_categories=measuring.bbq_categories,
        eval_dtype=measuring.eval_dtype,
        precision=measuring.precision,
        seeds=plan.seeds,
        command=command(plan, base, bbq),
    )


def command(plan: Plan, base: BaseModel, bbq: Bbq | None) -> str:
    """The command line that repeats a release: every choice that changes its files or its numbers.

    A base from the Hub is pinned to its commit; a folder is named without its path. A number of items that this
    machine chose is stated, since another would choose otherwise.
    """
    model = f"{base.id}@{base.revision}" if base.source == "hub" else base.asked
    words = ["release", "publish", model, "--method", plan.recipe.method, "--sparsity", f"{plan.recipe.sparsity:f}"]
    words += _recipe_words(plan)
    measuring, defaults = settled(plan.measuring, bbq), Measuring()
    for option in MEASURING:
        if (value := getattr(measuring, option)) != getattr(defaults, option):
            words += [f"--{option.replace('_', '-')}", ",".join(value) if isinstance(value, tuple) else str(value)]
    words += ["--seeds", str(plan.seeds)] * (plan.seeds > 1)
    for option, path in (("bbq-data", plan.measuring.bbq_data), ("text", plan.measuring.text)):
        if path is not None:
            words += [f"--{option}", path.name]
    said = plan.identity
    for option, stated in (("base-id", said.id), ("license", said.licence), ("base-note", said.note)):
        words += [] if stated is None else [f"--{option}", stated]
    if plan.study_file is not None:
        words += ["--study", plan.study_file]
    return shlex.join([*words, "--local"])


def settled(measuring: Measuring, bbq: Bbq | None) -> Measuring:
    """Put the number of items that was asked in the place of "auto"."""
    if bbq is None or measuring.bbq != "auto" or measuring.precision is not None:
        return measuring
    return measuring.model_copy(update={"bbq": "full" if bbq.sample_seed is None else str(bbq.items)})


def _recipe_words(plan: Plan) -> list[str]:
    """Every choice of the recipe that is not the method's own."""
    recipe, words = plan.recipe, list[str]()
    if recipe.pattern is not None:
        words += ["--pattern", recipe.pattern]
    if recipe.scope != recipe.row.scopes[0]:
        words += ["--scope", SCOPE_WORDS[recipe.scope]]
    if recipe.allocation != "uniform":
        words += ["--allocation", recipe.allocation]
    if recipe.seed != DEFAULT_SEED:
        words += ["--seed", str(recipe.seed)]
    if recipe.calibration is not None:
        words += _calibration_words(recipe.calibration)
    if recipe.uncalibrated != "refuse":
        words += ["--uncalibrated", recipe.uncalibrated]
    return words + ["--allow-nonfinite"] * recipe.allow_nonfinite + ["--with-mask"] * plan.with_mask


def _calibration_words(asked: CalibrationPlan) -> list[str]:
    words, usual = list[str](), CalibrationPlan()
    for option, value, default in (
        ("--calibration", asked.text, usual.text),
        ("--calibration-samples", asked.samples, usual.samples),
        ("--calibration-length", asked.length, usual.length),
    ):
        if value != default:
            words += [option, str(value)]
    return words


def _base_record(base: BaseModel, audited: Audited) -> Base:
    dtypes = {row.dtype for row in audited.table if row.module}
    return Base(
        id=base.id,
        on_hub=base.on_hub,
        source=base.source,
        revision=base.revision,
        note=base.note,
        licence=base.licence,
        architecture=base.checkpoint.architecture,
        loader=loader_of(base.checkpoint.folder),
        dtypes=tuple(sorted(dtypes)),
        parameters=base.checkpoint.parameters,
        languages=base.languages,
        files=audited.base_files,
        stated=base.stated,
    )
