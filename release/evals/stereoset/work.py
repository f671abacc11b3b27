"""StereoSet measured: the three sentences of each context, read by one model at a time."""

from collections.abc import Sequence
from typing import Any

from release.evals.engine.likelihood import Ask
from release.evals.sentences import work
from release.evals.sentences.work import SentenceTask, continued
from release.evals.stereoset.compare import BENCHMARK
from release.evals.stereoset.data import StereoItem
from release.evals.stereoset.result import StereoSet
from release.evals.work import EvalContext


def prepare(asked: EvalContext) -> SentenceTask[StereoItem, StereoSet] | None:
    """Draw the contexts and tokenise their sentences; see `release.evals.sentences.work.prepare`."""
    return work.prepare(BENCHMARK, lay_out, asked, summed=False)


def lay_out(items: Sequence[StereoItem], start: int, tokenizer: Any) -> list[Ask]:
    """Ask for the three sentences of each context, behind it where it comes before them."""
    texts = [(item.context, _after(item.context, sentence)) for item in items for sentence in item.sentences]
    return continued(texts, start, tokenizer)


def _after(context: str, sentence: str) -> str:
    return f" {sentence}" if context else sentence
