"""The layers of a model, told as they are done: one pass of a large model on a CPU takes minutes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from release.errors import UnusableBase
from release.models.classes import blocks_of
from release.progress import Advance


@contextmanager
def told_by_layer(module: Any, tell: Callable[[float], None]) -> Iterator[None]:
    """Have a forward pass of a model tell how far it is, after each of its blocks.

    Args:
        module: A causal model; one without a list of blocks tells once, at the end of a pass.
        tell: Is called with a share of one pass; those of a pass sum up to 1.
    """
    layers = _layers(module)
    handles = [layer.register_forward_hook(lambda *_: tell(1 / len(layers))) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _layers(module: Any) -> list[Any]:
    try:
        return [*blocks_of(module)[1]]
    except UnusableBase:
        return [module]


class PassMeter:
    """Tells the tokens of passes as they go through the layers, and of each pass exactly as many as it has.

    Args:
        advance: Is told tokens.
    """

    def __init__(self, advance: Advance) -> None:
        self._advance = advance
        self._tokens = self._left = 0.0

    def begins(self, tokens: int) -> None:
        """A pass over so many tokens begins."""
        self._tokens = self._left = float(tokens)

    def layer(self, share: float) -> None:
        """So much of the pass is done."""
        part = min(self._left, share * self._tokens)
        self._left -= part
        self._advance(part)

    def ends(self) -> None:
        """The pass is done, whatever its layers told."""
        left, self._left = self._left, 0.0
        self._advance(left)
