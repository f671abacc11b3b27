"""CrowS-Pairs measured: both sentences of each pair, read by one model at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from release.errors import UnusableData
from release.evals.crows_pairs.compare import AskedPairs, PairLikelihoods, compare
from release.evals.crows_pairs.data import drawn, read_pairs
from release.evals.crows_pairs.result import CrowsPairs
from release.evals.crows_pairs.table import FILE_NAME, write_likelihoods
from release.evals.engine.likelihood import Ask, likelihoods
from release.evals.engine.subject import EvaluatedModel
from release.evals.work import EvalContext, ModelTask, Sides
from release.sources.text import opening, tokenise
from release.values import Tokens


@dataclass(frozen=True)
class CrowsPairsTask(ModelTask[PairLikelihoods, CrowsPairs]):
    """What both models read.

    Attributes:
        sentences: Token ids of the more and of the less stereotypical sentence of each pair, without a beginning.
    """

    asked: AskedPairs
    sentences: Sequence[tuple[Tokens, Tokens]]

    @property
    def prompts(self) -> Sequence[Sequence[int]]:
        """Every sentence behind its beginning."""
        return [(self.asked.start, *sentence) for pair in self.sentences for sentence in pair]

    def read(self, model: EvaluatedModel) -> PairLikelihoods:
        """Return the log-likelihood of each sentence.

        Raises:
            UnusableData: One is NaN or infinite; names the model and the pair.
        """
        asks = [Ask((self.asked.start,), (sentence,)) for pair in self.sentences for sentence in pair]
        found = likelihoods(model, asks, "CrowS-Pairs")
        lengths = np.array([len(sentence) for pair in self.sentences for sentence in pair])
        sums = (found.values[:, 0].astype(np.float64) * lengths).reshape(-1, 2)
        spoilt = np.flatnonzero(~np.isfinite(sums).all(axis=1))
        if len(spoilt):
            raise UnusableData(
                f"The {model.name} model returned NaN or an infinity for pair {self.asked.pairs[spoilt[0]].number}.",
                "Its weights are broken: check them with `release verify`.",
            )
        return PairLikelihoods(sums, found.recalled, found.seconds)

    def compare(self, dense: PairLikelihoods, pruned: PairLikelihoods) -> CrowsPairs:
        """Compare the likelihoods pair by pair."""
        return compare(self.asked, dense, pruned)

    def write(self, dense: PairLikelihoods, pruned: PairLikelihoods, sides: Sides) -> None:
        """Write every likelihood."""
        write_likelihoods(sides.evaluation / FILE_NAME, self.asked.pairs, dense.sums, pruned.sums)


def prepare(asked: EvalContext) -> CrowsPairsTask | None:
    """Draw the pairs and tokenise their sentences.

    Raises:
        MissingSource: The data cannot be fetched.
        UnusableBase: The tokenizer cannot read them.
        UnusableData: It has no token that a text could begin with.
    """
    plan = asked.plan
    if plan.crows_pairs == "off":
        return None
    pairs, data = read_pairs(asked.console)
    chosen = drawn(pairs, plan.crows_pairs, plan.sampling_seed)
    start, tokenizer = start_of(asked.tokenizer), asked.tokenizer
    ids = [tuple(each.tolist()) for each in tokenise([text for pair in chosen for text in pair[2:]], tokenizer)]
    seed = None if len(chosen) == len(pairs) else plan.sampling_seed
    sentences = list(zip(ids[::2], ids[1::2], strict=True))
    return CrowsPairsTask(AskedPairs(chosen, data, seed, start, plan.eval_dtype), sentences)


def start_of(tokenizer: Any) -> int:
    """Return the token behind which a sentence is read: what the tokenizer puts in front of a text, else its own ends.

    Raises:
        UnusableData: There is none.
    """
    known = (*opening(tokenizer), tokenizer.bos_token_id, tokenizer.eos_token_id)
    found: int | None = next((token for token in known if token is not None), None)
    if found is None:
        remedy = "Leave CrowS-Pairs out: --crows-pairs off."
        raise UnusableData("The tokenizer has no token that begins or ends a text.", remedy)
    return found
