"""What one model answered to BBQ, item by item, however it was read."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from release.evals.bbq.items import UNKNOWN_PHRASES, Item
from release.evals.bbq.prompts import ROTATIONS
from release.evals.bbq.sample import Sample
from release.values import Reading

UNPARSED = -1
"""The choice of a generated text that names no answer."""


@dataclass(frozen=True)
class Task:
    """What both models are asked.

    Attributes:
        style: How the prompts are rendered.
        phrases: What a generated text may say that means "unknown", folded.
    """

    sample: Sample
    reading: Reading
    style: str
    phrases: frozenset[str] = UNKNOWN_PHRASES

    @property
    def items(self) -> tuple[Item, ...]:
        """The items asked."""
        return self.sample.items


@dataclass(frozen=True)
class Answers:
    """What one model answered.

    Attributes:
        choices: Index of each answer given, in the data set's order, or UNPARSED; (items, runs). There is one run,
            except where answers are generated: one per seed.
        values: Log-probability by which the answer was chosen, (items, 3), averaged over rotations; None where
            answers are generated. Ties go to the answer with the lowest index.
        letters: Log-probability of each letter in each rotation, (items, rotations, 3); None unless letters are read.
        texts: What was generated, (items, runs), as str; None unless answers are generated.
        recalled: Readings taken over from an earlier measurement of the same weights.
        seconds: Wall time of the others.
    """

    choices: NDArray[np.int64]
    values: NDArray[np.float32] | None
    letters: NDArray[np.float32] | None
    texts: NDArray[np.object_] | None
    recalled: int
    seconds: float

    @property
    def best_letters(self) -> NDArray[np.int64] | None:
        """Index of the likeliest letter, (items, rotations)."""
        return None if self.letters is None else np.asarray(self.letters.argmax(axis=2), dtype=np.int64)


def by_answer(letters: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average each answer's log-probability over the rotations.

    Args:
        letters: (items, ROTATIONS, 3), in the order of the letters shown.

    Returns:
        (items, 3), in the data set's order of the answers: rotation r shows answer a at letter (a − r) mod 3.
    """
    answer = np.arange(3)
    turned = [letters[:, rotation, (answer - rotation) % 3] for rotation in range(ROTATIONS)]
    return np.asarray(np.mean(turned, axis=0), dtype=np.float32)
