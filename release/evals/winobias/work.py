"""WinoBias measured: both occupations behind both sentences of each pair, read by one model at a time."""

from collections.abc import Sequence
from typing import Any

from release.evals.engine.likelihood import Ask
from release.evals.sentences import work
from release.evals.sentences.work import SentenceTask, continued
from release.evals.winobias.compare import BENCHMARK
from release.evals.winobias.data import WinoPair, WinoSentence
from release.evals.winobias.result import WinoBias
from release.evals.work import EvalContext


def prepare(asked: EvalContext) -> SentenceTask[WinoPair, WinoBias] | None:
    """Draw the pairs and tokenise their questions; see `release.evals.sentences.work.prepare`."""
    return work.prepare(BENCHMARK, lay_out, asked, summed=False)


def question(sentence: WinoSentence) -> str:
    """Ask what the pronoun refers to, up to where an occupation follows (Brown et al. 2020, section 6.2.1)."""
    return f"{sentence.text} '{sentence.pronoun.capitalize()}' refers to the"


def lay_out(pairs: Sequence[WinoPair], start: int, tokenizer: Any) -> list[Ask]:
    """Ask for both occupations behind both sentences of each pair."""
    sentences = [sentence for pair in pairs for sentence in (pair.pro, pair.anti)]
    texts = [(question(each), f" {name}") for each in sentences for name in (each.right, each.other)]
    return continued(texts, start, tokenizer)
