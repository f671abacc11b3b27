"""How a model is asked to pick its next token: the same way for both; `sampling` does it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Decoding:
    """How both models pick their tokens.

    Attributes:
        temperature: 0 for greedy decoding.
        top_p: Only the likeliest tokens that hold this share of the probability together may be drawn (nucleus
            sampling, Holtzman et al. 2020); 1 for all of them, and without effect where the temperature is 0.
        max_new_tokens: Length of one answer at most.
        seed: Of the noise; without effect where the temperature is 0.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    max_new_tokens: int = 128
    seed: int = 42
