"""A causal language model run block by block from its files.

Memory holds the parts outside the blocks, one block (and the next, where there is room), and the activations that the
caller holds. The model class stays on the meta device; weights are lent to it for each call. Blocks are never called
with made-up arguments: the real decoder runs once per batch shape with its blocks standing still, and each block is
replayed with the arguments that the decoder gave it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple, Self

import torch
from torch.func import functional_call
from transformers.pytorch_utils import Conv1D

from release.checkpoint.count import places
from release.checkpoint.folder import Checkpoint
from release.checkpoint.header import Raw
from release.checkpoint.prunable import is_expert, prunable
from release.errors import UnusableBase
from release.models.activations import UNCALIBRATED, ActivationStats, ActivationWatch
from release.models.classes import blocks_of, meta_model
from release.models.parameters import ParameterReader, Parameters
from release.models.slots import Slot, slots
from release.outside import Unfit, foreign


class Call(NamedTuple):
    """What the decoder gives to a block beside the hidden states, by position and by name."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Block:
    """One block in memory.

    Attributes:
        names: The stored prunable tensors of this block, in name order.
    """

    def __init__(
        self, module: Any, parameters: Parameters, slots: Iterable[Slot], calls: Mapping[torch.Size, Call]
    ) -> None:
        self._slots = {slot.place.tensor.name: slot for slot in slots}
        self.names = tuple(sorted(self._slots))
        self._module = module
        self._parameters = parameters
        self._calls = calls
        self._transposed: dict[str, bool] = {}

    @torch.no_grad()
    def run(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the hidden states that leave the block; those that enter stay as they are.

        Args:
            hidden: [batch, length, size], of a batch shape that was started.
        """
        return self.step(hidden, self._calls[hidden.shape[:2]])

    def step(self, hidden: torch.Tensor, call: Call) -> torch.Tensor:
        """Do what `run` does, with the arguments that the decoder gave this block in `BlockModel.enter`."""
        result = functional_call(self._module, self._parameters, (hidden, *call.args), call.kwargs)
        left: torch.Tensor = result[0] if isinstance(result, tuple | list) else result
        return left

    def watched(self, batches: Iterable[torch.Tensor], gram: bool = False) -> dict[str, ActivationStats]:
        """Run batches and return what every prunable tensor was multiplied with.

        Args:
            batches: Hidden states that enter the block, as `run` takes them.
            gram: Whether to sum xxᵀ too: inputs² numbers for each layer, and each expert.

        Raises:
            UnusableBase: A layer other than an expert was never reached; names it.
        """
        watch = ActivationWatch(
            {slot.parameter: self._parameters[slot.parameter] for slot in self._slots.values()}, gram
        )
        for hidden in batches:
            with watch:
                self.run(hidden)
        return {name: self._seen(watch, name) for name in self.names}

    def put(self, name: str, data: Raw) -> None:
        """Let a tensor's stored bytes replace what is loaded."""
        slot = self._slots[name]
        slot.write(self._parameters[slot.parameter], data)

    def transposed(self, name: str) -> bool:
        """Whether the tensor's inputs lie along its last axis but one: [experts, inputs, outputs].

        As the products showed it in `watched`; before that, as the model class declares it.
        """
        if name in self._transposed:
            return self._transposed[name]
        owner = self._module.get_submodule(self._slots[name].parameter.rpartition(".")[0])
        return isinstance(owner, Conv1D) or bool(getattr(owner, "is_transposed", False))

    def close(self) -> None:
        """Free the weights."""
        self._parameters.clear()

    def _seen(self, watch: ActivationWatch, name: str) -> ActivationStats:
        slot = self._slots[name]
        experts = self._experts(slot)
        stride = watch.input_stride(slot.parameter)
        if stride is not None:
            self._transposed[name] = slot.stride[-1] != stride
        elif not is_expert(name) and len(self._parameters[slot.parameter].shape) == 2:
            raise UnusableBase(f"{name} was never reached in calibration.", UNCALIBRATED)
        width = slot.place.tensor.shape[-2 if self.transposed(name) else -1]
        return watch.inputs(name, slot.parameter, experts, width)

    def _experts(self, slot: Slot) -> range:
        """Which experts of its parameter a stored tensor holds; 0 where there are none."""
        whole = self._parameters[slot.parameter]
        if whole.dim() == 2:
            return range(1)
        first = slot.offset // whole.stride(0)
        return range(first, first + (len(whole) if len(slot.place.tensor.shape) == whole.dim() else 1))


class BlockModel:
    """A checkpoint whose blocks are loaded one at a time; leaving it as a context frees the rest.

    Args:
        device: Where the arithmetic happens.
        dtype: Its type. The output matrix is held and applied in fp32, whatever it is.

    Attributes:
        count: Blocks.

    Raises:
        UnusableBase: The files do not fill the model class, or it has no blocks named `layers`; names what is missing.
    """

    def __init__(self, base: Checkpoint, device: torch.device, dtype: torch.dtype = torch.float32) -> None:
        self._device = device
        self._model = meta_model(base.folder, dtype).eval()
        self._model.set_experts_implementation("eager")  # one product per expert
        _give_buffers(self._model, device)
        name, self._layers = blocks_of(self._model)
        self._decoder, root = _decoder(self._model, name)
        self._blocks = f"{name}."
        self.count = len(self._layers)
        self._root = root
        self._slots = slots(self._model, places(base))
        self._prunable = frozenset(prunable(base))
        state = self._model.state_dict()
        blocks = [_beginning(self._prefix(index), state) for index in range(self.count)]
        self._weights = ParameterReader(self._slots, blocks, device)
        outside = {name: value for name, value in state.items() if not name.startswith(self._blocks)}
        self._stem = _without(root, self._weights.read(_beginning(root, outside)))
        self._head: Parameters = {}
        self._answer = _ANSWERS[0]
        self._calls: dict[torch.Size, list[Call]] = {}

    @property
    def module(self) -> Any:
        """The model class, without weights of its own; hooks on its layers are called as blocks run."""
        return self._model

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._weights.close()
        self._stem.clear()
        self._head.clear()
        self._calls.clear()

    def names(self, index: int) -> tuple[str, ...]:
        """Return the stored prunable tensors of a block, in name order."""
        return tuple(sorted(slot.place.tensor.name for slot in self._prunable_slots(index)))

    @torch.no_grad()
    def start(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the hidden states that enter the first block, [batch, length, size].

        Args:
            ids: Token ids without padding, [batch, length].

        Raises:
            UnusableBase: The decoder does more between its blocks than to hand the hidden states on, or tells its
                blocks something about the tokens.
        """
        hidden, calls = self.enter({"input_ids": ids.to(self._device)})
        if not alike(self._calls.setdefault(ids.shape, calls), calls):
            raise UnusableBase("The decoder tells its blocks more of the tokens than hidden states.", UNCALIBRATED)
        return hidden

    @torch.no_grad()
    def enter(self, arguments: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, list[Call]]:
        """Return the hidden states that enter the first block, and what every block is called with beside them.

        Args:
            arguments: Of the decoder's `forward`: `input_ids`, and what else there is (a mask, positions).

        Raises:
            UnusableBase: The decoder does more between its blocks than to hand the hidden states on.
        """
        return self._listen(arguments)

    @torch.no_grad()
    def leave(self, arguments: Mapping[str, torch.Tensor], hidden: torch.Tensor) -> torch.Tensor:
        """Return the logits in fp32: the whole model runs once more, its blocks standing still.

        Args:
            arguments: As given to `enter`, and `logits_to_keep` where not all positions are wanted.
            hidden: The hidden states that left the last block.
        """
        with _standing_still(self._layers, lambda _: self._answer(hidden)):
            found = functional_call(
                self._model, self._whole(), (), {**arguments, "use_cache": False}, tie_weights=False
            )
        logits: torch.Tensor = found.logits
        return logits.float()

    def _whole(self) -> Parameters:
        """Return the parameters outside the blocks, by their names in the model, the output matrix in fp32."""
        if not self._head:
            output_in_full(self._model)
            state = self._model.state_dict()
            self._head = self._weights.read({name: p for name, p in state.items() if not name.startswith(self._root)})
        return {f"{self._root}{name}": parameter for name, parameter in self._stem.items()} | self._head

    @contextmanager
    def opened(self, index: int) -> Iterator[Block]:
        """Hold one block in memory; where there is room, the one after it is read meanwhile.

        Args:
            index: 0 ≤ index < count.
        """
        prefix = self._prefix(index)
        parameters = _without(prefix, self._weights.block(index))
        mine = [replace(slot, parameter=slot.parameter.removeprefix(prefix)) for slot in self._prunable_slots(index)]
        calls = {shape: calls[index] for shape, calls in self._calls.items()}
        block = Block(self._layers[index], parameters, mine, calls)
        try:
            yield block
        finally:
            block.close()

    def _prunable_slots(self, index: int) -> Iterator[Slot]:
        for name, filling in self._slots.items():
            if name.startswith(self._prefix(index)):
                yield from (slot for slot in filling if slot.place.tensor.name in self._prunable)

    def _prefix(self, index: int) -> str:
        """How the names of a block's parameters begin."""
        return f"{self._blocks}{index}."

    def _listen(self, arguments: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, list[Call]]:
        """Run the decoder with its blocks standing still.

        Some decoders expect a tensor from a block and others a tuple: the one is right that makes the very same
        hidden states enter all blocks.
        """
        why = "it changes the hidden states between its blocks"
        for answer in dict.fromkeys((self._answer, *_ANSWERS)):
            try:
                with foreign("its own code failed"), _standing_still(self._layers, answer) as heard:
                    functional_call(self._decoder, self._stem, (), {**arguments, "use_cache": False})
            except Unfit as error:  # a tensor taken for a tuple loses its first axis, and some products fail
                why = str(error)
                continue
            if self._heard_all(heard, arguments["input_ids"].shape):
                self._answer = answer
                return heard[0][0], [call for _, call in heard]
        raise UnusableBase(f"The decoder cannot be run block by block: {why}.", UNCALIBRATED)

    def _heard_all(self, heard: list[tuple[torch.Tensor, Call]], shape: torch.Size) -> bool:
        entering = {id(hidden): hidden for hidden, _ in heard}
        return len(heard) == self.count and [hidden.shape[:2] for hidden in entering.values()] == [shape]


def _beginning(prefix: str, parameters: Parameters) -> Parameters:
    return {name: value for name, value in parameters.items() if name.startswith(prefix)}


def _without(prefix: str, parameters: Parameters) -> Parameters:
    return {name.removeprefix(prefix): value for name, value in parameters.items()}


ROUNDING = 1e-5
"""By how much numbers of a decoder may differ from batch to batch that tell its blocks the same."""
_ANSWERS: tuple[Callable[[torch.Tensor], Any], ...] = (lambda hidden: hidden, lambda hidden: (hidden,))
"""What a block may answer."""


def output_in_full(model: Any) -> None:
    """Let a model hold and apply its output matrix in fp32, whatever its type.

    Rounding logits to 16 bits (steps of 1/8 between 16 and 32) would change more answers than pruning does.
    """
    head = model.get_output_embeddings()
    if head is None or head.weight.dtype == torch.float32:
        return
    for name, parameter in list(head.named_parameters(recurse=False)):
        setattr(head, name, torch.nn.Parameter(parameter.float(), requires_grad=False))
    head.register_forward_pre_hook(lambda _, inputs: (inputs[0].float(), *inputs[1:]))


def _give_buffers(model: Any, device: torch.device) -> None:
    """Compute the buffers that no file holds (rotary frequencies, embedding scales), as loading a model does."""
    names = [name for name, _ in model.named_non_persistent_buffers()]
    for name in names:
        _set_buffer(model, name, torch.empty_like(model.get_buffer(name), device="cpu"))
    model.initialize_weights()
    for name in names:
        _set_buffer(model, name, model.get_buffer(name).to(device))


def _set_buffer(model: Any, name: str, value: torch.Tensor) -> None:
    module, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(module), leaf, value)


def _decoder(model: Any, blocks: str) -> tuple[Any, str]:
    """Return the least module that holds the blocks and the token embedding, and how its parameters' names begin."""
    embedding = model.get_input_embeddings()
    path = blocks
    while path:
        path = path.rpartition(".")[0]
        module = model.get_submodule(path)
        if any(each is embedding for each in module.modules()):
            return module, f"{path}." if path else ""
    raise UnusableBase(f"{type(model).__name__} holds its embedding apart from its blocks.", UNCALIBRATED)


@contextmanager
def _standing_still(
    blocks: Iterable[Any], answer: Callable[[torch.Tensor], Any]
) -> Iterator[list[tuple[torch.Tensor, Call]]]:
    """Let blocks note what they are called with, and hand the hidden states on unchanged."""
    heard: list[tuple[torch.Tensor, Call]] = []

    def note(*args: Any, **kwargs: Any) -> Any:
        hidden, *others = args or [kwargs.pop("hidden_states")]
        heard.append((hidden, Call(tuple(others), kwargs)))
        return answer(hidden)

    for block in blocks:
        block.forward = note
    try:
        yield heard
    finally:
        for block in blocks:
            del block.forward


def alike(some: Iterable[Call], others: Iterable[Call]) -> bool:
    """Whether blocks were given the same tensors, rounding aside."""
    pairs = {
        (id(one), id(other)): (one, other)  # a mask that all blocks share is compared once
        for call, like in zip(some, others, strict=True)
        for one, other in zip(_tensors(call), _tensors(like), strict=True)
    }
    return all(one is other or _same(one, other) for one, other in pairs.values())


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors say the same.

    Angles of positions are computed anew for each batch, and MKL promises the same last bit only where memory is
    aligned alike. When bits had to be equal, a calibration of the demo was refused once, on a busy machine.
    """
    if one.is_floating_point() and one.shape == other.shape and one.dtype == other.dtype:
        return torch.allclose(one, other, rtol=ROUNDING, atol=ROUNDING)
    return torch.equal(one, other)


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(tuple(value.values()))
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _tensors(item)
