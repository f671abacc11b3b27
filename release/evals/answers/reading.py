"""One answer as a model gave it, and as a store of readings keeps it: numbers, no torch."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FLOOR = 1e-3
"""Least probability, 0 to 1, that is kept of a token which was not said."""


class SpokenToken(NamedTuple):
    """One token of an answer.

    Attributes:
        token: Its id.
        likely: Token → log-probability, of all tokens with `FLOOR` at least and of `token` itself.
    """

    token: int
    likely: Mapping[int, float]


Answer = tuple[SpokenToken, ...]


def flat(answer: Answer) -> NDArray[np.float32]:
    """Return an answer as numbers, which a store of readings keeps; ids below 2²⁴ are whole in fp32."""
    numbers: list[float] = []
    for said in answer:
        numbers += [said.token, len(said.likely), *said.likely.keys(), *said.likely.values()]
    return np.array(numbers, dtype=np.float32)


def unfolded(numbers: NDArray[np.float32]) -> Answer:
    """Return the answer that `flat` wrote."""
    left, found = numbers.tolist(), []
    while left:
        token, count = int(left[0]), int(left[1])
        ids, values = left[2 : 2 + count], left[2 + count : 2 + 2 * count]
        found.append(SpokenToken(token, {int(one): value for one, value in zip(ids, values, strict=True)}))
        left = left[2 + 2 * count :]
    return tuple(found)
