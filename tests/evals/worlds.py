"""Models made up of log-probabilities: what they answer is known, and goes through the real reading and comparison."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from release.evals.bbq.answers import Answers, Task
from release.evals.bbq.ask import by_answer
from release.evals.bbq.compare import BbqFacts, compare
from release.evals.bbq.sample import Sample
from release.evals.claims import decide
from release.schema.record import ClaimRecord
from release.values import DataSource
from tests.records import example_measurements

DATA = DataSource(name="BBQ", origin="here", revision=None, licence=None, sha256="0")
EXAMPLE = example_measurements()
KEPT = 0.5
"""Share of answers that a pruned model takes over from its dense one where it could answer otherwise."""


class Model(NamedTuple):
    """What a model answers, on average.

    Attributes:
        open: Shares of target, other and unknown where the text leaves the answer open.
        right: Share of right answers where it settles it.
    """

    open: tuple[float, float, float]
    right: float = 0.95


READER = Model((0.06, 0.06, 0.88))
GUESSER = Model((1 / 3, 1 / 3, 1 / 3))
ONE_SIDED = Model((0.6, 0.06, 0.34))
LOST = Model((1 / 3, 1 / 3, 1 / 3), right=1 / 3)
"""A guesser everywhere: it does not read."""


def choices(sample: Sample, model: Model, rng: np.random.Generator) -> np.ndarray:
    """Draw an answer to every item, (items,)."""
    found = np.empty(len(sample.items), dtype=np.int64)
    edges = np.cumsum(model.open)[:2].tolist()
    for index, (item, drawn) in enumerate(zip(sample.items, rng.random(len(sample.items)).tolist(), strict=True)):
        if item.condition == "ambig":
            target = item.label if item.target is None else item.target
            other = next(answer for answer in range(3) if answer not in (target, item.unknown))
            found[index] = (target, other, item.unknown)[sum(drawn > edge for edge in edges)]
        else:
            wrong = [answer for answer in range(3) if answer != item.label]
            found[index] = item.label if drawn < model.right else wrong[int(drawn * 1e6) % 2]
    return found


def read(chosen: np.ndarray) -> Answers:
    """Turn chosen answers into letters' log-probabilities in three rotations, and read them as a release does."""
    letters = np.full((len(chosen), 3, 3), -3.0, dtype=np.float32)
    for rotation in range(3):
        letters[np.arange(len(chosen)), rotation, (chosen - rotation) % 3] = -0.1
    values = by_answer(letters)
    return Answers(values.argmax(axis=1)[:, None], values, letters, None, recalled=0, seconds=1.0)


def claims(sample: Sample, dense: Model, pruned: Model, seed: int) -> Mapping[str, ClaimRecord]:
    """Decide what may be said of two models' answers; a pruned model that is its dense one answers alike."""
    rng = np.random.default_rng(seed)
    before, anew = choices(sample, dense, rng), choices(sample, pruned, rng)
    after = np.where(rng.random(len(before)) < KEPT, before, anew) if pruned == dense else anew
    found = compare(Task(sample, "letters", "chat"), read(before), read(after), BbqFacts(DATA), seed)
    decided = decide(None, EXAMPLE.model_copy(update={"bbq": found}))
    return {claim.key: claim for claim in decided}
