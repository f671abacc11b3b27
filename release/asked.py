"""What was asked for, as it stands in a record: the options, and the command line that repeats them."""

import shlex
from typing import TYPE_CHECKING

from release.plan import Plan
from release.schema.record import PlanRecord
from release.settings.measuring import Measuring
from release.settings.recipe import DEFAULT_SEED
from release.settings.words import nameless, words_of

if TYPE_CHECKING:
    from release.evals.bbq.result import Bbq
    from release.sources.base import BaseModel


def plan_record(plan: Plan, base: "BaseModel", bbq: "Bbq | None") -> PlanRecord:
    """What was asked for, as the record of a release holds it."""
    return PlanRecord(
        model=base.asked,
        recipe=plan.recipe.options,
        measuring=nameless(plan.measuring),
        building=nameless(plan.building),
        identity=plan.identity,
        command=command(plan, base, bbq),
    )


def command(plan: Plan, base: "BaseModel", bbq: "Bbq | None") -> str:
    """The command line that repeats a release: every choice that changes its files or its numbers.

    A base from the Hub is pinned to its commit; a folder is named without its path. A number of items that this
    machine chose is stated, since another would choose otherwise.
    """
    model = f"{base.id}@{base.revision}" if base.source == "hub" else base.asked
    return shlex.join(["release", "publish", model, *choices(plan, bbq), "--local"])


def choices(plan: Plan, bbq: "Bbq | None" = None) -> list[str]:
    """Every option that changes a release's files or its numbers, as a command line gives them."""
    # The recipe's seed is the measuring's: one option sets both.
    measuring = settled(plan.measuring, bbq).model_copy(update={"seed": DEFAULT_SEED})
    return [word for each in (plan.recipe.brief, measuring, plan.building, plan.identity) for word in words_of(each)]


def settled(measuring: Measuring, bbq: "Bbq | None") -> Measuring:
    """Put the number of items that was asked in the place of "auto"."""
    if bbq is None or measuring.bbq != "auto" or measuring.precision is not None:
        return measuring
    return measuring.model_copy(update={"bbq": "full" if bbq.sample_seed is None else str(bbq.items)})
