"""Whose turn it is to read a dense model that several processes want read, each for its own pruned models."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar

Turns = Callable[[str], AbstractContextManager[None]]
"""Waits for the turn to read what is named, and holds it; what others read by then is in the store of readings."""


def _nobody_else(_: str) -> AbstractContextManager[None]:
    return nullcontext()


_TURNS: ContextVar[Turns] = ContextVar("turns", default=_nobody_else)


@contextmanager
def turns_by(turns: Turns) -> Iterator[None]:
    """Let whatever reads a dense model inside wait for its turn."""
    before = _TURNS.set(turns)
    try:
        yield
    finally:
        _TURNS.reset(before)


def turn(of: str) -> AbstractContextManager[None]:
    """Hold the turn to read a dense model; outside of a sweep it is always there.

    Args:
        of: What names the model and its arithmetic.
    """
    return _TURNS.get()(of)
