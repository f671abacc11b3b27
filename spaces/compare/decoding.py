"""How a model picks its next token: the same way for both.

Greedy unless a temperature is given. Sampling is by the Gumbel-max trick (Gumbel 1954; Maddison et al. 2014): the
largest of logits / temperature + Gumbel noise is an exact draw from the softmax. Each answer has a generator of its
own, seeded alike: answers repeat, and differ between the models through their weights alone.
"""

from dataclasses import dataclass

import torch


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


class Sampler:
    """Draws tokens one after the other."""

    def __init__(self, decoding: Decoding) -> None:
        self._decoding = decoding
        self._generator = torch.Generator().manual_seed(decoding.seed)

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the tokens drawn, (...,), from logits (..., vocabulary)."""
        if self._decoding.temperature == 0:
            return logits.argmax(-1)
        scores = nucleus(logits.float() / self._decoding.temperature, self._decoding.top_p)
        # Exponential(1) noise is drawn on the CPU, so that a seed means the same on every device.
        exponential = torch.empty(scores.shape, dtype=torch.float32).exponential_(generator=self._generator)
        return (scores - exponential.log().to(scores.device)).argmax(-1)


def nucleus(scores: torch.Tensor, top_p: float) -> torch.Tensor:
    """Return scores (..., vocabulary) with -inf for all but the fewest tokens whose probabilities reach `top_p`."""
    if top_p >= 1:
        return scores
    ordered, places = scores.softmax(-1).sort(-1, descending=True)
    spare = ordered.cumsum(-1) - ordered >= top_p
    return scores.masked_fill(torch.zeros_like(spare).scatter(-1, places, spare), float("-inf"))
