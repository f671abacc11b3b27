"""Perplexity measured: a text cut into windows, and the losses of each model on them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from release.evals.engine.likelihood import PassObserver
from release.evals.engine.subject import EvaluatedModel
from release.evals.perplexity.compare import Readings, Windows, compare
from release.evals.perplexity.result import Perplexity
from release.evals.perplexity.table import FILE_NAME, write_losses
from release.evals.perplexity.windows import cut_windows, losses_of
from release.evals.work import EvalContext, ModelTask, Sides, count_of
from release.sources.text import read_text
from release.values import DataSource, Precision


@dataclass(frozen=True)
class PerplexityTask(ModelTask[Readings, Perplexity]):
    """What both models read.

    Attributes:
        windows: Token ids, (windows, window).
        watch: Sees the passes, so that another evaluation needs none of its own; None for nobody.
    """

    windows: NDArray[np.int32]
    text: DataSource
    precision: Precision
    watch: PassObserver | None = None

    @property
    def prompts(self) -> Sequence[Sequence[int]]:
        """The windows."""
        rows: list[list[int]] = self.windows.tolist()
        return rows

    def read(self, model: EvaluatedModel) -> Readings:
        """Return the mean loss of each window."""
        return losses_of(model, self.windows, self.watch)

    def watched_by(self, watch: PassObserver) -> Self:
        """Let another evaluation see the passes."""
        return replace(self, watch=watch)

    def compare(self, dense: Readings, pruned: Readings) -> Perplexity:
        """Compare the losses window by window."""
        return compare(Windows.of(self.windows), dense, pruned, self.text, self.precision)

    def write(self, dense: Readings, pruned: Readings, sides: Sides) -> None:
        """Write every loss."""
        losses = {"dense": dense.losses, "pruned": pruned.losses}
        write_losses(sides.evaluation / FILE_NAME, self.windows.shape[1] - 1, losses)


def prepare(asked: EvalContext) -> PerplexityTask | None:
    """Read the text and cut it into windows."""
    plan = asked.plan
    if plan.perplexity == "off":
        return None
    content, text = read_text(plan.text, asked.console)
    windows = cut_windows(content, text.name, asked.tokenizer, count_of("perplexity", plan.perplexity))
    return PerplexityTask(windows, text, plan.eval_dtype)
