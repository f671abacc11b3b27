"""Of the treated zeros, what follows from the record itself: how many there were, and that a scale alone keeps all."""

from collections.abc import Iterator

from release.evals.again import Table
from release.evals.zeros.result import TreatedZeros, Zeros
from release.schema.record import Record

KEEP_ALL = ("int8", "q4_0")


def tables(record: Record, known: Zeros) -> Iterator[Table]:
    """Return what the audit's counts and arithmetic decide; what else becomes zero, only the weights tell."""
    yield Table("zeros next", None, lambda _: _again(record, known), known)


def _again(record: Record, known: Zeros) -> Zeros:
    zeros = record.audit.zeroed_parameters
    others = record.audit.prunable_parameters - zeros
    return Zeros(
        zeros=zeros, others=others, treatments=tuple(_bounded(each, zeros, others) for each in known.treatments)
    )


def _bounded(found: TreatedZeros, zeros: int, others: int) -> TreatedZeros:
    kept = zeros if found.treatment in KEEP_ALL else min(max(found.kept, 0), zeros)
    return found.model_copy(update={"kept": kept, "added": min(max(found.added, 0), others)})
