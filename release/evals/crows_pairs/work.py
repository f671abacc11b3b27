"""CrowS-Pairs measured: both sentences of each pair, read by one model at a time."""

from collections.abc import Sequence
from typing import Any

from release.evals.crows_pairs.compare import BENCHMARK
from release.evals.crows_pairs.data import SentencePair
from release.evals.crows_pairs.result import CrowsPairs
from release.evals.engine.likelihood import Ask
from release.evals.sentences import work
from release.evals.sentences.work import SentenceTask, continued
from release.evals.work import EvalContext


def prepare(asked: EvalContext) -> SentenceTask[SentencePair, CrowsPairs] | None:
    """Draw the pairs and tokenise their sentences; see `release.evals.sentences.work.prepare`."""
    return work.prepare(BENCHMARK, lay_out, asked, summed=True)


def lay_out(pairs: Sequence[SentencePair], start: int, tokenizer: Any) -> list[Ask]:
    """Ask for both sentences of each pair as a whole."""
    return continued([("", text) for pair in pairs for text in (pair.more, pair.less)], start, tokenizer)
