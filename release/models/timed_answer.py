"""One answer that an engine times: how long it is, what it is asked with, and what came of it."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

NEW_TOKENS = 5
"""Of every answer that is timed."""


class PromptEncoder(Protocol):
    """What an engine needs of whoever renders the prompts; `bbq.prompts.Prompter` is one."""

    tokenizer: Any

    def encode(self, texts: Sequence[str], /) -> list[list[int]]:
        """Tokenise rendered prompts."""


class TimedAnswer(NamedTuple):
    """One greedy answer of `NEW_TOKENS` tokens.

    Attributes:
        seconds: To tokenise the prompt, read it and find the first new token; for the others.
        tokens: The new tokens.
    """

    seconds: tuple[float, float]
    tokens: tuple[int, ...]
