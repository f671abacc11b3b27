"""Latency measured: BBQ's prompts, and both models timed on them by each engine that is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass

from release.checkpoint.folder import open_checkpoint
from release.evals.bbq.data import read_bbq
from release.evals.bbq.items import Item
from release.evals.bbq.prompts import Prompter
from release.evals.bbq.sample import of_categories
from release.evals.latency.amount import AUTO, Amount, drawn
from release.evals.latency.measure import TimedPrompts, measure_latency, require_room
from release.evals.latency.result import Latency
from release.evals.latency.timed import Pair
from release.evals.work import EvalContext, PairTask, Sides, count_of
from release.models import engines
from release.values import DataSource


@dataclass(frozen=True)
class LatencyTask(PairTask[Latency]):
    """What both models answer.

    Attributes:
        items: Those for warming up included.
        tokens: Of their prompts.
    """

    asked: EvalContext
    items: tuple[Item, ...]
    data: DataSource
    tokens: Sequence[Sequence[int]]

    @property
    def prompts(self) -> Sequence[Sequence[int]]:
        """The prompts that are answered."""
        return self.tokens

    def measure(self, sides: Sides) -> tuple[Latency, ...]:
        """Time both models by each engine, one engine after the other."""
        plan, device = self.asked.plan, str(self.asked.device)
        pairs = (Pair.of(sides.dense, sides.pruned, by) for by in plan.latency_engine)
        asked = TimedPrompts(self.items, self.data, Amount.of(plan.latency))
        return tuple(measure_latency(pair, asked, device, sides.evaluation, sides.console) for pair in pairs)


def prepare(asked: EvalContext) -> LatencyTask | None:
    """Draw the items that are timed, and refuse an engine or a machine that cannot time these models."""
    plan, dense = asked.plan, asked.dense
    if plan.latency == "off":
        return None
    everything, data = read_bbq(plan.bbq_data, asked.console)
    for name in plan.latency_engine:
        runs = engines.engine(name)
        runs.require(dense, asked.device)
        require_room(open_checkpoint(dense).size, runs.place(asked.device))
    amount = plan.latency if plan.latency == AUTO else str(count_of("latency", plan.latency))
    items = drawn(of_categories(everything, plan.bbq_categories), amount, plan.sampling_seed)
    prompter = Prompter(asked.tokenizer)
    return LatencyTask(asked, items, data, prompter.encode(prompter.texts([(item, 0) for item in items])))
