"""Log-probabilities of a few tokens after many prompts, with shared beginnings computed once.

One forward pass takes a whole tree of prompts: each node attends to its ancestors (a 4-D mask) and carries its depth
as position. Mathematically that is one pass per prompt; `plain` is that pass, and `choose` trusts trees only where
they agreed with it on this very model.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from release.measure.tree import Tree, plant
from release.progress import Console

Prompts = Sequence[Sequence[int]]
Read = tuple[list[int], torch.Tensor]

BUDGET = {"cpu": 768, "cuda": 4096}
"""Nodes of a tree: on two cores, more gains nothing and costs attention; a GPU wants more work at once."""
TOLERANCE = 1e-3
PROBES = 3


Engine = Callable[[Any, Prompts], Iterator[Read]]
"""A way to read next-token log-probabilities: yields prompt indices and their (k, V) values, in fp32."""


def plain(model: Any, prompts: Prompts) -> Iterator[Read]:
    """Read one prompt at a time."""
    for index, prompt in enumerate(prompts):
        logits = model(input_ids=_tensor([list(prompt)], model), use_cache=False).logits[:, -1]
        yield [index], torch.log_softmax(logits.float(), dim=-1)


def trees(model: Any, prompts: Prompts) -> Iterator[Read]:
    """Read a tree of prompts at a time."""
    for tree in plant(prompts, BUDGET.get(model.device.type, BUDGET["cpu"])):
        yield tree.prompts, _forward(model, tree)


def _forward(model: Any, tree: Tree) -> torch.Tensor:
    seen = torch.from_numpy(tree.ancestry()).to(model.device)
    mask = torch.zeros(seen.shape, dtype=model.dtype, device=model.device)
    mask.masked_fill_(~seen, torch.finfo(model.dtype).min)
    logits = model(
        input_ids=_tensor([tree.tokens], model),
        attention_mask=mask[None, None],
        position_ids=_tensor([tree.depths], model),
        logits_to_keep=_tensor(tree.ends, model),
        use_cache=False,
    ).logits[0]
    return torch.log_softmax(logits.float(), dim=-1)


def _tensor(values: Any, model: Any) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.long, device=model.device)


def choose(model: Any, prompts: Prompts, console: Console) -> Engine:
    """Return `trees` where this model reads them as it reads single prompts, else `plain`.

    A prompt beyond a sliding window (or beyond the length where rotary embeddings change) would see more in a tree
    than alone. Whether the architecture takes a tree's mask at all is tried on the first few prompts.
    """
    if max(map(len, prompts)) <= _reach(model.config) and _agree(model, prompts[:PROBES]):
        return trees
    console.say("This model does not take shared beginnings; prompts are read one by one.")
    return plain


def _reach(config: Any) -> float:
    """Return the length up to which a prompt is read alike, whatever stands beside it."""
    text = config.get_text_config()
    limits = ("sliding_window", "attention_chunk_size", "original_max_position_embeddings")
    values = [getattr(text, name, None) for name in limits]
    return min((value for value in values if isinstance(value, int)), default=float("inf"))


def _agree(model: Any, prompts: Prompts) -> bool:
    """Whether a tree gives the values that single prompts give; a model may well give NaN both ways."""
    try:
        found = list(trees(model, prompts))
    except (TypeError, ValueError, RuntimeError, NotImplementedError):
        return False
    single = torch.cat([values for _, values in plain(model, prompts)])
    return all(
        torch.allclose(values, single[indices], rtol=0, atol=TOLERANCE, equal_nan=True) for indices, values in found
    )


@torch.inference_mode()
def next_token_logprobs(
    model: Any, prompts: Prompts, tokens: Sequence[int], console: Console, label: str
) -> NDArray[np.float32]:
    """Return log-probabilities over the whole vocabulary, for some tokens after each prompt.

    Args:
        model: A causal language model in fp32.
        prompts: Token ids.
        tokens: The k tokens asked for.
        console: Where progress is shown.
        label: What the progress is called.

    Returns:
        (len(prompts), k); NaN where the model gave NaN.
    """
    result = np.empty((len(prompts), len(tokens)), dtype=np.float32)
    with console.step(label, len(prompts)) as advance:
        for indices, values in choose(model, prompts, console)(model, prompts):
            result[indices] = values[:, list(tokens)].cpu().numpy()
            advance(len(indices))
    return result
