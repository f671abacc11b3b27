"""Some windows of text read by both models again."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from release.checkpoint.files import content
from release.errors import UnusableData
from release.evals.again import REMEDY, Question, Spotted, Verdict
from release.evals.engine.closeness import close
from release.evals.engine.subject import EvaluatedModel
from release.evals.perplexity.again import FILE
from release.evals.perplexity.compare import Readings, Windows
from release.evals.perplexity.result import Perplexity
from release.evals.perplexity.table import read_losses
from release.evals.perplexity.windows import losses_of, windows_of
from release.evals.perplexity.work import cut_of
from release.models.load import read_tokenizer
from release.sources.text import read_text


def question(spotted: Spotted, known: Perplexity) -> Question:
    """Draw some windows.

    Raises:
        InputError: The text cannot be had or is another one, or the table cannot be read.
    """
    if FILE not in spotted.files.sizes:
        raise UnusableData(f"{FILE} is missing.", "Fetch the release again.")
    losses = read_losses(content(spotted.files, FILE), known.windows, known.scored)
    tokens = windows_again(spotted, known)
    chosen = spotted.drawn(known.windows)
    recorded = dict(zip(("dense", "pruned"), losses, strict=True))

    def judge(found: Mapping[str, Readings]) -> Verdict:
        numbers = {name: (found[name].losses, recorded[name][chosen]) for name in found}
        return close(numbers, "mean losses", known.precision)

    def ask(model: EvaluatedModel) -> Readings:
        return losses_of(model, tokens[chosen], scored=known.scored)

    what = f"{len(chosen)} windows of text"
    return Question("perplexity", what, known.precision, "transformers", ask, judge)


def windows_again(spotted: Spotted, known: Perplexity) -> NDArray[np.int32]:
    """Cut the text that a release was measured on into the windows on record, (windows, window).

    Raises:
        InputError: The text cannot be had, is another one, or gives other tokens.
    """
    plan, tokenizer = spotted.record.plan.measuring, read_tokenizer(spotted.dense)
    text, source = read_text(spotted.spot.text, spotted.console, plan.perplexity_preset)
    if source.sha256 != known.text.sha256:
        raise UnusableData(f"Perplexity was measured on {known.text.name[:80]!a}.", "Give that text with --text FILE.")
    cut = replace(cut_of(plan, tokenizer, whole=known.whole), window=known.window)
    tokens = windows_of(text, source.name, tokenizer, known.windows, cut)
    if Windows.of(tokens).token_sha256 != known.token_sha256:
        raise UnusableData("The text gives other tokens than recorded.", REMEDY)
    return tokens
