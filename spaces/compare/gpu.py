"""ZeroGPU, where there is one.

On ZeroGPU a card is lent for the length of one decorated call, which runs in a forked process: what goes in and
comes out must be plain data. Elsewhere the decorator does nothing. The `spaces` package patches torch, and torch reads
the environment when it is loaded, so this module has to be imported before it.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

Stream = TypeVar("Stream", bound=Callable[..., Iterator[Any]])

os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")  # what an Apple GPU lacks is done by the CPU

ZERO_GPU = os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")

GPU = None
if ZERO_GPU:  # elsewhere it does nothing, and would load torch
    with suppress(ImportError):
        from spaces import GPU


def on_gpu(duration: Callable[..., int]) -> Callable[[Stream], Stream]:
    """Lend a GPU to each call of a generator.

    Args:
        duration: Seconds a call will need at most, from the call's own arguments.
    """
    if GPU is None:
        return lambda stream: stream
    decorator: Callable[[Stream], Stream] = GPU(duration=duration)
    return decorator
