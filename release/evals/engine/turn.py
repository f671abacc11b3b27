"""Whose turn it is to read a dense model that several processes want read, each for its own pruned models."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from release.evals.engine.subject import EvaluatedModel

Turns = Callable[[str], AbstractContextManager[None]]
"""Waits for the turn to read what is named, and holds it; what others read by then is in the store of readings."""

_TURNS: ContextVar[Turns | None] = ContextVar("turns", default=None)


@contextmanager
def turns_by(turns: Turns) -> Iterator[None]:
    """Let whatever reads a dense model inside wait for its turn."""
    before = _TURNS.set(turns)
    try:
        yield
    finally:
        _TURNS.reset(before)


def turn(model: "EvaluatedModel") -> AbstractContextManager[None]:
    """Hold the turn to read a model; it is always there for a pruned one, and outside of a sweep."""
    turns = _TURNS.get()
    return turns(f"{model.digest} {model.runtime}") if turns and model.name == "dense" else nullcontext()
