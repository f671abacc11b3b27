"""BBQ measured: its items laid out, asked of each model, and compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from release.checkpoint.folder import open_checkpoint
from release.errors import BadOption
from release.evals.bbq import ask as bbq
from release.evals.bbq import looks, width
from release.evals.bbq.amount import DTYPES, asked
from release.evals.bbq.answers import Answers
from release.evals.bbq.compare import BbqFacts, compare
from release.evals.bbq.data import read_bbq
from release.evals.bbq.folder import is_own, phrases_of, read_own
from release.evals.bbq.items import Item
from release.evals.bbq.lm_eval_log import write_samples
from release.evals.bbq.result import Bbq, BbqFolder, Looks
from release.evals.bbq.sample import draw, of_categories
from release.evals.bbq.table import FILE_NAME, write_answers
from release.evals.engine.subject import EvaluatedModel
from release.evals.work import SIDES, EvalContext, ModelTask, Opened, Sides
from release.models import engines
from release.models.agreement import require_agreement
from release.values import DataSource, Rate


@dataclass(frozen=True)
class BbqReading:
    """What one model answered.

    Attributes:
        rounding: How many of its answers another order of the sums changes; None in float32, and of the pruned model.
    """

    answers: Answers
    rounding: Rate | None


@dataclass(frozen=True)
class BbqTask(ModelTask[BbqReading, Bbq]):
    """What both models are asked.

    Attributes:
        items: The items that samples are drawn from.
        answers: What is known already, by the model's name.
        looks: At growing samples; None for a fixed number of items.
        folder: The benchmark of one's own that is asked; None for BBQ itself.
    """

    asked: EvalContext
    items: tuple[Item, ...]
    data: DataSource
    script: bbq.Script
    answers: Mapping[str, Answers] = field(default_factory=dict)
    looks: Looks | None = None
    folder: BbqFolder | None = None

    @property
    def prompts(self) -> Sequence[Sequence[int]]:
        """The prompts of all items and rotations."""
        return self.script.prompts

    def settle(self, opened: Opened, /) -> Self:
        """Where a precision is asked for, ask both models of growing samples; the task holds the last of these then."""
        precision, available, last = self.asked.plan.precision, len(self.items), self
        if precision is None:
            return self

        def ask(size: int) -> looks.Round:
            nonlocal last
            last = replace(self, script=_script(self.asked, self.items, looks.amount(size, available), self.folder))
            answers = {name: last.ask(opened, name) for name in SIDES}
            return looks.Round(last.script.task, answers, len(last.script.prompts))

        found, looked = looks.look(float(precision), available, ask, self.asked.console)
        return replace(last, answers=found.answers, looks=looked)

    def ask(self, opened: Opened, name: str) -> Answers:
        """Ask the model of a side every item."""
        with opened(name) as model, model.run_by(self.asked.plan.bbq_engine) as speaker:
            return bbq.ask(speaker, self.script)

    def read(self, model: EvaluatedModel) -> BbqReading:
        """Ask one model; where it answers in less than float32, the dense one is asked some items in another order."""
        rounding = None
        with model.run_by(self.asked.plan.bbq_engine) as speaker:
            answers = self.answers.get(model.name) or bbq.ask(speaker, self.script)
            if model.name == "dense" and self.asked.plan.eval_dtype != "float32":
                rounding = bbq.rounding(speaker, self.script, answers)
        return BbqReading(answers, rounding)

    def compare(self, dense: BbqReading, pruned: BbqReading) -> Bbq:
        """Compute scores, tests and what changed."""
        plan = self.asked.plan
        facts = BbqFacts(self.data, plan.eval_dtype, dense.rounding, self.script.sampling, self.looks, self.folder)
        found = compare(self.script.task, dense.answers, pruned.answers, facts, plan.sampling_seed)
        by = plan.bbq_engine
        return found.model_copy(update={"engine": by, "packages": engines.packages(by)})

    def write(self, dense: BbqReading, pruned: BbqReading, sides: Sides) -> None:
        """Write every answer, and the log of another form that was asked for."""
        task, answers = self.script.task, {"dense": dense.answers, "pruned": pruned.answers}
        write_answers(sides.evaluation / FILE_NAME, task, answers, self.script.sampling)
        if self.asked.plan.log_format == "lm-eval":
            prompts = self.script.prompter.texts([(item, 0) for item in task.items])
            write_samples(sides.logs, task, dense.answers, pruned.answers, prompts)


def prepare(about: EvalContext) -> BbqTask | None:
    """Draw the sample and tokenise its prompts."""
    plan, dense = about.plan, about.dense
    if plan.bbq == "off":
        return None
    everything, data, folder = _read(about)
    items = of_categories(everything, plan.bbq_categories)
    amount = asked(plan, open_checkpoint(dense).parameters, about.device, len(items))
    script = _script(about, items, amount, folder)
    dtype = DTYPES[plan.eval_dtype]
    require_agreement(plan.bbq_engine, dense, script.prompts, about.device, dtype, about.console)
    about.console.say(f"BBQ: {width.forecast(script.task.sample)}.")
    return BbqTask(about, items, data, script, folder=folder)


def _read(about: EvalContext) -> tuple[tuple[Item, ...], DataSource, BbqFolder | None]:
    """Return the items of BBQ, or of the folder in its form that was given.

    Raises:
        BadOption: The study's items are asked of other data.
    """
    folder = about.plan.bbq_data
    if folder is None or not is_own(folder):
        return (*read_bbq(folder, about.console), None)
    if about.plan.bbq == "study":
        seen = "--bbq study asks categories of BBQ, and --bbq-data names another benchmark."
        raise BadOption(seen, "Give full or a number of items with --bbq, or leave --bbq-data out.")
    return read_own(folder)


def _script(about: EvalContext, items: Sequence[Item], amount: str, folder: BbqFolder | None) -> bbq.Script:
    """Draw a sample and lay it out."""
    sample = draw(items, amount, about.plan.sampling_seed)
    script = bbq.prepare(sample, about.tokenizer, about.dense, about.plan.bbq_scoring)
    return script if folder is None else replace(script, task=replace(script.task, phrases=phrases_of(folder)))
