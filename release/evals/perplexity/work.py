"""Perplexity measured: a text cut into windows, and the losses of each model on them."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from release.errors import BadOption, UnusableData
from release.evals.engine.likelihood import PassObserver
from release.evals.engine.subject import EvaluatedModel
from release.evals.perplexity.compare import Readings, WindowCut, Windows, compare
from release.evals.perplexity.options import WINDOWS
from release.evals.perplexity.result import Beginning, Perplexity
from release.evals.perplexity.table import FILE_NAME, write_losses
from release.evals.perplexity.windows import losses_of, windows_of
from release.evals.work import EvalContext, ModelTask, Sides, count_of
from release.models.load import context_window, read_config
from release.settings.measuring import Measuring
from release.sources.text import opening, read_text
from release.values import DataSource, Precision

LETTERS = 16
"""Of a text, for each token that is wanted of its beginning; few tokenizers need more than six."""


@dataclass(frozen=True)
class PerplexityTask(ModelTask[Readings, Perplexity]):
    """What both models read.

    Attributes:
        windows: Token ids, (windows, window).
        cut: How they were cut.
        watch: Sees the passes, so that another evaluation needs none of its own; None for nobody.
    """

    windows: NDArray[np.int32]
    text: DataSource
    precision: Precision
    cut: WindowCut
    watch: PassObserver | None = None

    @property
    def prompts(self) -> Sequence[Sequence[int]]:
        """The windows."""
        rows: list[list[int]] = self.windows.tolist()
        return rows

    def read(self, model: EvaluatedModel) -> Readings:
        """Return the mean loss of each window."""
        return losses_of(model, self.windows, self.watch, self.cut.scored)

    def watched_by(self, watch: PassObserver) -> Self:
        """Let another evaluation see the passes."""
        return replace(self, watch=watch)

    def compare(self, dense: Readings, pruned: Readings) -> Perplexity:
        """Compare the losses window by window."""
        return compare(Windows.of(self.windows, self.cut), dense, pruned, self.text, self.precision)

    def write(self, dense: Readings, pruned: Readings, sides: Sides) -> None:
        """Write every loss."""
        losses = {"dense": dense.losses, "pruned": pruned.losses}
        write_losses(sides.evaluation / FILE_NAME, self.cut.scored, losses)


def prepare(asked: EvalContext) -> PerplexityTask | None:
    """Read the text and cut it into windows.

    Raises:
        BadOption: The windows are longer than the model reads.
        ReleaseError: The text cannot be had, or is too short.
    """
    plan = asked.plan
    if plan.perplexity == "off":
        return None
    content, text = read_text(plan.text, asked.console, plan.perplexity_preset)
    count = None if plan.perplexity == "full" else count_of("perplexity", plan.perplexity)
    cut = cut_of(plan, asked.tokenizer, whole=count is None)
    _require_readable(asked.dense, cut.window)
    cut_into = partial(windows_of, name=text.name, tokenizer=asked.tokenizer, count=count, cut=cut)
    windows = _of_beginning(content, cut_into, count * cut.window) if asked.brief and count else cut_into(content)
    return PerplexityTask(windows, text, plan.eval_dtype, cut)


def _of_beginning(content: str, windows: Callable[[str], NDArray[np.int32]], tokens: int) -> NDArray[np.int32]:
    """Cut the windows of a text without reading all of it, where its beginning is long enough."""
    with suppress(UnusableData):
        return windows(content[: LETTERS * tokens])
    return windows(content)


def cut_of(plan: Measuring, tokenizer: Any, *, whole: bool) -> WindowCut:
    """Return how a plan cuts its text."""
    once = plan.perplexity_preset in ("wikitext2", "c4")
    bos: Beginning = ("text" if once else "window") if opening(tokenizer) else "none"
    window = plan.window or WINDOWS[plan.perplexity_preset]
    return WindowCut(window, plan.stride, once, plan.perplexity_preset, bos, whole)


def _require_readable(dense: Path, window: int) -> None:
    """Refuse windows that are longer than the model reads.

    Raises:
        BadOption: They are.
    """
    limit = context_window(read_config(dense))
    if limit is not None and window > limit:
        raise BadOption(
            f"A window of perplexity has {window:,} tokens, and the model reads {limit:,}.",
            f"Give --window {limit}; perplexity then stands beside no figure of longer windows.",
        )
