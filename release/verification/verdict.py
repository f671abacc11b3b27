"""What a verification proves, and what it does not: the first line of its answer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from release.schema.record import Check, Record
from release.verification import signing
from release.verification.closure import updates
from release.verification.spot_check import NAME as SPOT_CHECK

NOT_MADE = (
    "A recipe that nobody followed: no weights are here, none were made, and nothing shows that it gives the model of "
    "record and card."
)
MADE = "Verified: made here from {base}, the weights are those on record: it, with these set to zero, and nothing else."


@dataclass(frozen=True)
class Grounds:
    """What a verification had to go by.

    Attributes:
        record: None where there is none.
        base: Whether a base was at hand.
        again: Whether the masks were made again.
    """

    record: Record | None
    base: bool
    again: bool


def verdict(asked: Grounds, checks: Sequence[Check]) -> str:
    """The answer in one sentence, without what is not proven."""
    failed = [check.name for check in checks if check.ok is False]
    if failed:
        return f"NOT verified: {', '.join(dict.fromkeys(failed))}."
    if asked.record is None:
        return "Counted, not verified: no record says what this model claims to be."
    lean = asked.record.weights == "none"
    if not asked.base:
        return NOT_MADE if lean else "Consistent with itself; held against no base."
    if lean:
        return MADE.format(base=asked.record.base.id)
    return f"Verified: what from_pretrained loads is {asked.record.base.id} with these weights set to zero, " + (
        "what the method made of the others, and nothing else."
        if updates(asked.record.pruning)
        else "and nothing else."
    )


def unproven(asked: Grounds, checks: Sequence[Check]) -> Iterator[str]:
    """What nobody may take from the answer, and the option that would prove it."""
    record = asked.record
    if not asked.base:
        owner = record.base.id if record else "any base"
        yield f"that kept weights, configuration, tokenizer, templates and licence are those of {owner} (--base MODEL)"
    elif record is None:
        yield "that configuration, tokenizer, templates and other files are the base's"
    if record is not None and not asked.again:
        chosen = f"{record.pruning.method} and its calibration" if record.pruning.calibration else "method and seed"
        yield (
            f"that {chosen} chose these weights"
            + (" and changed the others" * updates(record.pruning))
            + " (--rebuild)"
        )
    asked_again = any(check.name.startswith(SPOT_CHECK) and check.ok for check in checks)
    if record is not None and _measured(record) and not asked_again:
        yield "that the answers on record were given by these models (--spot-check N)"
    if record is not None and record.measurements.masks is not None:
        yield "what the masks changed that are not published (prune with their seeds, then `release measure`)"
    yield from _who(checks)


def _measured(record: Record) -> bool:
    measured = record.measurements
    return any(part is not None for part in (measured.bbq, measured.perplexity, measured.latency))


def _who(checks: Sequence[Check]) -> Iterator[str]:
    signatures = [check.ok for check in checks if check.name == signing.NAME]
    if not signatures:
        yield "who published it: nobody signed it"
    elif signatures[0] is None:
        yield "who published it: the signature was not checked (--key PUBLIC)"
