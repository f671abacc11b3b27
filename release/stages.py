"""The stages of long work, named once: what a console counts when it says `Step 3 of 6`."""

from collections.abc import Iterable
from enum import StrEnum
from itertools import chain

from release.plan import Plan
from release.settings.measuring import BY_EVALUATION, Measuring
from release.settings.verifying import VerifyOptions


class Stage(StrEnum):
    """What is done, as people read it."""

    CHECK = "find the base, and check what is asked of it"
    PRUNE = "prune"
    AUDIT = "audit the written files"
    LOOK = "ask both models until the interval is as narrow as asked for"
    DENSE = "measure the dense model"
    PRUNED = "measure the pruned model"
    COMPARE = "compare both models"
    MASK = "measure a further mask"
    RECORD = "write record and card"
    UPLOAD = "upload"
    MAKE = "make the weight files"
    READ = "read every weight"
    AGAIN = "make every mask again"
    ASK = "ask both models again"
    VERIFY = "verify the release"


def of_measuring(asked: Measuring) -> tuple[Stage, ...]:
    """The stages of measuring a pair of models; none where nothing is measured."""
    sides = (*((Stage.LOOK,) if asked.precision is not None else ()), Stage.DENSE, Stage.PRUNED, Stage.COMPARE)
    others = [key for key, each in BY_EVALUATION.items() if each.taken_from or (each.named and _auto(asked, key))]
    alone = asked.model_copy(update=dict.fromkeys(others, "off"))
    return () if alone == alone.nothing() else sides


def _auto(asked: Measuring, key: str) -> bool:
    """Whether an evaluation that has to be named is on only beside others."""
    return bool(getattr(asked, key) == "auto")


def of_publishing(plan: Plan) -> tuple[Stage, ...]:
    """The stages of one release."""
    further = (Stage.MASK,) * (plan.seeds - 1)
    upload = () if plan.local else (Stage.UPLOAD,)
    made = (Stage.CHECK, Stage.PRUNE, Stage.AUDIT)
    return (*made, *of_measuring(plan.measuring), *further, Stage.RECORD, *upload)


def of_pruning(batches: Iterable[int]) -> tuple[Stage, ...]:
    """The stages of several model folders.

    Args:
        batches: How many are made from each read.
    """
    made = ((Stage.PRUNE, *(Stage.AUDIT,) * size, *(Stage.RECORD,) * size) for size in batches)
    return (Stage.CHECK, *chain.from_iterable(made))


def of_verifying(asked: VerifyOptions) -> tuple[Stage, ...]:
    """The stages of verifying as asked for."""
    again = (Stage.AGAIN,) if asked.rebuild else ()
    spot = (Stage.ASK,) if asked.spot_check is not None else ()
    return (Stage.READ, *again, *spot)
