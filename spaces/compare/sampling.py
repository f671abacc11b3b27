"""How a model picks its next token.

Greedy unless a temperature is given. Sampling is by the Gumbel-max trick (Gumbel 1954; Maddison et al. 2014): the
largest of logits / temperature + Gumbel noise is an exact draw from the softmax. Each answer has a generator of its
own, seeded alike: answers repeat, and differ between the models through their weights alone.
"""

import torch
from decoding import Decoding


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
