"""Put what was found together into one record."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from release.asked import plan_record
from release.card.said import said
from release.checkpoint.decoder import text_config
from release.checkpoint.files import is_hidden
from release.contents import UNRECORDED
from release.digests import FileDigest, digest_of
from release.environment import environment
from release.evals import claims
from release.models.class_check import class_answer
from release.plan import Plan
from release.schema.measurements import Measurements
from release.schema.record import Base, Pruning, Record
from release.sources.base import BaseModel
from release.verification.audit import Audited


def describe(
    plan: Plan, base: BaseModel, pruning: Pruning, audited: Audited, measurements: Measurements, model: Path
) -> Record:
    """Build the record of a release whose other files all lie in `model` already."""
    weights = {file.name for file in audited.audit.files}
    record = Record(
        name=plan.name(base.slug),
        created=datetime.now(UTC).date().isoformat(),
        plan=plan_record(plan, base, measurements.bbq),
        base=_base_record(base, audited),
        pruning=pruning,
        audit=audited.audit,
        measurements=measurements,
        claims=claims.decide(audited.audit, measurements),
        environment=environment(_computes(plan)),
        files=side_files(model, weights),
        study=plan.study,
    )
    return record.model_copy(update={"said": said(record)})


def _computes(plan: Plan) -> bool:
    """Whether a device ran the model, for calibration or to measure."""
    return plan.recipe.calibration is not None or plan.measuring != plan.measuring.nothing()


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
        loader=class_answer(base.checkpoint).loader,
        dtypes=tuple(sorted(dtypes)),
        parameters=base.checkpoint.parameters,
        languages=base.languages,
        files=audited.base_files,
        stated=base.stated,
        context=_context(base.checkpoint.config),
        released=base.released,
    )


def _context(config: dict[str, Any]) -> int | None:
    """Return the tokens that a model takes at most, as its config.json says; None where it does not."""
    found = text_config(config).get("max_position_embeddings")
    return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else None
