"""Super weights: the few single weights that carry a model's largest activations, and whether they are still there.

Yu et al., "The Super Weight in Large Language Models" (2024, arXiv 2411.07191): in a few blocks one input channel of
the MLP's projection back to the residual stream spikes, and one output channel with it; the one weight that joins the
two carries the spike. One forward pass over any text shows them. Here each block names at most one candidate. Nothing
here knows how a mask was chosen, or what losing a weight costs.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from release.checkpoint.count import Place, places
from release.checkpoint.disk import read_at, room_for
from release.checkpoint.folder import open_checkpoint
from release.checkpoint.prunable import is_expert
from release.evals.engine.subject import EvaluatedModel
from release.evals.super_weights.result import SuperWeight, SuperWeights
from release.models.classes import blocks_of, matrices, meta_model
from release.models.reader import ModelReader, Pass, name_of
from release.models.slots import targets

PROMPT = "The capital of France is Paris, and the river through it is the Seine."
MOST = 5
"""Candidates kept; the paper finds one to six in a model."""
LEAST_SPIKE = 100
"""Times the median output that a spike has: below, every projection has one."""
LEAST_SHARE = 0.01
"""Share of the largest spike that a further one has at least."""
NO_SPIKE = (-1, -1, 0, 0, 0)
"""Stands in the store for a layer without one."""
ATTENTION = ("attn", "attention")
"""What a module of attention is called; its own projection back to the residual stream is none of an MLP."""


@dataclass(frozen=True)
class Spike:
    """Where the input of one projection peaks, and the output that peaks there.

    Attributes:
        row: The output channel.
        column: The input channel.
        input: What came in on `column`.
        output: What went out on `row`, at the same token.
        size: |weight[row, column] · input| over the median |output| of this projection, all tokens and channels. A
            block's outputs grow with its depth; against them a spike early on, which all later blocks see, is not lost
            behind those of the last blocks.
    """

    row: int
    column: int
    input: float
    output: float
    size: float


@dataclass(frozen=True)
class SeenSpikes:
    """What one pass over the dense model showed.

    Attributes:
        layers: The projections looked at.
        spikes: Layer → its spike; none for a layer without one.
        tokens: Length of the text.
        precision: Arithmetic of the pass.
    """

    layers: tuple[str, ...]
    spikes: Mapping[str, Spike]
    tokens: int
    precision: str


def seen(subject: EvaluatedModel, tokenizer: Any) -> SeenSpikes | None:
    """Run the dense model over `PROMPT` and note the spikes of each block's projection.

    Returns:
        None where there is nothing to look at: in a mixture of experts.
    """
    shapes = {name: place.tensor.shape for name, place in places(open_checkpoint(subject.folder)).items()}
    layers = tuple(sorted(projections(meta_model(subject.folder), shapes)))
    if not layers:
        return None
    ids = tokenizer(PROMPT)["input_ids"]
    return SeenSpikes(layers, _known_or_seen(subject, layers, shapes, ids), len(ids), name_of(subject.dtype))


def look_up(found: SeenSpikes, dense: Path, pruned: Path) -> SuperWeights | None:
    """Look the largest candidates up in the pruned files.

    Returns:
        Without candidates where no spike stands out. None where the pruned files do not hold the same tensors.
    """
    before, after = (places(open_checkpoint(folder)) for folder in (dense, pruned))
    if not all(_comparable(before[name], after.get(name)) for name in found.layers):
        return None
    return SuperWeights(
        prompt=PROMPT,
        tokens=found.tokens,
        precision=found.precision,
        blocks=len(found.layers),
        candidates=tuple(
            _candidate(found.spikes[name], before[name], after[name]) for name in standing_out(found.spikes)
        ),
    )


def standing_out(found: Mapping[str, Spike]) -> list[str]:
    """Return the layers whose spikes stand out, by falling size: `MOST` at most.

    A spike stands out with `LEAST_SPIKE` times its layer's median output and `LEAST_SHARE` of the largest spike. Five
    were always listed before, the last of them 3,000 times smaller than the first.
    """
    largest = sorted(found, key=lambda name: found[name].size, reverse=True)[:MOST]
    least = max(LEAST_SPIKE, LEAST_SHARE * found[largest[0]].size) if largest else 0
    return [name for name in largest if found[name].size >= least]


def _known_or_seen(
    subject: EvaluatedModel, names: Sequence[str], shapes: Mapping[str, tuple[int, ...]], ids: Sequence[int]
) -> dict[str, Spike]:
    """Return the spikes of some layers, from the store where they were seen before."""
    key = subject.store.key("spikes", ids)
    known = subject.store.recall([key])
    if key not in known:
        found = spikes(subject.reader, projections(subject.reader.module, shapes), ids)
        rows = [astuple(found[name]) if name in found else NO_SPIKE for name in names]
        subject.store.put(key, np.array(rows, dtype=np.float32))
        return found
    kept = zip(names, known[key].reshape(len(names), -1).tolist(), strict=True)
    return {name: Spike(int(row[0]), int(row[1]), *row[2:]) for name, row in kept if row[0] != NO_SPIKE[0]}


def projections(model: Any, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, torch.nn.Linear]:
    """Return the layer with which each block's MLP writes to the residual stream, by its stored name.

    Of a block's linear layers outside attention that give the residual stream's width, it is the one with the most
    inputs (a gate of the same shape comes before it).

    Args:
        model: A causal language model.
        shapes: Name → shape of every tensor on disk.

    Returns:
        Nothing for a mixture of experts, where the residual stream gets a sum of many projections, and for layers that
        are held inputs first (`Conv1D`).
    """
    if any(map(is_expert, matrices(model))):
        return {}
    stored = {filled[0]: name for name, filled in targets(model, shapes).items() if len(filled) == 1}
    width = model.config.get_text_config(decoder=True).hidden_size
    name, blocks = blocks_of(model)
    found = {}
    for index, block in enumerate(blocks):
        layers = {stored.get(f"{name}.{index}.{path}"): layer for path, layer in _linears(block)}
        fitting = [
            (each, layer)
            for each, layer in layers.items()
            if each is not None and layer.out_features == width and tuple(layer.weight.shape) == shapes[each]
        ]
        if fitting:
            each, layer = max(reversed(fitting), key=lambda pair: pair[1].in_features)
            found[each] = layer
    return found


def _linears(block: Any) -> Iterator[tuple[str, torch.nn.Linear]]:
    """Yield a block's linear layers outside attention by the names of their weights, in the order of the class."""
    for path, module in block.named_modules():
        if isinstance(module, torch.nn.Linear) and not any(word in path for word in ATTENTION):
            yield f"{path}.weight", module


def spikes(reader: ModelReader, layers: Mapping[str, torch.nn.Linear], ids: Sequence[int]) -> dict[str, Spike]:
    """Run the model once and return the spike of each layer that has one.

    Args:
        reader: A causal language model.
        layers: Name → layer.
        ids: Token ids of one text.
    """
    with _watched(layers) as found:
        list(reader.run([Pass(list(ids), [len(ids) - 1])], lambda _: None))
    return found


@contextmanager
def _watched(layers: Mapping[str, torch.nn.Linear]) -> Iterator[dict[str, Spike]]:
    found: dict[str, Spike] = {}
    hooks = [layer.register_forward_hook(partial(_note, found, name)) for name, layer in layers.items()]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def _note(
    found: dict[str, Spike], name: str, layer: torch.nn.Linear, inputs: tuple[torch.Tensor], outputs: torch.Tensor
) -> None:
    seen = peak(layer.weight, inputs[0].flatten(0, -2), outputs.flatten(0, -2))
    if seen is not None:
        found[name] = seen


def peak(weight: torch.Tensor, inputs: torch.Tensor, outputs: torch.Tensor) -> Spike | None:
    """Return the one place where a layer's input peaks, with the output that peaks at that token.

    Args:
        weight: [outputs, inputs].
        inputs: [tokens, inputs].
        outputs: [tokens, outputs].

    Returns:
        None where there is no weight between the two, or a number is not finite.
    """
    token, column = divmod(int(inputs.abs().argmax()), inputs.shape[1])
    row = int(outputs[token].abs().argmax())
    entering, leaving = float(inputs[token, column]), float(outputs[token, row])
    size = float(abs(weight[row, column].float() * entering) / outputs.float().abs().median())
    if not (0 < size < math.inf and math.isfinite(leaving)):
        return None
    return Spike(row, column, entering, leaving, size)


def _comparable(before: Place, after: Place | None) -> bool:
    """Whether both files hold the tensor as plain numbers in the same shape."""
    tensors = (before.tensor, after.tensor if after else None)
    return all(t is not None and t.is_float and t.shape == before.tensor.shape for t in tensors)


def _candidate(spike: Spike, before: Place, after: Place) -> SuperWeight:
    return SuperWeight(
        tensor=before.tensor.name,
        row=spike.row,
        column=spike.column,
        dense=stored_weight(before, spike.row, spike.column),
        input=spike.input,
        output=spike.output,
        spike=spike.size,
        zeroed=stored_weight(after, spike.row, spike.column) == 0,
    )


def stored_weight(place: Place, row: int, column: int) -> float:
    """Read one weight of a stored matrix, without the rest of it."""
    tensor = place.tensor
    data = room_for(tensor.nbytes // tensor.numel)
    with place.path.open("rb") as file:
        read_at(file, tensor.start + (row * tensor.shape[1] + column) * len(data), data)
    return float(tensor.values(tensor.bits(data))[0])
