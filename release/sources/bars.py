"""A bar of the Hub's client that shows nothing, and tells what it counts."""

from collections.abc import Callable
from typing import Any

from huggingface_hub.utils.tqdm import tqdm

from release.progress import Advance


def meter(advance: Advance, counts: Callable[[str], bool] = lambda _: True) -> type[tqdm]:
    """Return a progress bar that shows nothing and hands what it counts on to `advance`.

    Args:
        counts: Whether the bar of this name counts; the Hub's client has several at once.
    """

    class Meter(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            self._counts = counts(str(options.get("name")))
            initialise: Callable[..., None] = super().__init__
            initialise(*args, **options | {"disable": True})
            self.update(options.get("initial", 0))

        def update(self, n: float | None = 1) -> bool | None:
            if self._counts:
                advance(n or 0)
            return None

    return Meter
