"""Some windows of the divergence taken again, from passes of both models over them."""

from collections.abc import Mapping

import numpy as np

from release.checkpoint.files import content
from release.errors import UnusableData
from release.evals.again import Question, Spotted, Verdict
from release.evals.bbq.amount import DTYPES
from release.evals.divergence.again import FILE, held
from release.evals.divergence.kept import KeptLogProbs
from release.evals.divergence.result import Divergence
from release.evals.divergence.table import Singles
from release.evals.divergence.work import DivergenceTask, vocabulary_of
from release.evals.engine.subject import EvaluatedModel
from release.evals.perplexity.spot import windows_again
from release.evals.perplexity.windows import losses_of
from release.models.logprobs import TOLERANCE
from release.sources.cache import cache_folder

SAME_TOP = {"float32": 0.99, "bfloat16": 0.8, "float16": 0.8}
"""Share of positions whose agreement must come out the same: two tokens that are almost as likely may turn."""


def question(spotted: Spotted, known: Divergence) -> Question:
    """Draw some of the windows that were compared.

    Raises:
        InputError: The text cannot be had or is another one, or the table cannot be read.
        DiskFull: There is no room for the dense model's log-probabilities.
    """
    perplexity = spotted.record.measurements.perplexity
    if perplexity is None or FILE not in spotted.files.sizes:
        raise UnusableData(f"{FILE} is missing, or the losses beside it.", "Fetch the release again.")
    numbers, found = held(perplexity, known, content(spotted.files, FILE))
    chosen = spotted.drawn(known.windows)
    tokens = windows_again(spotted, perplexity)[[numbers[index] for index in chosen]]
    kept = KeptLogProbs(cache_folder(), perplexity.scored, vocabulary_of(spotted.dense))
    kept.require_room(len(chosen))
    windows = tuple(map(tuple, tokens.tolist()))
    task = DivergenceTask(windows, tuple(range(len(chosen))), known.precision, kept, dense="spot")

    def ask(model: EvaluatedModel) -> Singles:
        losses_of(model, tokens, task, perplexity.scored)
        return task.read(model)

    def judge(read: Mapping[str, Singles]) -> Verdict:
        kept.close()
        return alike(read["pruned"], found[chosen], known.precision)

    what = f"{len(chosen)} windows of the divergence"
    return Question("divergence", what, known.precision, "transformers", ask, judge)


def alike(again: Singles, before: Singles, precision: str) -> Verdict:
    """Hold positions against the recorded ones, within what the order of sums can change.

    Args:
        again: (windows, positions, 4), see `table.COLUMNS`.
        before: The same as recorded.
    """
    most = TOLERANCE[DTYPES[precision]]
    # A divergence is a difference of two logarithms, of which either may be off.
    divergence = float(np.abs(again[:, :, 0] - before[:, :, 0]).max())
    logs = float(np.abs(again[:, :, 2:] - before[:, :, 2:]).max())
    same = float((again[:, :, 1] == before[:, :, 1]).mean())
    told = (
        f"divergences differ by at most {divergence:.1e} ({2 * most:g} is allowed in {precision}), log-probabilities "
        f"by {logs:.1e} ({most:g}), and the likeliest tokens agree as before at {same:.2%} of positions "
        f"({SAME_TOP[precision]:.0%} is asked for)"
    )
    return divergence <= 2 * most and logs <= most and same >= SAME_TOP[precision], told
