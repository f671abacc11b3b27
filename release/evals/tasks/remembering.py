"""The harness's own reader of a model in memory, which keeps every answer, so that a run that was cut short goes on.

An answer depends on the model's files, the arithmetic, the harness's version and the request, by which it is named.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import lm_eval
import numpy as np
from lm_eval.models.huggingface import HFLM
from numpy.typing import NDArray

from release.evals.engine.store import ReadingStore
from release.progress import Advance

BATCH = 8
"""Sequences of a forward pass."""
PART = 16 * BATCH
"""Requests that are asked before their answers are kept: the harness sorts them by length, which takes many."""

Singles = NDArray[np.float32]


class Kind(NamedTuple):
    """One of the harness's kinds of request, and how an answer to it is kept."""

    name: str
    kept: Callable[[Any], Iterable[float]]
    answer: Callable[[Singles], Any]


def _halves(value: float) -> tuple[float, float]:
    """Split a number in double precision into two in single."""
    first = float(np.float32(value))
    return first, value - first


def _number(values: Singles) -> float:
    return float(values[0]) + float(values[1])


def _text(values: Singles) -> str:
    return "".join(chr(int(value)) for value in values[1:])


LIKELIHOOD = Kind(
    "loglikelihood", lambda found: (*_halves(found[0]), found[1]), lambda kept: (_number(kept), bool(kept[2]))
)
ROLLING = Kind("loglikelihood_rolling", _halves, _number)
# An empty text is a value, too.
GENERATED = Kind("generate_until", lambda found: (0, *map(ord, found)), _text)


class RememberingModel(HFLM):  # type: ignore[misc]  # the harness has no types
    """A model in memory as the harness asks it.

    Args:
        module: The model.
        store: Keeps the answers.
        advance: Is told shares of the requests of one kind that are asked; most tasks have one kind.
    """

    def __init__(self, module: Any, tokenizer: Any, store: ReadingStore, advance: Advance) -> None:
        super().__init__(pretrained=module, tokenizer=tokenizer, batch_size=BATCH)
        self._store, self._advance, self._whole = store, advance, 1

    def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Return how likely each continuation is, and whether it is the greedy one."""
        return self._remembered(LIKELIHOOD, super().loglikelihood, requests, disable_tqdm)

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """Return how likely each text is."""
        return self._remembered(ROLLING, super().loglikelihood_rolling, requests, disable_tqdm)

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """Return what is written behind each prompt."""
        return self._remembered(GENERATED, super().generate_until, requests, disable_tqdm)

    def _remembered(
        self, kind: Kind, ask: Callable[[Sequence[Any], bool], list[Any]], requests: Sequence[Any], quiet: bool
    ) -> list[Any]:
        keys = [self._key(kind, request) for request in requests]
        known = {key: kind.answer(values) for key, values in self._store.recall(keys).items()}
        todo = {key: request for key, request in zip(keys, requests, strict=True) if key not in known}
        missing = list(todo)
        self._whole = max(1, len(missing))
        for first in range(0, len(missing), PART):
            part = missing[first : first + PART]
            for key, answer in zip(part, ask([todo[each] for each in part], quiet), strict=True):
                known[key] = answer
                self._store.put(key, np.array(tuple(kind.kept(answer)), dtype=np.float32))
        self._store.keep()
        return [known[key] for key in keys]

    def _model_call(self, inps: Any, **more: Any) -> Any:
        found = super()._model_call(inps, **more)
        self._advance(len(inps) / self._whole)
        return found

    def _model_generate(self, context: Any, **more: Any) -> Any:
        found = super()._model_generate(context, **more)
        self._advance(len(context) / self._whole)
        return found

    def _key(self, kind: Kind, request: Any) -> bytes:
        told = json.dumps(request.args, sort_keys=True, default=str)
        return self._store.key(f"lm_eval {lm_eval.__version__} {kind.name} {told}")
